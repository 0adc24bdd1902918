#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every script is looked over by shellcheck.
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
shellcheck --external-sources "${scripts[@]}"
