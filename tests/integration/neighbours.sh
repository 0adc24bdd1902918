#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Many writers in one file, in bytes of their own that share sectors and pages with those of others
# (neighbours.c): no write is lost or undone, no read is torn or stale, no fsync fails. On ext4, XFS
# and btrfs, with sectors of 512 and of 4096 bytes, in each cache mode.
#
# Where the program is wrong itself, it shows on the backing filesystem without a mount: that is
# looked at first.
#
#@ packages: e2fsprogs xfsprogs btrfs-progs
#@ timeout: 900
. "$(dirname "$0")/../lib/mount.sh"

program=$build_dir/tests/neighbours
more "$(type -P "$program" | wc -l)" 0 "number of programs"

# 48 runs: less than a minute in all, or ten minutes
seconds=0.5
((!${CAISSON_LONG:-0})) || seconds=12

declare -A image_size=([ext4]=96M [xfs]=320M [btrfs]=256M)
# what is found in the page cache has another way to the disk: never both in one run
mixes=(dDpoOxzcte moOpzct)

# make_store TYPE SECTOR: a filesystem of its own at $store
make_store() {
	local type=$1 sector=$2
	store=$scratch/$type-$sector
	grep -qw "$type" /proc/filesystems || modprobe -q "$type" || skip "the kernel has no $type"
	truncate -s "${image_size[$type]}" "$store.image"
	attach "$store.image" --direct-io=on --sector-size "$sector"
	same "$(blockdev --getss "$loop")" "$sector" "sector size of $loop"
	make_filesystem "$type" "$loop"
	mount_loop "$loop" "$store" -t "$type"
}

# mixed DIR SECTOR KINDS [BELOW]
mixed() {
	local file=$1/file.$RANDOM below='' status=0
	[[ -z ${4:-} ]] || below=below=$4/${file##*/}
	timeout 120 "$program" "$file" "$seconds" "sector=$2" "kinds=$3" ${below:+"$below"} || status=$?
	rm -f "$file" "$file.source"
	return $status
}

# one run shows all that are red
red=()
for type in ext4 xfs btrfs; do
	for sector in 512 4096; do
		make_store "$type" "$sector"
		say "$type, sectors of $sector bytes, without a mount"
		for mix in "${mixes[@]}"; do
			mixed "$store" "$sector" "$mix"
		done
		for cache in none writeback writethrough; do
			arm="$type, sectors of $sector bytes, cache=$cache"
			say "$arm"
			serve "$store" "$mnt" "cache=$cache"
			for mix in "${mixes[@]}"; do
				mixed "$mnt" "$sector" "$mix" "$store" || red+=("$arm, $mix")
			done
			unserve
		done
	done
done
for arm in "${red[@]}"; do
	say "red: $arm"
done
same "${#red[@]}" 0 "number of red arms"
