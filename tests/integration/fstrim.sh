#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Blocks that the stacked filesystem discards become holes in the backing file.
#
#@ packages: e2fsprogs xfsprogs util-linux
#@ timeout: 90
. "$(dirname "$0")/../lib/stack.sh"

make_backing ext4 1G
serve
truncate -s 512M "$image"
attach_image
# Through the mount and below it; XFS may be back from fstrim before its last discards are.
blocks_agree() { [[ $(blocks "$image") == "$(blocks "$backing/disk.img")" ]]; }

for type in ext4 xfs; do
	say "$type"
	make_filesystem "$type" "$loop"
	mount_loop "$loop" "$disk"
	dd if=/dev/urandom of="$disk/file" bs=1M count=64 conv=fsync status=none
	written=$(blocks "$backing/disk.img")
	# not by rm, after which XFS gives the blocks back in the background; nor does it trim what
	# its log still has to free
	truncate -s 0 "$disk/file"
	sync -f "$disk"
	fstrim -v "$disk"
	trimmed=$(blocks "$backing/disk.img")
	say "blocks of the image: $written, after fstrim $trimmed"
	less "$trimmed" $((written - 64 * 1900)) "blocks after fstrim"
	wait_until 10 blocks_agree
	unmount "$disk"
	check_filesystem "$type" "$loop"
done
say "the whole device"
blkdiscard "$loop"
less "$(blocks "$backing/disk.img")" 64 "blocks after blkdiscard"
cmp -n $((512 << 20)) "$loop" /dev/zero
say "write zeroes"
dd if=/dev/urandom of="$loop" bs=1M count=8 oflag=direct status=none
blkdiscard -z -l 8M "$loop"
cmp -n $((8 << 20)) "$loop" /dev/zero
detach "$loop"
unserve
