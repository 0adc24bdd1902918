#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# At shutdown BACKING is unmounted right after the mount: by then the daemon has let go of it. umount(2)
# waits for no daemon, so that it has to be quick, which a busy machine may now and then keep it from; the
# keeper has nothing of BACKING open at all.
#
#@ packages: e2fsprogs util-linux
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

# files_below PID DIR: what the process has open there
files_below() { find "/proc/$1/fd" -lname "$2*" -printf '%l\n'; }

make_backing ext4 256M
serve
same "$(files_below "${daemon_pid[$mnt]}" "$backing")" "" "what the keeper has open"
[[ -n $(files_below "$(server_pid)" "$backing") ]]
unserve

refused=0
for ((round = 0; round < 10; round++)); do
	serve >"$scratch/said"
	mkdir -p "$mnt/d"
	touch "$mnt"/d/{1..200}
	dd if=/dev/zero of="$mnt/g" bs=1M count=4 status=none
	umount "$mnt"
	umount "$backing" 2>"$scratch/said" || refused=$((refused + 1))
	await_daemon "$mnt"
	is_in_mountinfo "$backing" || mount "$loop" "$backing"
done
say "BACKING was busy in $refused of 10 rounds"
less "$refused" 3 "number of rounds of 10 in which BACKING was busy"
