#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# df shows the size and the free space of the backing filesystem.
#
#@ packages: e2fsprogs
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

facts() { stat -f -c 'block %s blocks %b free %f available %a files %c free %d names %l' "$1"; }

make_backing ext4 256M
serve
sync -f "$backing"
same "$(facts "$mnt")" "$(facts "$backing")" statfs
head -c 50M /dev/urandom >"$mnt/file"
sync "$mnt/file"
same "$(facts "$mnt")" "$(facts "$backing")" "statfs after writing"
same "$(df --output=source,fstype "$mnt" | tail -n 1 | tr -s ' ')" "$backing fuse.caisson" "what df calls it"
unserve
