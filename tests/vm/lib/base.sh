# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

note() { echo "vm: $*"; }
warn() { echo "vm: $*" >&2; }

# need_packages NAME...: 0 when all are installed, now or by then; says what is missing otherwise.
if ! declare -F need_packages >/dev/null; then
	need_packages() {
		local name missing=()
		for name; do
			[[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
				missing+=("$name")
		done
		((${#missing[@]})) || return 0
		if ((EUID)); then
			warn "missing packages, and not root to install them: ${missing[*]}"
			return 1
		fi
		note "installing ${missing[*]}"
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
			"${missing[@]}" >/dev/null || DEBIAN_FRONTEND=noninteractive \
			bash -c 'apt-get -qq update && apt-get install -qq -y --no-install-recommends "$@" >/dev/null' \
			- "${missing[@]}"
	}
fi
