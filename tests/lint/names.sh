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

# none PATTERN WHAT: in no file of the repository. A [letter] keeps a pattern from finding itself.
none() {
	local found
	found=$(files ':!LICENSE' ':!tests/fuzz/corpus' | xargs grep -nIE "$1" || true)
	[[ -z $found ]] || fail "$2:"$'\n'"$found"
}
none '(deb|ftp|cdn|security|snapshot)\.debian\.|registry\.npmj[s]|pkg\.de[v]' "a registry's host is named"
none '/wor[k]/(main|steering|shared)|/far[m]/|(^|[^"})a-z])/roo[t]/' "a path of somebody's machine"
none '\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b' "unfinished work"

for file in $(files '*.[ch]' '*.sh' '*meson.build'); do
	head -n 2 "$file" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' ||
		fail "$file: no licence in its first two lines"
done
