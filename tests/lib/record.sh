# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # $root_dir is of the script that sources this
#
# Pages of measured results, which a command prints. Needs $root_dir.

# Prints the commit of caisson that is measured.
revision_here() {
	git -c safe.directory="$root_dir" -C "$root_dir" describe --always --dirty 2>/dev/null || echo unknown
}

# record_page PAGE COMMAND...: writes what COMMAND prints to PAGE. A section "Measured before ..." at
# the end of PAGE stays, because no command can measure it again.
record_page() {
	local page=$1 kept new
	shift
	kept=$(sed -n '/^## Measured before /,$p' "$page") && new=$("$@") || return 1
	printf '%s\n' "$new" ${kept:+"" "$kept"} >"$page"
}
