#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every script passes shellcheck. These warnings are left out:
#   SC2119   functions of lib/mount.sh have optional arguments, which are not the case's own
#   SC2164   a cd that fails ends a case (set -e)
#
#@ packages: shellcheck git
#@ timeout: 240
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir"
mapfile -t scripts < <(
	find tests .ci -type f -not -path '*/corpus/*' -exec awk '
		FNR == 1 && (/^#!.*sh$/ || FILENAME ~ /\.sh$/) { print FILENAME } { nextfile }' {} + | sort
)
more "${#scripts[@]}" 20 "number of scripts"
shellcheck --external-sources --source-path=SCRIPTDIR --source-path=. --source-path=tests \
	--source-path=tests/lib --exclude=SC2119,SC2164 "${scripts[@]}"
