# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Scratch directories, and what is mounted and attached below one. Each is named caisson-NAME.XXXXXX
# and says who has made it; so what a killed run could not undo is undone by the next one. It matters to
# others: mkfs.btrfs, say, refuses to work beside a loop device whose file is on a broken mount.

# mounts_below DIR: mountpoints, the topmost of a stack first
mounts_below() {
	awk -v dir="$1/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | tac
}

# Breaks the FUSE connections of mounts below DIR: whoever waits for an answer gets ENOTCONN.
abort_mounts_below() {
	local control=/sys/fs/fuse/connections number
	mountpoint -q "$control" || mount -t fusectl fusectl "$control" || return
	awk -v dir="$1/" 'index($5, dir) == 1 && / - fuse/ { sub(".*:", "", $3); print $3 }' \
		/proc/self/mountinfo | sort -u | while read -r number; do
		echo 1 >"$control/$number/abort"
	done
}

# Loop devices on files below DIR, and those mounted there, whose files may be on a mount that is gone:
# the kernel forgets where such a file was.
loops_below() {
	local file
	awk -v dir="$1/" 'index($5, dir) == 1 {
		sub(".* - [^ ]* ", "")
		if ($1 ~ "^/dev/loop")
			print $1
	}' /proc/self/mountinfo
	for file in /sys/block/loop*/loop/backing_file; do
		if [[ -e $file && $(<"$file") == "$1"/* ]]; then
			file=${file#/sys/block/}
			echo "/dev/${file%%/*}"
		fi
	done 2>/dev/null
}

# undo_below DIR: unmounts and detaches, and says what; 1 when there was something
undo_below() {
	local mounts loops one
	mapfile -t mounts < <(mounts_below "$1")
	mapfile -t loops < <(loops_below "$1" | sort -u)
	((!${#mounts[@]})) || abort_mounts_below "$1"
	for one in "${mounts[@]}"; do
		echo "left behind: mount $one"
		umount -l "$one"
	done
	for one in "${loops[@]}"; do
		echo "left behind: loop device $one"
		losetup -d "$one"
	done
	((${#mounts[@]} + ${#loops[@]} == 0))
}

# A process, told from a later one with its number and from one of another container
process_identity() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	# the 22nd field: when it started
	stat=${stat##*) }
	read -ra stat <<<"$stat"
	echo "$(readlink /proc/self/ns/pid) $1 ${stat[19]}"
}

# scratch_parent: where scratch directories go. That is on a disk: memory filesystems have no O_DIRECT.
scratch_parent() {
	local dir type
	for dir in ${CAISSON_TEST_DIR:+"$CAISSON_TEST_DIR"} /var/tmp "${build_dir:-.}"; do
		type=$(stat -f -c %T "$dir" 2>/dev/null)
		[[ -n $type && $type != tmpfs && $type != ramfs ]] && echo "$dir" && return
	done
	echo "no directory on a disk for scratch; set CAISSON_TEST_DIR" >&2
	return 1
}

# scratch_new PARENT NAME: makes one that belongs to this shell, and says which
scratch_new() {
	local dir
	dir=$(mktemp -d "$1/caisson-$2.XXXXXX") && process_identity $$ >"$dir/.owner" && echo "$dir"
}

# scratch_sweep PARENT: those there whose owners have ended
scratch_sweep() {
	local dir owner namespace pid
	for dir in "$1"/caisson-*.??????; do
		[[ -O $dir && ! -L $dir && -f $dir/.owner ]] || continue
		owner=$(<"$dir/.owner")
		read -r namespace pid _ <<<"$owner"
		[[ $namespace == "$(readlink /proc/self/ns/pid)" && $(process_identity "$pid") != "$owner" ]] ||
			continue
		echo "$dir is of a run that was killed"
		undo_below "$dir" || true
		rm -rf --one-file-system "$dir"
	done
}
