# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Without CAP_SYS_RESOURCE nobody can enter the IO_FLUSHER state. caissond then refuses to serve,
# unless it is told to do without the mark, and says so.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4
#@ packages: e2fsprogs util-linux
#@ modules: fuse ext4
#@ disk: 256M

store=/run/store

# The bounding set is what root's exec takes its capabilities from.
without_capability() { setpriv --bounding-set=-sys_resource "$@"; }
start_without_capability() {
	run_with_timeout 30 without_capability caissond "$@" /backing "$store" 2>/run/stderr
}
is_one_line() { [ "$(wc -l <"$1")" -eq 1 ]; }
no_daemon_is_left() { ! pidof caissond; }

mount_backing
mkdir -p "$store"

for mode in -f ""; do
	# shellcheck disable=SC2086 # no argument at all in the second round
	expect_status 3 "caissond $mode without the capability" start_without_capability $mode
	sed 's/^/stderr: /' /run/stderr
	check "it says one line" is_one_line /run/stderr
	check "the line names the capability" grep -q 'CAP_SYS_RESOURCE' /run/stderr
	check "nothing is mounted" is_not_mounted "$store"
	check "no process is left" wait_until 5 no_daemon_is_left
done

expect_status 0 "caissond with io_flusher=off" start_without_capability -o io_flusher=off
sed 's/^/stderr: /' /run/stderr
check "it serves" is_mounted "$store"
check "it warns" grep -q 'not safe to stack on' /run/stderr
caisson status "$store" >/run/status
sed 's/^/status: /' /run/status
check "so does status" grep -q '^safe to stack on *no$' /run/status
expect_status 3 "audit of the unmarked daemon" caisson audit "$store"
echo hello >"$store/file"
check "files are served" grep -q hello /backing/file
check "unmount" umount "$store"
check "the daemon has ended" wait_until 30 no_daemon_is_left
