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
make_failing_backing "$below"
serve "$backing" "$mnt" cache=writeback
python3 "$tests_dir/integration/fsync-error.py" "$mnt/file" "$below/filler"
unserve
