# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What a case says about itself, and what its console log says about how it went.

# case_values FILE KEY: the words after `#@ KEY:` in a case, all on one line.
case_values() {
	sed -n "s/^#@ $2: *//p" "$1" | tr '\n' ' ' | sed 's/ *$//'
}

# case_value FILE KEY DEFAULT
case_value() {
	local value
	value=$(case_values "$1" "$2")
	echo "${value:-$3}"
}

# Trouble that only the kernel can tell of. A line of the kernel's has its time in front, so what
# a program prints is no complaint.
declare -A complaint_pattern=(
	[hung-task]='INFO: task .* blocked for more than'
	[oops]='(BUG: |Oops: |general protection fault|Internal error|Unable to handle)'
	[panic]='Kernel panic'
	[warning]='WARNING: .* at '
	[oom]='(invoked oom-killer|Out of memory: Killed)'
	[io-error]='(I/O error, dev|Buffer I/O error|EXT4-fs error)'
	[xfs-error]='XFS .*(Corruption|Internal error|metadata I/O error)'
)

# log_complaint LOG EXPECTED...: the first line of trouble that the case didn't announce.
log_complaint() {
	local log=$1 kind patterns=
	shift
	for kind in "${!complaint_pattern[@]}"; do
		[[ " $* " == *" $kind "* ]] || patterns+="|${complaint_pattern[$kind]}"
	done
	# Not what the host's own dump after a time-out brings up.
	sed '/sysrq: Show Blocked State/,$d' "$log" |
		grep -a -m 1 -E "^.*\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? .*(${patterns#|})" |
		sed -E 's/^.*(\[ *[0-9]+\.[0-9]+\])/\1/'
}

# log_verdict LOG: `WORD passed=N failed=N skipped=N`, or nothing.
log_verdict() {
	local pattern='vm: verdict (pass|fail|skip) passed=[0-9]+ failed=[0-9]+ skipped=[0-9]+'
	tr -d '\r' <"$1" | grep -a -o -E "$pattern" | tail -n 1 | sed 's/^vm: verdict //'
}

# log_lines LOG PREFIX: the harness lines of one sort (`not ok`, `skip`), without their prefix.
log_lines() {
	tr -d '\r' <"$1" | grep -a -o -E "vm: $2: .*" | sed "s/^vm: $2: //"
}
