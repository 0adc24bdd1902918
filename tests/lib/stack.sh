# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The stack that caisson is for: a filesystem on a loop device on a file of the mount.
. "$(dirname "${BASH_SOURCE[0]}")/mount.sh"
. "$tests_dir/lib/load.sh"

image=$mnt/disk.img
disk=$scratch/disk

declare -A fsck_command=([xfs]='xfs_repair -n' [ext4]='e2fsck -f -n')

# The loop device on the image, with direct I/O for certain: without, the bdi of FUSE throttles it.
attach_image() {
	attach "$image" --direct-io=on
	same "$(<"/sys/block/${loop#/dev/}/loop/dio")" 1 "direct I/O of $loop"
}

check_filesystem() {
	# shellcheck disable=SC2086 # a command and its options
	${fsck_command[$1]} "$2"
}

# stack_case TYPE: writes, remounts, looks for damage, and finds everything where it was.
stack_case() {
	local type=$1 before
	make_backing ext4 2G
	serve
	truncate -s 1G "$image"
	attach_image
	make_filesystem "$type" "$loop"
	mount_loop "$loop" "$disk"
	load "$disk" small 4k 32m
	load "$disk" large 256k 128m
	cp -r "$root_dir"/{daemon,tests/lib,tests/integration} "$disk/"
	before=$(sums "$disk")

	say "remount"
	unmount "$disk"
	detach "$loop"
	attach_image
	check_filesystem "$type" "$loop"
	mount_loop "$loop" "$disk"
	same "$(sums "$disk")" "$before" "checksums after remounting"
	load "$disk" small 4k 32m --verify_only
	load "$disk" large 256k 128m --verify_only
	say "overwrite"
	load "$disk" small 4k 32m
	before=$(sums "$disk")
	unmount "$disk"
	check_filesystem "$type" "$loop"
	detach "$loop"
	unserve

	say "the image without caisson"
	attach "$backing/disk.img"
	check_filesystem "$type" "$loop"
	mount_loop "$loop" "$disk" -o ro
	same "$(sums "$disk")" "$before" "checksums without caisson"
}
