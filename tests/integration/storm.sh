#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A differential storm (storm.py): random operations by several identities, the same ones on the
# mount and on a plain ext4 filesystem beside it. Errors, results and whole trees must be the same.
#
# The first line of output names the seed; STORM_SEED=N repeats a run, and STORM_SECONDS=N lengthens
# each part of it.
#
#@ packages: python3 e2fsprogs
#@ timeout: 900
. "$(dirname "$0")/../lib/mount.sh"

plain=$scratch/plain
make_backing ext4 256M
make_backing ext4 256M "$plain"
export STORM_SECONDS=${STORM_SECONDS:-10}

storm() {
	say "${*:-default options}"
	serve "$backing" "$mnt" "allow_other,suid,dev,trusted_xattr${1:+,$1}"
	chmod 755 "$mnt" "$plain"
	python3 "$tests_dir/integration/storm.py" aside "$mnt" "$backing" "$plain"
	unserve
}

storm
storm attr_timeout=0,entry_timeout=0
