# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The guest's whole userland as an initramfs, put together for each case from this machine's
# installed packages and the build. Nothing is copied twice: the staging tree is symbolic links,
# which cpio follows. It isn't compressed: QEMU reads it from the page cache faster than an
# emulated machine unpacks it. What the guest runs from can't be paged out, and nothing that the
# daemon needs lies on a disk (S8).

: "${root_dir:?}" "${vm_dir:?}" "${work_dir:?}" "${build_dir:=}"
: "${kernel_dir:=}" "${kernel_release:=}" # set by kernel_prepare
: "${debs_missing:=}" "${zloop_missing:=}" # set by debs_stage, zloop_prepare

# ldd of all that is run in the guest: programs, libraries and plug-ins.
initramfs_ldd() {
	find "$1/usr/bin" "$1/usr/lib" \( -path '*/bin/*' -o -name '*.so' -o -name '*.so.*' \) \
		! -type d -exec ldd {} +
}

# Every library that the staged programs name, and the one that glibc opens by itself when a
# thread ends; the dynamic linker is among them. All go to /usr/lib: a build's rpath leads
# nowhere in the guest, and the default path finds them.
initramfs_libraries() {
	local stage=$1 library
	for library in $(LD_LIBRARY_PATH=$stage/usr/lib initramfs_ldd "$stage" 2>/dev/null |
		sed -n -E 's/^.* => (\/[^ ]+) .*/\1/p; s/^\t(\/[^ ]+) .*/\1/p' | sort -u) \
		"$(ldconfig -p | sed -n 's/.*libgcc_s\.so\.1 .* => //p' | head -n 1)"
	do
		[[ $library == "$stage"/* ]] || ln -sf "$library" "$stage/usr/lib/$(basename "$library")"
	done
}

# initramfs_modules STAGE NAME...: modules of kernel_dir with what they depend on, in the order of loading.
# NAME? may be missing (parts that some kernels have built in under no name, or dropped).
initramfs_modules() {
	local stage=$1 name file lines files=
	shift
	mkdir -p "$stage/modules"
	for name; do
		if lines=$(modprobe -d "$kernel_dir" -S "$kernel_release" --show-depends "${name%\?}" \
			2>&1); then
			files+=$lines$'\n'
		elif [[ $name != *\? ]]; then
			warn "kernel $kernel_release has no module $name: $lines"
			return 1
		fi
	done
	while read -r file; do
		name=$(basename "${file%.xz}")
		case $file in
		*.xz) xz -dc "$file" >"$stage/modules/$name" ;;
		*.zst) name=${name%.zst} && zstd -q -dc "$file" >"$stage/modules/$name" ;;
		*) ln -s "$file" "$stage/modules/$name" ;;
		esac
		echo "$name"
	done < <(sed -n 's/^insmod \([^ ]*\).*/\1/p' <<<"$files" | awk '!seen[$0]++') \
		>"$stage/modules/order"
}

# initramfs_make OUT SCRIPT: the initramfs of a case, from its `#@` lines (see tests/vm/run).
# 0; 1: an error; 77: something that it needs isn't there (said in initramfs_missing).
initramfs_make() {
	local out=$1 script=$2 stage name file modules debs
	# shellcheck disable=SC2034 # an output
	initramfs_missing=
	stage=$(mktemp -d "$work_dir/stage.XXXXXX") || return 1
	mkdir -p "$stage"/usr/{bin,lib,busybox} "$stage"/{vm,etc,root} || return 1

	for name in dash busybox losetup setpriv $(case_values "$script" programs); do
		file=$(PATH=$PATH:/usr/sbin:/sbin type -P "$name") || {
			initramfs_missing="no program $name on this machine"
			return 77
		}
		ln -sf "$file" "$stage/usr/bin/${name##*/}"
	done
	for name in $(case_values "$script" build); do
		file=$(build_find "$name")
		# shellcheck disable=SC2034 # an output
		if [[ -z $file ]]; then
			initramfs_missing="no $name in build directory ${build_dir:-(none given)}"
			return 77
		fi
		ln -sf "$file" "$stage/usr/bin/$name"
	done
	for name in $(case_values "$script" preload); do
		cc -shared -fPIC -O2 -Wall -Wextra -o "$stage/usr/lib/${name%.c}.so" \
			"$vm_dir/guest/$name" -ldl -pthread || return 1
	done
	read -ra debs <<<"$(case_values "$script" debs)"
	if ! debs_stage "$stage" "${debs[@]}"; then
		# shellcheck disable=SC2034 # an output
		initramfs_missing=$debs_missing
		return 77
	fi
	initramfs_libraries "$stage" || return 1
	read -ra modules <<<"$(case_values "$script" modules)"
	if [[ " ${modules[*]} " == *' zloop '* ]] && ! zloop_prepare; then
		# shellcheck disable=SC2034 # an output
		initramfs_missing=$zloop_missing
		return 77
	fi
	initramfs_modules "$stage" virtio_pci virtio_blk "${modules[@]}" || return 1

	for file in "$vm_dir"/guest/*; do
		ln -s "$file" "$stage/vm/"
	done
	for name in $(case_values "$script" tree); do
		ln -s "$root_dir/$name" "$stage/vm/"
	done
	mv "$stage/vm/init" "$stage/init"
	ln -s "$(readlink -f "$script")" "$stage/vm/case"
	echo 'root:x:0:0:root:/root:/usr/bin/dash' >"$stage/etc/passwd"
	echo 'nobody:x:65534:65534:nobody:/:/usr/bin/dash' >>"$stage/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$stage/etc/group"
	initramfs_pack "$stage" >"$out" && rm -rf "$stage"
}

# Two archives one after the other: the tree with its links followed, then what has to be a link
# or a device in the guest.
initramfs_pack() {
	local stage=$1
	(cd "$stage" && find -L . | cpio -o -L -H newc -R 0:0 --quiet) || return 1
	mkdir -p "$stage.links"/{dev,proc,sys,run,tmp,mnt,backing} || return 1
	ln -s usr/bin "$stage.links/bin"
	ln -s usr/bin "$stage.links/sbin"
	ln -s usr/lib "$stage.links/lib"
	ln -s usr/lib "$stage.links/lib64"
	(cd "$stage.links" && find . | cpio -o -H newc -R 0:0 --quiet) || return 1
	rm -rf "$stage.links"
}

# A program of the build by its name, wherever meson put it.
build_find() {
	[[ -d $build_dir ]] || return 0
	find "$build_dir" -type f -name "$1" -perm -u+x -print -quit
}
