#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# No file of the repository names a package mirror or a registry, a path of the machine it was
# written on, or unfinished work. Every source has a licence.
#
#@ packages: git
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir"
# a checkout that belongs to someone else is still one to read
files() { git -c safe.directory="$root_dir" ls-files -- "$@"; }
more "$(files | wc -l)" 50 "number of files"

# none PATTERN WHAT: in no file of the repository but this one
none() {
	local found
	found=$(files ':!tests/lint/names.sh' ':!LICENSE' ':!tests/fuzz/corpus' | xargs grep -nIE "$1" || true)
	[[ -z $found ]] || fail "$2:"$'\n'"$found"
}
none '(deb|ftp|cdn|security|snapshot)\.debian\.|registry\.npmjs|pkg\.dev' "a registry's host is named"
none '/work/(main|steering|shared)|/farm/|(^|[^"})a-z])/root/' "a path of somebody's machine"
none '\b(TODO|FIXME|XXX|HACK)\b' "unfinished work"

for file in $(files '*.[ch]' '*.sh' '*meson.build'); do
	head -n 2 "$file" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' ||
		fail "$file: no licence in its first two lines"
done
