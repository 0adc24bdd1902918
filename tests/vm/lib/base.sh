# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

: "${vm_dir:?}"

note() { echo "vm: $*"; }
warn() { echo "vm: $*" >&2; }

# need_packages NAME...: 0 when all are installed, now or by then; says what is missing otherwise.
# The whole test suite's own, where it is there: this directory also works alone.
if [[ -r $vm_dir/../lib/packages.sh ]]; then
	# shellcheck source=/dev/null
	source "$vm_dir/../lib/packages.sh"
else
	need_packages() {
		local name missing=()
		for name; do
			[[ $(dpkg-query -W -f "\${db:Status-Status}" "$name" 2>/dev/null) == installed ]] ||
				missing+=("$name")
		done
		((${#missing[@]})) || return 0
		if ((EUID)); then
			warn "missing packages, and not root to install them: ${missing[*]}"
			return 1
		fi
		note "installing ${missing[*]}"
		install_packages "${missing[@]}" || { apt-get -qq update && install_packages "${missing[@]}"; }
	}

	install_packages() {
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" >/dev/null
	}
fi
