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
	BEGIN {
		forms["alone"] = "yes"
		forms["sanitize"] = "yes|asan|tsan"
		forms["transport"] = "one"
		forms["control"] = "fails"
		forms["kernels"] = "own|sid|own sid"
		forms["timeout"] = forms["memory"] = forms["limit"] = forms["pause"] = forms["cpus"] = "[0-9]+"
	}
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
	/^( \* )?#@/ && (!inside || !/^( \* )?#@ [a-z]+: +[^ ]/) {
		print FILENAME ":" FNR ": is no `#@ KEY: VALUE` of the head: " $0
		next
	}
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
		value = $0
		sub(/^[^:]*: */, "", value)
		if (key in forms && value !~ "^(" forms[key] ")$")
			print FILENAME ":" FNR ": no such value: " key ": " value
		next
	}
	inside && /^(#| \*) [A-Za-z`]/ && !/SPDX|^# shellcheck / { text[FILENAME] = 1 }
	END {
		for (file in text)
			if (!text[file]) print file ": its head does not say what it tests"
	}' lib/head-keys "${cases[@]}" >"$scratch/wrong"
find lint integration model -name '*.sh' ! -perm -111 -printf '%p: not executable\n' >>"$scratch/wrong"
find lint integration model vm/cases -name '*.sh' -empty -printf '%p: empty\n' >>"$scratch/wrong"
[[ ! -s $scratch/wrong ]] || fail "heads of cases:"$'\n'"$(<"$scratch/wrong")"
