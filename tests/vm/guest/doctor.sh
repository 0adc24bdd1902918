# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# What the cases about `caisson doctor` share.

# drawn WHAT OBJECT: doctor's tree for it, and the first lines of the verdicts, without the numbers
# of processes, are what stands in the input
drawn() {
	cat >/run/picture.wanted
	run_with_timeout 30 caisson doctor "$2" >/run/picture.full
	sed 's/^/doctor: /' /run/picture.full
	sed -e '/^     seen: /d' -e '/^     remedy: /d' -e 's/([0-9]*)/(N)/g' /run/picture.full \
		>/run/picture
	check "$1" cmp /run/picture /run/picture.wanted
}
