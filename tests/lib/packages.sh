# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# need_packages PACKAGE...: installs through apt-get those that are missing, and only those.
#
# 0 when all are there by then; otherwise it says on stderr in one line what is missing, and is 1.
# A package may be written as alternatives, `a|b`: the first that is there, or that apt has, will
# do. Works on a machine that has nothing but what debootstrap leaves: package lists are fetched
# when the ones at hand don't do, once a process.

packages_updated=
packages_there=' ' # those that were found installed, each between spaces

package_is_installed() {
	[[ $packages_there != *" $1 "* ]] || return 0
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] || return
	packages_there+="$1 "
}

package_is_known() {
	[[ -n $(apt-cache show --no-all-versions "$1" 2>/dev/null) ]]
}

# packages_missing PACKAGE...: sets `missing` to the words of which no alternative is installed
packages_missing() {
	local word name
	local -a names
	missing=()
	for word; do
		IFS='|' read -ra names <<<"$word"
		for name in "${names[@]}"; do
			! package_is_installed "$name" || continue 2
		done
		missing+=("$word")
	done
}

# packages_choose WORD...: one name a word, the first that apt knows; the last when it knows none.
packages_choose() {
	local word name
	local -a names
	for word; do
		IFS='|' read -ra names <<<"$word"
		for name in "${names[@]}"; do
			! package_is_known "$name" || break
		done
		echo "$name"
	done
}

# apt_quiet ARGUMENT...: apt-get without questions; what it says is shown only when it fails.
# Another apt that holds the lock is waited for.
apt_quiet() {
	local output status=0
	output=$(LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null 2>&1) || status=$?
	((status == 0)) || packages_error=$(grep -E '^(E|W): ' <<<"$output" | tail -n 1)
	return $status
}

packages_install() {
	local -a names
	mapfile -t names < <(packages_choose "$@")
	apt_quiet install --no-install-recommends "${names[@]}"
}

need_packages() {
	local -a missing
	local packages_error=
	packages_missing "$@"
	((${#missing[@]})) || return 0
	if ! type -P apt-get >/dev/null; then
		echo "missing packages, and no apt-get to install them: ${missing[*]}" >&2
		return 1
	fi
	if ((EUID)); then
		echo "missing packages, and not root to install them: ${missing[*]}" >&2
		return 1
	fi

	echo "installing ${missing[*]}"
	if packages_install "${missing[@]}"; then
		return 0
	fi
	if [[ -z $packages_updated ]]; then
		packages_updated=1
		if apt_quiet update && packages_install "${missing[@]}"; then
			return 0
		fi
	fi
	echo "cannot install ${missing[*]}: ${packages_error:-apt-get failed}" >&2
	return 1
}
