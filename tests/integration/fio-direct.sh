#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fio verifies direct I/O at a queue depth of 32 in three block sizes. The backing file then holds
# the same bytes.
#
#@ packages: fio e2fsprogs
#@ timeout: 120
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

make_backing ext4 1G
serve
for block in 4k 128k 1m; do
	say "blocks of $block"
	load "$mnt" "direct-$block" "$block" 64m
done
unserve
for block in 4k 128k 1m; do
	load "$backing" "direct-$block" "$block" 64m --verify_only
done
