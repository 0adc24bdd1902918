# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The module zloop, which Debian's kernels don't have: `#@ modules: zloop` makes it. Its one source
# file, from the linux-source package of the kernel's own version, is built against that version's
# linux-headers with the compiler that those name, in a tree of unpacked packages of the kernel's
# suite: as strange to this machine as the kernel itself, C library included, so it is built
# inside, by chroot. Only the module is kept, among the kernel's own in the cache:
#
#   CACHE/kernels/SUITE/VERSION/lib/modules/RELEASE/updates/zloop.ko

: "${cache_dir:?}" "${work_dir:?}"
: "${kernel_dir:=}" "${kernel_release:=}" "${kernel_suite:=}" # set by kernel_prepare

zloop_missing= # an output: why not

# What the make of a kernel module runs beside the compiler, which the headers depend on.
zloop_tools=(make dash coreutils findutils gawk grep sed)

# zloop_download DIR: the packages of the tree and the source, by apt's own resolver, for which
# nothing is installed.
zloop_download() {
	local dir=$1 version=${kernel_dir##*/} source
	source=linux-source-$(grep -oE '^[0-9]+\.[0-9]+' <<<"$kernel_release")
	mkdir -p "$dir/archives/partial" && : >"$dir/status" || return 1
	apt-get "${apt_options[@]}" -qq -y --no-install-recommends --download-only \
		-o Dir::State::status="$dir/status" -o Dir::Cache="$dir" -o Debug::NoLocking=true \
		install "linux-headers-$kernel_release=$version" "${zloop_tools[@]}" &&
		(cd "$dir" && apt-get "${apt_options[@]}" -qq download "$source=$version")
}

# zloop_unpack DIR: makes the tree `root` in it, with the source in its directory `build`.
zloop_unpack() {
	local dir=$1 root=$1/root deb link
	mkdir -p "$root"/{build,dev,proc,tmp} || return 1
	for deb in "$dir"/archives/*.deb; do
		dpkg-deb -x "$deb" "$root" || return 1
	done
	# What the maintainer scripts would have made.
	for link in bin sbin lib lib64; do
		[[ -e $root/$link ]] || ln -s "usr/$link" "$root/$link" || return 1
	done
	[[ -e $root/usr/bin/awk ]] || ln -s gawk "$root/usr/bin/awk" || return 1

	# tar ends with the first match, before dpkg-deb has written all, which it complains of.
	dpkg-deb --fsys-tarfile "$dir"/linux-source-*.deb 2>/dev/null |
		tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
		tar -xJO --occurrence=1 --wildcards 'linux-source-*/drivers/block/zloop.c' \
			>"$root/build/zloop.c" || return 1
	echo 'obj-m := zloop.o' >"$root/build/Makefile"
}

# zloop_make ROOT: in a mount namespace of its own, and of its own users where we aren't root.
zloop_make() {
	local namespace=(--mount)
	((EUID == 0)) || namespace+=(--map-root-user)
	# BTF of a module needs the kernel's, which isn't in every suite's headers.
	# shellcheck disable=SC2016 # for the shell inside
	unshare "${namespace[@]}" bash -c '
		mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" &&
			exec env -i PATH=/usr/bin:/usr/sbin LC_ALL=C chroot "$1" make -C "$2" M=/build \
				CONFIG_DEBUG_INFO_BTF_MODULES= modules
	' zloop "$1" "/usr/src/linux-headers-$kernel_release"
}

zloop_build() {
	local work status=1 modules=$kernel_dir/lib/modules/$kernel_release apt_options
	kernel_apt_root "$kernel_suite" && work=$(mktemp -d "$work_dir/zloop.XXXXXX") || return 1
	note "building zloop for $kernel_release (fetching 250 MB)"
	{
		zloop_download "$work" || {
			apt-get "${apt_options[@]}" -qq update && zloop_download "$work"
		}
	} >"$work/log" 2>&1 && zloop_unpack "$work" >>"$work/log" 2>&1 &&
		zloop_make "$work/root" >>"$work/log" 2>&1 &&
		mkdir -p "$modules/updates" &&
		cp "$work/root/build/zloop.ko" "$modules/updates/.zloop.ko" &&
		mv "$modules/updates/.zloop.ko" "$modules/updates/zloop.ko" &&
		depmod -b "$kernel_dir" "$kernel_release" && status=0
	((status == 0)) || {
		grep -m 1 -E '^E: |rror' "$work/log" || tail -n 1 "$work/log"
	} >"$work_dir/zloop.error"
	rm -rf "$work"
	return $status
}

zloop_is_there() {
	modprobe -d "$kernel_dir" -S "$kernel_release" --show-depends zloop >/dev/null 2>&1
}

# zloop_prepare: kernel_dir has the module zloop; 1 with the reason in zloop_missing.
zloop_prepare() {
	! zloop_is_there || return 0
	if [[ $(printf '%s\n' 6.16 "$kernel_release" | sort -V | head -n 1) != 6.16 ]]; then
		zloop_missing="kernel $kernel_release has no zloop, which came with Linux 6.16"
		return 1
	fi
	: >"$work_dir/zloop.error"
	(
		# One builds, others wait and find it done.
		flock 9
		zloop_is_there || zloop_build
	) 9>"$cache_dir/lock" || {
		# shellcheck disable=SC2034 # an output
		zloop_missing="cannot build zloop for $kernel_release: $(<"$work_dir/zloop.error")"
		return 1
	}
}
