#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fio verifies I/O through shared mappings.
#
#@ packages: fio e2fsprogs
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

make_backing ext4 1G
serve
for block in 4k 128k; do
	say "blocks of $block"
	load "$mnt" "mmap-$block" "$block" 32m --ioengine=mmap --direct=0 --iodepth=1
done
unserve
for block in 4k 128k; do
	load "$backing" "mmap-$block" "$block" 32m --verify_only
done
