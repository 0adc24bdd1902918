#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# After a burst of more clients than there are metadata workers, all workers still serve (rule S7).
# With FUSE-over-io_uring two of eight workers once did all the work from then on, because the
# others waited for ring entries of their own. The case also checks that a request wakes one worker
# and not all.
#
#@ packages: python3 e2fsprogs
#@ sanitize: yes
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve
python3 "$tests_dir/integration/burst.py" "$mnt" "$(server_pid)"
unserve
