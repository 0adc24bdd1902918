#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A differential storm (storm.py): random operations by several identities, the same ones on the
# mount and on a plain ext4 filesystem beside it. Errors, results and whole trees must be the same;
# and with no time-outs also where somebody works in the backing directory meanwhile.
#
# The first line of output of each part names its seed. STORM_SEED=N repeats a run, STORM_SECONDS=N
# lengthens each part of it, and more of the environment is in storm.py.
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
