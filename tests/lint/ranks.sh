#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Layers: each file of daemon/ has a rank (tests/lint/ranks), includes only its own rank or below,
# and foo.c includes "foo.h" before anything else of ours.
#
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

declare -A rank
while read -r number names; do
	[[ $number == [0-9] ]] || continue
	for name in $names; do
		rank[$name]=$number
	done
done <"$tests_dir/lint/ranks"

bad=0
complain() {
	echo "$*"
	bad=$((bad + 1))
}

cd "$root_dir/daemon"
for file in *.c *.h; do
	own=${file%.*}
	if [[ ! -v rank[$own] ]]; then
		complain "$file: has no rank in tests/lint/ranks"
		continue
	fi
	mapfile -t included < <(sed -n 's/^#include "\(.*\)\.h"$/\1/p' "$file")
	for name in "${included[@]}"; do
		name=${name#caisson/}
		if [[ ! -v rank[$name] ]]; then
			complain "$file: includes $name.h, which has no rank"
		elif ((rank[$name] > rank[$own])); then
			complain "$file (rank ${rank[$own]}) includes $name.h (rank ${rank[$name]})"
		fi
	done
	if [[ $file == *.c && -f $own.h && ${included[0]-} != "$own" ]]; then
		complain "$file: includes ${included[0]-nothing}.h before $own.h"
	fi
done
for name in "${!rank[@]}"; do
	[[ -e $name.c || -e $name.h || -e ../include/caisson/$name.h ]] ||
		complain "tests/lint/ranks: there is no $name"
done
same "$bad" 0 "number of complaints"
