# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Stock Debian kernels, unpacked into a cache and never installed.
#
#   CACHE/kernels/SUITE/current -> VERSION
#   CACHE/kernels/SUITE/VERSION/{vmlinuz,vmlinux,lib/modules/VERSION/...}
#
# SUITE is `own` (whatever linux-image-amd64 is for this machine's apt) or the name of a suite of
# the same mirror. What is in the cache is used without asking anybody, so a second run works off
# line; kernel_update=1 asks again. A version's directory appears by one rename when it is whole.

: "${cache_dir:?}" "${kernel_update:=0}"

# apt's options for a SUITE go into the array apt_options. For a foreign suite that is an apt root
# of its own: own sources, lists and cache and an empty dpkg status, but the machine's keys,
# proxies and credentials. Where the mirror is, apt itself says; no host name is written here.
kernel_apt_root() {
	local suite=$1 root=$cache_dir/apt/$1 uri signed_by
	apt_options=(-o APT::Sandbox::User=root)
	[[ $suite != own ]] || return 0

	uri=$(apt-get indextargets --format "\$(LABEL)|\$(COMPONENT)|\$(REPO_URI)" \
		'Created-By: Packages' | sed -n 's/^Debian|main|//p' | head -n 1)
	if [[ -z $uri ]]; then
		# Without downloaded lists apt knows no labels; its first source is the best guess.
		uri=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' | head -n 1)
	fi
	if [[ -z $uri ]]; then
		warn "cannot find a Debian mirror for suite $suite: apt has no sources"
		return 1
	fi
	signed_by=/usr/share/keyrings/debian-archive-keyring.gpg
	[[ -r $signed_by ]] && signed_by="signed-by=$signed_by" || signed_by=

	mkdir -p "$root/lists/partial" "$root/archives/partial" || return 1
	echo "deb [arch=amd64 lang=none target=Packages $signed_by] $uri $suite main" \
		>"$root/sources.list"
	# The machine's hooks after an update (desktop notifications and the like) aren't for us.
	printf '#clear APT::Update::%s;\n' Pre-Invoke Post-Invoke Post-Invoke-Success \
		>"$root/apt.conf"
	: >"$root/status"
	apt_options+=(
		-c "$root/apt.conf"
		-o Dir::Etc::sourcelist="$root/sources.list"
		-o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferences=/dev/null
		-o Dir::Etc::preferencesparts=/dev/null
		-o Dir::State::status="$root/status"
		-o Dir::State::lists="$root/lists"
		-o Dir::Cache="$root"
		-o Acquire::Languages=none
	)
}

# The versioned packages that make up linux-image-amd64, one NAME=VERSION a line. Newer suites
# split the image into several packages, so its versioned kernel dependencies are followed.
kernel_resolve() {
	local name=linux-image-amd64 seen=' ' todo=(linux-image-amd64) record version depends
	while ((${#todo[@]})); do
		name=${todo[0]}
		todo=("${todo[@]:1}")
		[[ $seen != *" $name "* ]] || continue
		seen+="$name "
		record=$(apt-cache "${apt_options[@]}" show --no-all-versions "$name" 2>/dev/null) ||
			return 1
		version=$(sed -n 's/^Version: //p' <<<"$record" | head -n 1)
		[[ -n $version ]] || return 1
		[[ $name == linux-image-amd64 ]] || echo "$name=$version"
		depends=$(sed -n -E 's/^(Pre-)?Depends: //p' <<<"$record" | tr ',|' '\n' |
			grep -oE 'linux-(base|binary|image|modules)-[0-9][^ ]*' || true)
		# shellcheck disable=SC2206 # package names hold no blanks and no globs
		todo+=($depends)
	done
}

# An uncompressed vmlinux boots through QEMU's PVH entry, which spares an emulated machine six
# seconds of unpacking bzImage. Offsets: Documentation/arch/x86/boot.rst (setup_sects,
# payload_offset, payload_length). Where that fails, vmlinuz is used as it is.
kernel_extract() {
	local image=$1 out=$2 sects payload length unpack
	sects=$(od -An -tu1 -j 497 -N 1 "$image" | tr -d ' ')
	payload=$(od -An -tu4 -j 584 -N 4 "$image" | tr -d ' ')
	length=$(od -An -tu4 -j 588 -N 4 "$image" | tr -d ' ')
	payload=$(((sects + 1) * 512 + payload))
	case $(od -An -tx1 -j "$payload" -N 4 "$image" | tr -d ' ') in
	fd377a58) unpack=xz ;;
	28b52ffd) unpack=zstd ;;
	1f8b*) unpack=gzip ;;
	*) return 0 ;;
	esac
	# The last four bytes of the payload are its unpacked size, not part of the stream.
	tail -c +"$((payload + 1))" "$image" | head -c "$((length - 4))" | "$unpack" -dc >"$out.part"
	if [[ $(head -c 4 "$out.part" | od -An -tx1 | tr -d ' ') == 7f454c46 ]]; then
		mv "$out.part" "$out"
	else
		rm -f "$out.part"
	fi
}

# Fills the directory $2 from the packages in the directory $1.
kernel_unpack() {
	local debs=$1 dir=$2 deb modules image release
	mkdir -p "$dir/root" || return 1
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir/root" \
			--exclude='*/kernel/sound' --exclude='*/kernel/drivers/gpu' \
			--exclude='*/kernel/drivers/media' --exclude='*/kernel/drivers/net/wireless' ||
			return 1
	done
	# Where things are has moved: to /usr with trixie, the image to the modules after it.
	mkdir "$dir/lib" || return 1
	for modules in "$dir"/root/usr/lib/modules "$dir"/root/lib/modules; do
		[[ ! -d $modules ]] || mv "$modules" "$dir/lib/" || return 1
	done
	release=$(basename "$(echo "$dir"/lib/modules/*)")
	for image in "$dir/root/boot/vmlinuz-$release" "$dir/lib/modules/$release/vmlinuz"; do
		[[ ! -e $image ]] || mv "$image" "$dir/vmlinuz" || return 1
	done
	rm -rf "$dir/root"
	if [[ ! -e $dir/vmlinuz ]]; then
		echo "no kernel image in the packages"
		return 1
	fi
	depmod -b "$dir" "$release" && kernel_extract "$dir/vmlinuz" "$dir/vmlinux" &&
		echo "$release" >"$dir/release"
}

# kernel_get SUITE DIR WORK: what apt knows of SUITE's kernel, downloaded and unpacked into DIR.
kernel_get() {
	local suite=$1 dir=$2 work=$3 packages version
	packages=$(kernel_resolve) && [[ -n $packages ]] || return 1
	version=$(head -n 1 <<<"$packages" | sed 's/.*=//')
	if [[ ! -e $dir/$version/release ]]; then
		note "fetching the kernel of suite $suite: ${packages//$'\n'/ }" >&3
		# shellcheck disable=SC2086 # one word a package
		(cd "$work" && apt-get "${apt_options[@]}" -qq download $packages) &&
			kernel_unpack "$work" "$work/$version" &&
			mv "$work/$version" "$dir/$version" || return 1
	fi
	ln -sfn "$version" "$dir/current"
}

# The machine's own lists may do, and then nobody but the mirror's pool is asked; they may also be
# missing, or so old that the pool has dropped what they name.
kernel_fetch() {
	local suite=$1 dir=$cache_dir/kernels/$1 work status=1 apt_options
	kernel_apt_root "$suite" || return 1
	mkdir -p "$dir" && work=$(mktemp -d "$dir/new.XXXXXX") || return 1
	{
		[[ $suite == own ]] && kernel_get "$suite" "$dir" "$work" || {
			apt-get "${apt_options[@]}" -qq update && kernel_get "$suite" "$dir" "$work"
		}
	} 3>&1 >"$work/log" 2>&1 && status=0
	((status == 0)) ||
		warn "cannot get linux-image-amd64 of suite $suite:" \
			"$(grep -m 1 -E '^[EW]: |^no ' "$work/log")"
	rm -rf "$work"
	return $status
}

# Sets kernel_dir, kernel_image, kernel_release and kernel_suite for SUITE, fetching it when the cache has none.
kernel_prepare() {
	local suite=$1
	kernel_dir=$cache_dir/kernels/$suite/current
	if [[ ! -e $kernel_dir/release ]] || ((kernel_update)); then
		(
			# One fetches, others wait and find it done.
			flock 9
			[[ -e $kernel_dir/release ]] && ((!kernel_update)) || kernel_fetch "$suite"
		) 9>"$cache_dir/lock" || return 1
	fi
	kernel_dir=$(readlink -f "$kernel_dir")
	# shellcheck disable=SC2034 # outputs
	kernel_suite=$suite
	# shellcheck disable=SC2034 # outputs
	kernel_release=$(<"$kernel_dir/release")
	kernel_image=$kernel_dir/vmlinux
	[[ -e $kernel_image ]] || kernel_image=$kernel_dir/vmlinuz
}
