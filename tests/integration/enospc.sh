#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The backing filesystem becomes full in the middle of a write. The client gets the error, what was
# written is there, and writes succeed again once there is space.
#
#@ packages: fio e2fsprogs
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

# A file of random bytes, and how many of them fitted.
fill() {
	local name=$1 fitted
	refused 'No space left' dd if="$scratch/bytes" of="$mnt/$name" bs=1M status=none "${@:2}"
	fitted=$(stat -c %s "$mnt/$name")
	say "$name: $fitted bytes fitted"
	cmp -n "$fitted" "$scratch/bytes" "$mnt/$name"
	cmp -n "$fitted" "$scratch/bytes" "$backing/$name"
}

make_backing ext4 64M
head -c 80M /dev/urandom >"$scratch/bytes"
for mode in none writeback; do
	say "cache=$mode"
	serve "$backing" "$mnt" "cache=$mode"
	load "$mnt" before 4k 4m
	fill aligned
	more "$(stat -c %s "$mnt/aligned")" $((20 << 20)) "bytes that fitted"
	refused 'No space left' dd if="$scratch/bytes" of="$mnt/another" bs=64k count=16 status=none
	rm -f "$mnt/another" "$mnt/aligned"
	fill odd oflag=append conv=notrunc
	rm "$mnt/odd"
	say "many at once"
	exits 1 fio --name=full --filename="$mnt/full" --rw=write --bs=64k --size=80m --direct=1 \
		--ioengine=io_uring --iodepth=32 --eta=never --output-format=terse --minimal
	rm "$mnt/full"
	say "with space again"
	load "$mnt" before 4k 4m --verify_only
	load "$mnt" after 4k 16m
	load "$mnt" after 4k 16m --verify_only
	rm "$mnt/before" "$mnt/after"
	unserve
done
