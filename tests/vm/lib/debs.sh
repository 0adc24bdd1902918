# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Programs for the guest from Debian packages that this machine should not install: services, which
# would start here, and what only another suite has. Each is unpacked into the cache and linked
# into the guest's tree from there, with the libraries that it needs: the machine's where it has
# them, else those of the packages that it depends on, unpacked in the same way.
#
#   CACHE/debs/SUITE/PACKAGE/current -> VERSION
#   CACHE/debs/SUITE/PACKAGE/VERSION/{root/,depends}
#
# What is in the cache is used without asking anybody, as with kernels (lib/kernel.sh), from which
# comes also the way to apt.

: "${cache_dir:?}" "${work_dir:?}" "${kernel_update:=0}"

debs_missing=              # an output: why not
declare -A debs_current=() # SUITE:PACKAGE that --update need not look for again

# debs_download PACKAGE WORK DIR: PACKAGE's own newest version, unpacked into DIR/VERSION.
debs_download() {
	local package=$1 work=$2 dir=$3 deb version
	rm -f "$work"/*.deb
	(cd "$work" && apt-get "${apt_options[@]}" -qq download "$package") || return 1
	deb=$(echo "$work"/*.deb)
	version=$(dpkg-deb -f "$deb" Version) || return 1
	if [[ ! -e $dir/$version ]]; then
		mkdir "$work/new" && dpkg-deb -x "$deb" "$work/new/root" || return 1
		# Names alone: the suite has one version of each, and alternatives are all candidates.
		dpkg-deb -f "$deb" Pre-Depends Depends | sed 's/^[A-Za-z-]*: //' | tr ',|' '\n' |
			sed -E 's/^ *([a-z0-9.+-]+).*/\1/' >"$work/new/depends" || return 1
		mv "$work/new" "$dir/$version" || return 1
	fi
	ln -sfn "$version" "$dir/current"
}

# The lists at hand may do; where they are missing or too old, newer ones are fetched.
debs_fetch() {
	local suite=$1 package=$2 dir=$cache_dir/debs/$1/$2 work status=1 apt_options
	kernel_apt_root "$suite" || return 1
	note "fetching package $package of suite $suite"
	mkdir -p "$dir" && work=$(mktemp -d "$dir/new.XXXXXX") || return 1
	{
		((!kernel_update)) && debs_download "$package" "$work" "$dir" || {
			apt-get "${apt_options[@]}" -qq update && debs_download "$package" "$work" "$dir"
		}
	} >"$work/log" 2>&1 && status=0
	((status == 0)) || debs_error "$(grep -E '^E: |error:' "$work/log" | tail -n 1)"
	rm -rf "$work"
	rmdir "$dir" 2>/dev/null
	return $status
}

# From the subshell that holds the lock to the one who asked.
debs_error() { echo "$*" >"$work_dir/debs.error"; }

# debs_get SUITE PACKAGE: sets debs_dir; 1 with the reason in debs_missing.
debs_get() {
	local suite=$1 package=$2
	debs_dir=$cache_dir/debs/$suite/$package/current
	if [[ ! -e $debs_dir ]] || { ((kernel_update)) && [[ ! ${debs_current[$suite:$package]:-} ]]; }
	then
		: >"$work_dir/debs.error"
		(
			# One fetches, others wait and find it done.
			flock 9
			[[ -e $debs_dir ]] && ((!kernel_update)) || debs_fetch "$suite" "$package"
		) 9>"$cache_dir/lock" || {
			debs_missing="no package $package of suite $suite: $(<"$work_dir/debs.error")"
			return 1
		}
	fi
	debs_current[$suite:$package]=1
	debs_dir=$(readlink -f "$debs_dir")
}

# debs_link STAGE ROOT ONLY: an unpacked package's files as links in the guest's tree, where
# everything that is run is in /usr/bin. ONLY: the names of the files that are wanted, between
# commas; all when it is empty. Links that lead nowhere are left out.
debs_link() {
	local stage=$1 root=$2 only=$3 file target
	while read -r file; do
		[[ -z $only || ,$only, == *",${file##*/},"* ]] || continue
		case $file in
		usr/share/doc/* | usr/share/man/* | usr/share/locale/* | usr/share/lintian/*) continue ;;
		bin/* | sbin/* | usr/bin/* | usr/sbin/*) target=usr/bin/${file##*/} ;;
		lib/*) target=usr/$file ;;
		*) target=$file ;;
		esac
		[[ -e $root/$file ]] || continue
		mkdir -p "$stage/${target%/*}" && ln -sf "$root/$file" "$stage/$target" || return 1
	done < <(cd "$root" && find . ! -type d | sed 's/^\.\///')
}

# What ldd can't find for the guest's programs and plug-ins: sonames, and versions of symbols.
debs_unmet() {
	LD_LIBRARY_PATH=$1/usr/lib initramfs_ldd "$1" 2>&1 |
		sed -n -E "s/^\t([^ ]+) => not found$/\1/p; s/^.*version \`([^']+)' not found.*/\1/p" |
		sort -u
}

# debs_library_package SONAME PACKAGE_DIR...: the package that is named after the library as Debian
# does (libfoo.so.2: libfoo2, libfoo2t64 or libfoo) among those that the others depend on.
debs_library_package() {
	local name=${1,,} bare
	shift
	bare=${name%.so.*} name=${name/.so./}
	# libfoo-1.so.2 is in libfoo-1-2; a digit before the number is kept apart from it by a dash.
	sort -u "${@/%//depends}" | awk -v name="${name//-/}" -v bare="${bare//-/}" '
		{ short = $0; sub(/t64$/, "", short); gsub(/-/, "", short) }
		short == name || short == bare { print; exit }'
}

# debs_libraries STAGE SUITE PACKAGE_DIR: adds the libraries that nobody has yet.
debs_libraries() {
	local stage=$1 suite=$2 dirs=("$3") unmet soname package library
	while unmet=$(debs_unmet "$stage") && [[ -n $unmet ]]; do
		soname=$(head -n 1 <<<"$unmet")
		package=$(debs_library_package "$soname" "${dirs[@]}")
		if [[ -z $package || -e $stage/usr/lib/$soname ]]; then
			debs_missing="programs of suite $suite need $soname, which this machine has not"
			return 1
		fi
		debs_get "$suite" "$package" || return 1
		dirs+=("$debs_dir")
		while read -r library; do
			ln -sf "$library" "$stage/usr/lib/" || return 1
		done < <(find "$debs_dir/root" -name '*.so.*' ! -type d)
		if [[ ! -e $stage/usr/lib/$soname ]]; then
			# shellcheck disable=SC2034 # an output
			debs_missing="package $package of suite $suite holds no $soname"
			return 1
		fi
	done
}

# debs_stage STAGE WORD...: the packages of a case's `#@ debs:` lines, [SUITE:]PACKAGE[=FILE,...].
# 1: something is not to be had (said in debs_missing).
debs_stage() {
	local stage=$1 word suite only
	shift
	for word; do
		suite=own only=
		[[ $word != *=* ]] || only=${word#*=}
		word=${word%%=*}
		[[ $word != *:* ]] || suite=${word%%:*}
		debs_get "$suite" "${word#*:}" || return 1
		debs_link "$stage" "$debs_dir/root" "$only" &&
			debs_libraries "$stage" "$suite" "$debs_dir" || return 1
	done
}
