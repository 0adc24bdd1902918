#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Rule S7: after a burst of more clients than there are metadata workers, all workers still serve. By
# FUSE-over-io_uring two of eight once did everything, for good, as the others waited for entries of their own.
# And a request wakes one worker, not all.
#
#@ packages: python3 e2fsprogs
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve
python3 "$tests_dir/integration/burst.py" "$mnt" "$(server_pid)"
unserve
