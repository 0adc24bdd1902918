#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A backing disk that fails to write out what was accepted: the next fsync of every opener fails,
# once (S11). The disk is a loop device on a sparse file on a filesystem that gets full; nothing of
# it is cached above but by the backing filesystem, so cache=writeback shows it.
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
