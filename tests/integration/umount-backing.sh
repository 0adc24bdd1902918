#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A shutdown unmounts BACKING right after the mount. umount(2) doesn't wait for the daemon, so the
# server must close BACKING quickly, and on a busy machine may be late. `umount -c`, which systemd
# uses, runs umount.fuse.caisson, which waits until the server has ended. The case puts the helper
# where umount(8) looks, in a mount namespace of its own.
#
#@ packages: mount util-linux e2fsprogs
#@ alone: yes
#@ timeout: 120
#@ transport: one
if [[ ${1:-} != inside ]]; then
	exec unshare --mount --propagation private "$BASH" "$0" inside
fi
. "$(dirname "$0")/../lib/mount.sh"

is_not_mounted() { ! is_in_mountinfo "$mnt"; }

overlay_sbin
ln -s "$(realpath "$CAISSON")" "$helpers/umount.fuse.caisson"

make_backing ext4 256M
say "umount -c returns when the server has ended, and not before"
serve
server=$(server_pid)
stop_process "$server"
umount -c "$mnt" &
umount=$!
wait_until 20 is_not_mounted || fail "umount -c asks a server that stands"
refused 'busy' umount "$backing"
! process_is_gone "$umount" || fail "umount -c has returned before the server has ended"
kill -CONT "$server"
wait "$umount"
umount "$backing"
await_daemon "$mnt"
mount "$loop" "$backing"

# soon COMMAND...: waits for no server
soon() {
	local start=$SECONDS
	"$@"
	less $((SECONDS - start)) 8 "seconds of: $*"
}
say "what goes on being served is waited for by nobody"
serve
mkdir -p "$scratch/bind"
mount --bind "$mnt" "$scratch/bind"
defer unmount "$scratch/bind"
soon umount_idle -c "$mnt"
touch "$scratch/bind/served"
soon umount_idle -c "$scratch/bind"
await_daemon "$mnt"
serve
touch "$mnt/held"
exec {held}<"$mnt/held"
soon umount -c -r "$mnt"
refused 'Read-only' touch "$mnt/new"
soon umount -c -l "$mnt"
exec {held}>&-
await_daemon "$mnt"

say "what isn't there is told by umount(8)"
refused 'not mounted' umount -c "$mnt"
refused 'absolute MOUNTPOINT' "$helpers/umount.fuse.caisson"

say "after a plain umount BACKING is busy for a moment, and then no more"
refused=0
lets_go() { umount "$backing" 2>"$scratch/said" || ! ((refused += 1)); }
for ((round = 0; round < 10; round++)); do
	serve >"$scratch/said"
	mkdir -p "$mnt/d"
	touch "$mnt"/d/{1..200}
	dd if=/dev/zero of="$mnt/g" bs=1M count=4 status=none
	umount_idle "$mnt"
	wait_until 20 lets_go
	await_daemon "$mnt"
	mount "$loop" "$backing"
done
say "it was busy $refused times in 10 rounds"
