#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Lines of C keep within 100 columns, and what a comment names exists: foo.h, foo.c and foo.md are
# files of the repository, and noun_verb() is a function of ours if noun is one of our files. A
# comment names a file of the kernel with its path, such as fs/fuse/dev.c.
#
#@ packages: git
#@ timeout: 60
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir"
files() { git -c safe.directory="$root_dir" ls-files -- "$@"; }
mapfile -t sources < <(files 'daemon/*.[ch]' 'include/*.h' 'tests/*.[ch]')
more "${#sources[@]}" 100 "number of sources"

# each comment's lines, with the file before them; and those that are too wide
awk -v dir="$scratch" '
	function columns(text,    count) {
		for (count = 0; (at = index(text, "\t")); text = substr(text, at + 1))
			count += at - 1 + 8 - (count + at - 1) % 8
		return count + length(text)
	}
	FNR == 1 { inside = 0 }
	{
		if (columns($0) > 100)
			print FILENAME ":" FNR ": " columns($0) " columns" >(dir "/wide")
		while (length) {
			if (!inside) {
				if (!(at = index($0, "/*"))) break
				$0 = substr($0, at + 2)
				inside = 1
			}
			at = index($0, "*/")
			print FILENAME ": " (at ? substr($0, 1, at - 1) : $0) >(dir "/comments")
			if (!at) break
			$0 = substr($0, at + 2)
			inside = 0
		}
	}' "${sources[@]}"
[[ ! -s $scratch/wide ]] || fail "lines wider than 100 columns:"$'\n'"$(<"$scratch/wide")"

# what is called or defined outside comments, the repository's file names, and the nouns of daemon/
sed 's,/\*.*\*/,,; /^[[:space:]]*\*/d; /\/\*/d' "${sources[@]}" | grep -oE '\b[a-z][a-z0-9_]*\(' |
	sed 's/($//' | sort -u >"$scratch/functions"
files | sed 's,.*/,,' | sort -u >"$scratch/names"
files 'daemon/*.h' | sed 's,.*/,,; s,\.h$,,; s,-,_,g' | sort -u >"$scratch/nouns"

# of the kernel, though their names begin like ours
kernel='proc_task_readdir inode_owner_or_capable'
missing=$(awk -v dir="$scratch" -v kernel="$kernel" '
	BEGIN {
		for (i = split(kernel, known, " "); i; i--) functions[known[i]]
		while ((getline name <(dir "/functions")) > 0) functions[name]
		while ((getline name <(dir "/names")) > 0) names[name]
		while ((getline name <(dir "/nouns")) > 0) nouns[name]
	}
	function is_ours(name) {
		while (sub(/_[^_]*$/, "", name))
			if (name in nouns) return 1
		return 0
	}
	{
		file = $1
		text = $0
		while (match(text, /[A-Za-z0-9_\/.-]+\.([ch]|md)([^A-Za-z0-9_]|$)/)) {
			name = substr(text, RSTART, RLENGTH)
			sub(/[^A-Za-z0-9_]$/, "", name)
			text = substr(text, RSTART + RLENGTH)
			if (name ~ /^(base|reclaim|store|handlers|serve|host|tool)\//) sub(/.*\//, "", name)
			if (name !~ /\// && !(name in names)) print file " names " name
		}
		text = $0
		while (match(text, /[a-z][a-z0-9_]*\(\)/)) {
			name = substr(text, RSTART, RLENGTH - 2)
			text = substr(text, RSTART + RLENGTH)
			if (is_ours(name) && !(name in functions)) print file " names " name "()"
		}
	}' "$scratch/comments")
[[ -z $missing ]] || fail "names that there are not:"$'\n'"$missing"
