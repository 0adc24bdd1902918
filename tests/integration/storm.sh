#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Several users do random operations on the mount and the same ones on an ext4 filesystem beside it
# (storm.py). Errors, results and whole trees must be equal. With entry_timeout=0 and attr_timeout=0
# they must be equal even while somebody works in the backing directory.
#
# Each part prints its seed in its first line. STORM_SEED=N repeats a run and STORM_SECONDS=N
# lengthens each part; storm.py lists the other variables.
#
#@ packages: python3 e2fsprogs
#@ timeout: 900
. "$(dirname "$0")/../lib/mount.sh"

# it still finds what the mount does otherwise, at random: chattr of a file that its owner may not open,
# chown(-1, -1). A landing can't hang on that.
[[ -n ${STORM_SEED:-} || ${CAISSON_LONG:-0} == 1 ]] || skip "it takes STORM_SEED=N, or CAISSON_LONG=1"

plain=$scratch/plain
make_backing ext4 256M
make_backing ext4 256M "$plain"
chmod 755 "$backing" "$plain"
export STORM_SECONDS=${STORM_SECONDS:-9}

# storm aside|behind OPTIONS: a difference in one part doesn't hide those of another
red=()
storm() {
	say "$1, $2"
	serve "$backing" "$mnt" "allow_other,suid,dev,trusted_xattr,$2"
	python3 "$tests_dir/integration/storm.py" "$1" "$mnt" "$backing" "$plain" || red+=("$1")
	unserve
}

storm aside attr_timeout=1,entry_timeout=1
storm aside attr_timeout=0,entry_timeout=0
storm behind attr_timeout=0,entry_timeout=0
same "${red[*]}" "" "list of red parts"
