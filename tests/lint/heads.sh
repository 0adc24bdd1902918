#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Each case says at its head what it tests, and has only `#@ KEY: VALUE` lines whose key
# tests/lib/head-keys allows in its folder. A case that is run as a program is executable.
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$tests_dir"
cases=({lint,integration,model,vm/cases,vm/lab/scenarios,vm/lab/cuts}/*.sh model/*.pml)
more "${#cases[@]}" 100 "number of cases"
awk '
	FILENAME == ARGV[1] {
		if (/^[a-z]/) {
			split($0, column, /\t+/)
			folders[column[1]] = column[2]
		}
		next
	}
	FNR == 1 {
		inside = 1
		dir = FILENAME
		sub(/[^\/]*$/, "", dir)
		text[FILENAME] = 0
	}
	inside && !/^(#|\/\*| \*)/ { inside = 0 }
	inside && /^( \* )?#@/ {
		key = $0
		sub(/^( \* )?#@ ?/, "", key)
		sub(/:.*/, "", key)
		allowed = 0
		count = split(folders[key], folder, " ")
		for (i = 1; i <= count; i++)
			if (index(dir, folder[i] "/") == 1) allowed = 1
		if (!allowed)
			print FILENAME ":" FNR ": no such key here: " key
		next
	}
	inside && /^(#| \*) [A-Za-z`]/ && !/SPDX|^# shellcheck / { text[FILENAME] = 1 }
	END {
		for (file in text)
			if (!text[file]) print file ": its head does not say what it tests"
	}' lib/head-keys "${cases[@]}" >"$scratch/wrong"
find lint integration model -name '*.sh' ! -perm -111 -printf '%p: not executable\n' >>"$scratch/wrong"
[[ ! -s $scratch/wrong ]] || fail "heads of cases:"$'\n'"$(<"$scratch/wrong")"
