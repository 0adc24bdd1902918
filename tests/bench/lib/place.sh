# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # run is checked with all its parts
#
# Where the ext4 is that everything is measured on:
#
#	disk	a directory of the machine's disk, if that has ext4, or else an ext4 in a file there
#	memory	an ext4 on a loop device on tmpfs: its disk is always as fast, so the daemons are the limit
#
# What is made for a place is undone at its end, in reverse.

place=
place_dir=
place_size_mib= # of the file that backends have in common
place_more_mib=0 # that is needed besides

# undo_to COUNT: what was deferred since there were COUNT of them; 1 when some of it failed
undo_to() {
	local i status=0
	for ((i = ${#deferred[@]} - 1; i >= $1; i--)); do
		if ! eval "${deferred[i]}"; then
			say "clean-up failed: ${deferred[i]}"
			status=1
		fi
		unset "deferred[i]"
	done
	return "$status"
}

# place_need SIZE: MiB that the plan takes, with files of so many: the one that backends have in common, and
# those of their own; images of XFS; and one of first writes
place_need() {
	local mib=$((2 * $1 + 256)) name
	for name in "${available[@]}"; do
		! matches_one "$name" "${side_backends[@]}" || ! plan_has '' "$name" || mib=$((mib + $1))
		! plan_has xfs "$name" || mib=$((mib + ($1 > xfs_image_mib ? $1 : xfs_image_mib)))
	done
	echo "$mib"
}

available_mib() { df --output=avail -B 1M "$1" | tail -n 1 | tr -d ' '; }

open_disk() {
	local need dir
	scratch_sweep "$backing_dir"
	dir=$(scratch_new "$backing_dir" bench) || return 1
	defer rm -rf --one-file-system "$dir"
	need=$(($(place_need "$place_size_mib") + place_more_mib))
	if (($(available_mib "$dir") < need * 11 / 10)); then
		why="$backing_dir has no $need MiB to spare; --size or --only"
		return 1
	fi
	place_dir=$dir/ext4
	if [[ $(stat -f -c %T "$dir") == ext2/ext3 ]]; then
		mkdir "$place_dir"
	else
		make_backing ext4 $((need * 11 / 10))m "$place_dir"
		is_in_mountinfo "$place_dir"
	fi
}

# With smaller files where memory is short: tmpfs, the daemons and the page cache share it.
open_memory() {
	local need free
	free=$(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) / 1024))
	while need=$(place_need "$place_size_mib") && ((need * 12 / 10 + 128 > free / 2)); do
		place_size_mib=$((place_size_mib / 2))
		if ((place_size_mib < 64)); then
			why="$free MiB of memory are too few"
			return 1
		fi
	done
	need=$((need * 11 / 10 + 128))
	mkdir "$scratch/memory"
	mount -t tmpfs -o "size=$((need + 64))m" caisson-bench "$scratch/memory"
	defer unmount "$scratch/memory"
	place_dir=$scratch/memory/ext4
	make_backing ext4 "${need}m" "$place_dir"
	is_in_mountinfo "$place_dir"
}

# place_open PLACE: sets place, place_dir and mounts; 1 and $why when it can't be had
place_open() {
	place=$1
	place_size_mib=$size_mib
	mounts=$scratch/at-$place
	mkdir -p "$mounts"
	why='no ext4 can be made and mounted there'
	"open_$place" && place_note
}

# What the report says of it. A disk is told by its driver: what is behind a virtual one, nobody knows.
place_note() {
	local source disk kind=''
	source=$(df --output=source "$place_dir" | tail -n 1)
	disk=$(lsblk -n -s -l -o NAME,TYPE "$source" 2>/dev/null | awk '$2 == "disk" && !n++ { print $1 }')
	if [[ $place == memory ]]; then
		kind='a loop device on tmpfs'
	elif [[ -n $disk && -d /sys/block/$disk ]]; then
		kind=$(basename "$(readlink -f "/sys/block/$disk/device/driver")")
	fi
	note type=place name="$place" size_mib="$place_size_mib" disk="${kind:-unknown}" \
		filesystem="$(findmnt -n -o FSTYPE,OPTIONS --target "$place_dir" | tr -s ' ')"
}
