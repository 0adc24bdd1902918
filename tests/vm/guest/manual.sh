# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The steps of a manual page, run as they are printed.
#
#	#@ tree: man/caisson-zoned.7

# manual_steps PAGE SUBSECTION N: the lines of its Nth literal display, as a shell reads them
manual_steps() {
	awk -v wanted="$2" -v number="$3" '
		/^\.S[hs] / { inside = ($0 == ".Ss " wanted) }
		!inside { next }
		/^\.Bd -literal/ { display++; next }
		/^\.Ed/ { show = 0 }
		display == number { show = 1 }
		/^\.Ed/ { if (display == number) exit }
		show { gsub(/\\e/, "\\"); print }' "/vm/$1"
}

# manual_step PAGE SUBSECTION N WHAT: runs them in this shell, one after the other; each has to do well
manual_step() {
	manual_steps "$1" "$2" "$3" >/run/steps
	sed 's/^/manual: /' /run/steps
	[ -s /run/steps ] || die "$4: $1 has no such steps"
	set -e
	# shellcheck source=/dev/null
	. /run/steps
	set +e
	ok "$4"
}
