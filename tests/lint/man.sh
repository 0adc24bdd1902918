#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Manual pages are well-formed and installed, their links lead to pages, and they have the same
# options as --help.
#
#@ packages: mandoc
#@ timeout: 30
set -u
# shellcheck source=tests/lib/case.sh
source "$(dirname "$0")/../lib/case.sh"

cd "$root_dir/man"
mandoc -T lint -W warning ./*.[1-9] || fail "mandoc has something to say"
for page in *.[1-9]; do
	grep -q "'$page'" meson.build || fail "man/meson.build doesn't install $page"
done
while read -r page; do
	[[ -e $page ]] || fail "a page refers to $page, which is not in man/"
done < <(sed -n 's/.*Xr \(caisson[a-z_-]*\) \([1-9]\).*/\1.\2/p' ./*.[1-9] | sort -u)

# words LINES: the options named by lines of --help such as "  queues=N"
words() { sed -n 's/^  \([a-z_]\+\)\(=.*\)\?$/\1/p' | sort -u; }

# own options: of --help, and in the page's list between its options' headings
helped=$("$CAISSOND" --help | words)
more "$(wc -l <<<"$helped")" 8 "number of options in --help"
for option in $helped; do
	grep -qE "^\.It Cm $option( Ns|$)" caissond.8 || fail "caissond.8 lacks $option of caissond --help"
done
while read -r option; do
	grep -qx "$option" <<<"$helped" || fail "caissond --help lacks $option of caissond.8"
done < <(sed -n 's/^\.It Cm \([a-z_]\+\) Ns = .*/\1/p' caissond.8 | sort -u)

# switches
while read -r switch; do
	grep -qE "Fl (. , )?-?$switch\b" caissond.8 || fail "caissond.8 lacks -$switch of caissond --help"
done < <("$CAISSOND" --help | grep -oE '^  -[a-zA-Z]|--[a-z]+ ' | tr -d ' -' | sort -u)

# the tool's commands
while read -r command; do
	grep -qE "^\.It Cm $command( |$)" caisson.8 || fail "caisson.8 lacks $command of caisson --help"
done < <("$CAISSON" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p')
while read -r switch; do
	grep -qE "^\.It Fl -$switch( Ns|$)" caisson.8 || grep -qE "^\.Op Fl -$switch\$" caisson.8 ||
		fail "caisson.8 lacks --$switch of caisson --help"
done < <("$CAISSON" --help | grep -oE -e '--[a-z-]+' | sed 's/^--//' | sort -u)
while read -r command; do
	"$CAISSON" --help | grep -q "^  $command " || fail "caisson --help lacks $command of caisson.8"
done < <(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/s/^\.Cm \([a-z]\+\)$/\1/p' caisson.8 | sort -u)

# the rules of `caisson doctor`
rules=$(sed -n 's/^\t\[RULE_[A-Z_]*\] = { "\([a-z-]*\)".*/\1/p' ../daemon/stack/judge.c
	sed -n '/^\t\[RULE_[A-Z_]*\] = {$/{n;s/^\t*"\([a-z-]*\)".*/\1/p}' ../daemon/stack/judge.c)
more "$(wc -l <<<"$rules")" 20 "number of rules"
for rule in $rules; do
	grep -qE "^\.It ([a-z-]+ , )*$rule( ,|\$)" caisson.8 || fail "caisson.8 lacks the rule $rule"
done
