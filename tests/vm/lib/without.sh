# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# A caisson that lacks something: a copy of the sources, changed, and built. For what has to see
# that a test notices. The caller has take_NAME for each NAME, which calls replace, and die.

: "${root_dir:?}" "${work_dir:?}"

# replace FILE OLD NEW: exactly one line of the copy is OLD, but for its indentation
replace() {
	local file=$work_dir/source/$1
	[[ $(grep -cxF -- "$2" <(sed 's/^[[:space:]]*//' "$file")) == 1 ]] ||
		die "$1 has no longer one line '$2'"
	OLD=$2 NEW=$3 awk '{ line = $0; sub(/^[[:space:]]*/, "", line) }
		line == ENVIRON["OLD"] { print ENVIRON["NEW"]; next } { print }' "$file" >"$file.new" &&
		mv "$file.new" "$file"
}

# build_without NAME LOG: in the directory `build` of work_dir
build_without() {
	rm -rf "$work_dir/source" "$work_dir/build"
	mkdir "$work_dir/source"
	git -c safe.directory="$root_dir" -C "$root_dir" ls-files -z --cached --others --exclude-standard |
		(cd "$root_dir" && xargs -0 cp --parents -t "$work_dir/source") || exit 2
	"take_${1//-/_}"
	{
		meson setup "$work_dir/build" "$work_dir/source" && meson compile -C "$work_dir/build"
	} >"$2" 2>&1 || die "without $1 it does not build: $(grep -m 1 error: "$2")"
}
