# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# The peers' programs. Debian 12's are too old to be fair to them: its passthrough_hp has no
# --nopassthrough, and its QEMU serves an export with one thread. So they come from a newer suite
# (CAISSON_PEER_SUITE, default sid) of the machine's own mirror, into a cache and not into the system:
# passthrough_hp built from libfuse's source package with the library linked in, QEMU's storage
# daemon unpacked with all the libraries it was built for. PASSTHROUGH_HP and QEMU_STORAGE_DAEMON
# name others. With --no-fetch only what is there is used.

qemu_command=()
passthrough_hp_failed=
declare -A peer_version=() # for the report

# apt_of_suite CACHE KIND: sets apt_options to an apt root for sources of the suite, KIND deb or
# deb-src, its lists fetched
apt_of_suite() {
	local suite=${CAISSON_PEER_SUITE:-sid}
	# shellcheck disable=SC2034 # for kernel.sh
	cache_dir=$1 kernel_update=0
	# shellcheck source=tests/vm/lib/base.sh
	. "$tests_dir/vm/lib/base.sh"
	# shellcheck source=tests/vm/lib/kernel.sh
	. "$tests_dir/vm/lib/kernel.sh"
	apt_options=()
	mkdir -p "$1"
	kernel_apt_root "$suite" || return 1
	[[ $2 == deb ]] || sed -i 's/^deb \[arch=amd64 lang=none target=Packages/deb-src [lang=none target=Sources/' \
		"$1/apt/$suite/sources.list"
	apt-get "${apt_options[@]}" -qq update
}

# fetch_peer NAME PACKAGE...: by the function fetch_NAME, which needs PACKAGEs; what it says is in a log
fetch_peer() {
	local name=$1 dir=$peers_dir/$1 log=$results_dir/logs/peer-$1.log
	shift
	if ((!fetch)); then
		why="it is not here, and --no-fetch"
		return 1
	fi
	say "fetching $name; kept in $peers_dir"
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	# in a shell of its own: what it takes of tests/vm/lib has names that are ours here
	if need_packages "$@" >"$log" 2>&1 && ("fetch_$name" "$dir.new") >>"$log" 2>&1; then
		rm -rf "$dir"
		mv "$dir.new" "$dir"
		return 0
	fi
	rm -rf "$dir.new"
	why="cannot be fetched or built: $(grep -v '^ *$' "$log" | tail -n 1)"
	return 1
}

# --- passthrough_hp ---

fetch_passthrough_hp() {
	local dir=$1 source=$1/libfuse apt_options
	apt_of_suite "$peers_dir/apt-src" deb-src || return 1
	(cd "$dir" && apt-get "${apt_options[@]}" -qq source --download-only fuse3) &&
		dpkg-source --no-check -x "$dir"/fuse3_*.dsc "$source" &&
		meson setup "$source/build" "$source" --default-library=static --buildtype=release \
			-Dtests=false -Dutils=false &&
		ninja -C "$source/build" example/passthrough_hp &&
		cp "$source/build/example/passthrough_hp" "$dir/" &&
		sed -n 's/^Version: \([0-9.]*\).*/\1/p' "$dir"/fuse3_*.dsc >"$dir/version" &&
		rm -rf "$source"
}

# peer_passthrough_hp: sets PASSTHROUGH_HP; 1 and $why without
peer_passthrough_hp() {
	local dir=$peers_dir/passthrough_hp
	[[ -z ${PASSTHROUGH_HP:-} ]] || return 0
	why=$passthrough_hp_failed # is asked once for each of its modes
	if [[ -z $why && ! -x $dir/passthrough_hp ]]; then
		fetch_peer passthrough_hp dpkg-dev meson ninja-build gcc g++ pkg-config liburing-dev \
			libnuma-dev || passthrough_hp_failed=$why
	fi
	[[ -z $why ]] || return 1
	PASSTHROUGH_HP=$dir/passthrough_hp
	peer_version[passthrough-hp]="libfuse $(<"$dir/version")"
}

# --- QEMU's storage daemon ---

fetch_qemu() {
	local dir=$1 apt_options deb package=qemu-utils
	apt_of_suite "$peers_dir/apt" deb || return 1
	# with no packages installed, by its root's status: so with all libraries
	apt-get "${apt_options[@]}" -qq -y --no-install-recommends --download-only install "$package" || return 1
	for deb in "$peers_dir"/apt/apt/*/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --exclude='./usr/share/*' || return 1
		rm "$deb"
	done
	[[ -x $dir/usr/bin/qemu-storage-daemon ]]
}

# qemu_in DIR: sets qemu_command to the daemon unpacked there, run by the loader unpacked there
qemu_in() {
	local loader libraries
	loader=$(find "$1" -name 'ld-linux-x86-64.so.2' -print -quit)
	libraries=$(find "$1" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
	qemu_command=("$loader" --library-path "${libraries%:}" "$1/usr/bin/qemu-storage-daemon")
	qemu_exports
}

qemu_exports() { ((${#qemu_command[@]})) && [[ $("${qemu_command[@]}" --help 2>&1) == *'[type=]fuse'* ]]; }

# peer_qemu: sets qemu_command; 1 and $why without
peer_qemu() {
	local dir=$peers_dir/qemu
	if [[ -n ${QEMU_STORAGE_DAEMON:-} ]]; then
		qemu_command=("$QEMU_STORAGE_DAEMON")
	elif { [[ -d $dir ]] || fetch_peer qemu xz-utils zstd; } && qemu_in "$dir"; then
		:
	elif type -P qemu-storage-daemon >/dev/null || need_packages qemu-system-common; then
		qemu_command=(qemu-storage-daemon)
	fi
	why=
	if ! qemu_exports; then
		why="no qemu-storage-daemon with FUSE exports"
		return 1
	fi
	peer_version[qemu-fuse]="QEMU $("${qemu_command[@]}" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')"
}
