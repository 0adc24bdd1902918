#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Several processes append, overwrite, link, rename and compete for names on the mount at the same
# time. The result is judged by rules that hold in whatever order they ran (crowd.py), and that ext4
# itself keeps.
#
#@ packages: python3 e2fsprogs
#@ timeout: 900
. "$(dirname "$0")/../lib/mount.sh"

seconds=${STORM_SECONDS:-4}
make_backing ext4 512M
say "without a mount"
python3 "$tests_dir/integration/crowd.py" "$backing" "$backing" 1
for options in cache=none cache=writeback attr_timeout=0,entry_timeout=0; do
	say "$options"
	serve "$backing" "$mnt" "$options"
	python3 "$tests_dir/integration/crowd.py" "$mnt" "$backing" "$seconds"
	unserve
done
