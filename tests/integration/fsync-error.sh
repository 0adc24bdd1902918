#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The backing disk fails to write data that was accepted. The next fsync of each opener fails, once
# (S11). The disk is a loop device on a sparse file on a filesystem that becomes full. The case uses
# cache=writeback, because the data must still be in the page cache when the disk fails.
#
#@ packages: python3 e2fsprogs
. "$(dirname "$0")/../lib/mount.sh"

below=$scratch/below
make_backing ext4 64M "$below"
# one block group without a journal: after the first write, only data needs space below
truncate -s 100M "$below/image"
mkfs.ext4 -q -F -b 4096 -O ^has_journal -E lazy_itable_init=0,nodiscard "$below/image"
attach "$below/image" --direct-io=off
mount_loop "$loop" "$backing" -t ext4
serve "$backing" "$mnt" cache=writeback
python3 "$tests_dir/integration/fsync-error.py" "$mnt/file" "$below/filler"
unserve
