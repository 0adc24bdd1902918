#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A write of a server that has died may still be on its way to the disk. Nothing newer may be
# written before it has arrived: an heir waits for the sentinels of the dead server's rings
# (takeover.h). The disk is a loop device on a file of which one write takes three seconds
# (late-write.c).
#
#@ packages: fuse3 e2fsprogs
#@ transport: one
#@ timeout: 120
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

slow=$scratch/slow
mkdir -p "$slow"
"$build_dir/tests/late-write" "$slow" -o max_idle_threads=64 2>/dev/null ||
	skip "late-write can't be mounted: no /dev/fuse?"
defer unmount "$slow"
attach "$slow/disk" --direct-io=on
make_filesystem ext4 "$loop"
mount_loop "$loop" "$backing" -t ext4
serve "$backing" "$mnt" transport=dev,recovery=on

printf 'LATE%.0s' {1..1024} >"$scratch/late"
printf 'more%.0s' {1..1024} >"$scratch/newer"
dd if=/dev/zero of="$mnt/file" bs=4096 count=1 oflag=direct conv=fsync status=none

say "a write is late, and its server dies"
server=$(server_pid)
writes() { (($(status_total writes) > written)); }
written=$(status_total writes)
dd if="$scratch/late" of="$mnt/file" bs=4096 oflag=direct conv=notrunc status=none &
client=$!
wait_until 10 writes
kill -KILL "$server"
wait_until 30 process_is_gone "$client"
wait "$client"

say "a newer one is not undone by it"
dd if="$scratch/newer" of="$mnt/file" bs=4096 oflag=direct conv=notrunc,fsync status=none
sleep 4 # the late one has arrived by now, wherever it was
cmp "$scratch/newer" "$mnt/file"
echo 3 >/proc/sys/vm/drop_caches
cmp "$scratch/newer" "$backing/file"
unserve
