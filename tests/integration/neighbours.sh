#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Many writers write to one file. Each has bytes of its own, in sectors and pages that it shares
# with others (neighbours.c). No write is lost or undone, no read is torn or stale, and no fsync
# fails. This holds on ext4, XFS and btrfs, with sectors of 512 and of 4096 bytes, in each cache
# mode.
#
# The program first runs on ext4 without a mount, which would show a mistake in the program. XFS
# alone doesn't promise this to clients that mix O_DIRECT with other writes: it sometimes logs
# "Direct I/O collision with buffered writes", and the file then answers EIO.
#
#@ packages: e2fsprogs xfsprogs btrfs-progs
#@ timeout: 900
. "$(dirname "$0")/../lib/mount.sh"

program=$build_dir/tests/neighbours
more "$(type -P "$program" | wc -l)" 0 "number of programs"

# 60 runs: less than a minute in all, or ten minutes
seconds=0.3
((!${CAISSON_LONG:-0})) || seconds=8

declare -A image_size=([ext4]=96M [xfs]=320M [btrfs]=256M)
# with O_DIRECT, with a shared mapping, and with a mapping of a file that somebody has opened with
# O_DIRECT; on no filesystem are stores to a mapping coherent with O_DIRECT requests to their page,
# and on no FUSE mount with fallocate (caisson(7), NON-GUARANTEES)
mixes=(dDpoOxzcte moOpxct 'mop bystander=1')

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
	# shellcheck disable=SC2086 # a mix is a word, and perhaps an option
	timeout 120 "$program" "$file" "$seconds" "sector=$2" kinds=$3 ${below:+"$below"} || status=$?
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
			[[ $type != ext4 ]] || mixed "$store" "$sector" "$mix"
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
