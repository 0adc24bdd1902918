#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A file of daemon/ includes headers of its own folder and of those that tests/lint/folders allows,
# and always writes the folder. foo.c includes "folder/foo.h" before any other header of ours.
# No files include each other in a circle; foo.c, foo.h and the private parts of foo, such as
# foo-bar.c, count as one file.
#
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

declare -A allowed
while read -r folder others; do
	[[ -z $folder || $folder == '#' ]] || allowed[$folder]=$others
done <"$tests_dir/lint/folders"

bad=0
complain() {
	echo "$*"
	bad=$((bad + 1))
}

cd "$root_dir/daemon"
# by file, its includes of ours in their order
declare -A includes
while IFS=: read -r file header; do
	includes[${file#./}]+="$header "
done < <(grep -rE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' . |
	sed -E 's/[[:space:]]*#[[:space:]]*include[[:space:]]*"(.*)".*/\1/')
# in angle brackets stands what isn't ours
while IFS=: read -r file header; do
	[[ ! -f $header ]] || complain "$file: includes <$header>, which is one of daemon/"
done < <(grep -rE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]]*<' . |
	sed -E 's/[[:space:]]*#[[:space:]]*include[[:space:]]*<(.*)>.*/\1/')
while read -r file; do
	file=${file#./}
	folder=.
	[[ $file != */* ]] || folder=${file%/*}
	if [[ ! -v allowed[$folder] ]]; then
		complain "$file: its folder is not in tests/lint/folders"
		continue
	fi
	read -ra included <<<"${includes[$file]-}"
	for header in "${included[@]}"; do
		[[ $header != caisson/* ]] || continue
		[[ -f $header ]] || complain "$file: includes $header, which daemon/ doesn't have"
		other=${header%/*}
		[[ $other == "$folder" || " ${allowed[$folder]} " == *" $other "* ]] ||
			complain "$file: includes $header, of a folder that $folder may not use"
	done
	own=${file%.c}.h
	if [[ $file == *.c && -f $own && ${included[0]-} != "$own" ]]; then
		complain "$file: includes ${included[0]-nothing} before $own"
	fi
done < <(find . -name '*.[ch]')

# module_of FILE: sets `module` to what FILE is a part of
module_of() {
	local whole=${1%.[ch]}
	module=$whole
	while [[ ${whole##*/} == *-* ]]; do
		whole=${whole%-*}
		[[ ! -f $whole.h ]] || module=$whole
	done
}
edges() {
	local file header from included
	for file in "${!includes[@]}"; do
		module_of "$file"
		from=$module
		read -ra included <<<"${includes[$file]}"
		for header in "${included[@]}"; do
			module_of "$header"
			[[ $from == "$module" ]] || echo "$from $module"
		done
	done
}
circles=$(edges | tsort 2>&1 >/dev/null || true)
[[ -z $circles ]] || complain "files include each other in a circle:${circles//tsort: *loop:/}"

for folder in "${!allowed[@]}"; do
	[[ -d $folder ]] || complain "tests/lint/folders: there is no folder $folder"
done
same "$bad" 0 "number of complaints"
