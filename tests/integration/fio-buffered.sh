#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# fio verifies buffered I/O, also in sizes that O_DIRECT doesn't allow.
#
#@ packages: fio e2fsprogs
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

make_backing ext4 1G
serve
for block in 4k 128k 1m; do
	say "blocks of $block"
	load "$mnt" "buffered-$block" "$block" 64m --direct=0
done
say "blocks of 1000 bytes"
load "$mnt" odd 1000 4000k --direct=0
unserve
load "$backing" odd 1000 4000k --direct=0 --verify_only
