#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Files have the same content with cache=none, writeback and writethrough, whether or not the I/O is
# aligned for O_DIRECT.
#
#@ packages: fio e2fsprogs
#@ timeout: 120
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

make_backing ext4 512M
for mode in none writeback writethrough; do
	say "cache=$mode"
	serve "$backing" "$mnt" "cache=$mode"
	load "$mnt" "small-$mode" 4k 4m
	load "$mnt" "large-$mode" 128k 16m
	load "$mnt" "odd-$mode" 700 70k --direct=0
	head -c 54321 /dev/urandom | tee "$scratch/expected" >"$mnt/file"
	head -c 2331 /dev/urandom >"$scratch/patch"
	for file in "$scratch/expected" "$mnt/file"; do
		dd if="$scratch/patch" of="$file" bs=333 seek=11 conv=notrunc status=none
	done
	cmp "$scratch/expected" "$mnt/file"
	before=$(sums "$mnt")
	unserve
	same "$(sums "$backing")" "$before" "checksums below"
done
