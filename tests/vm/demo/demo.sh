# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The demonstration itself, for a person to read. It runs in a guest as a case of tests/vm/run, and
# on a machine that can mark tasks directly: then tests/demo brings the few functions that it uses.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair fio fstrim losetup
#@ packages: e2fsprogs xfsprogs fio util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 2G
#@ memory: 768
#@ timeout: 240

heading() {
	echo
	echo "== $*"
}

# load NAME BLOCK_SIZE SIZE [ARGUMENT...]: random writes at queue depth 32, each block checksummed
load() {
	load_name=$1 load_block=$2 load_size=$3
	shift 3
	fio --name="$load_name" --filename="$stacked/$load_name" --bs="$load_block" \
		--size="$load_size" --rw=randwrite --randseed=7 --ioengine=io_uring --iodepth=32 \
		--direct=1 --verify=crc32c --verify_state_save=0 --eta=always --eta-newline=2 "$@"
}
# fio's progress, and what it says in the end
interesting() { tr '\r' '\n' | grep -E '^Jobs: .*[0-9]%|IOPS=|err=' | sed 's/^ */    /'; }
mib_of_image() { du -m "$backing/disk.img" | cut -f 1; }

store=${demo_store:-/run/store} stacked=${demo_stacked:-/mnt}
mount_backing
backing=${demo_backing:-/backing}/store
mkdir -p "$backing"

cat <<END

     XFS  $stacked            takes the load
      |
     loop device, direct I/O
      |
     FUSE  $store        <- caissond, every task of it marked as an I/O flusher
      |
     ext4  $backing
END

heading "caissond $backing $store"
truncate -s 1G "$backing/disk.img"
must "caissond serves, with io_flusher=require" start_caissond "$backing" "$store" -o allow_other
show_caissond_log

heading "XFS on a loop device on a file of the mount"
device=$(losetup --find --show --direct-io=on "$store/disk.img")
check "the loop device does direct I/O" grep -q 1 "/sys/block/${device#/dev/}/loop/dio"
must "mkfs.xfs $device" mkfs.xfs -q "$device"
must "mount it" mount -t xfs "$device" "$stacked"

heading "a write load: 4 KiB, then 128 KiB blocks, each with a checksum"
load small 4k "${demo_small:-16m}" --do_verify=0 | interesting
load large 128k "${demo_large:-128m}" --do_verify=0 | interesting

heading "the same again, read back from the disk and verified"
drop_caches
load small 4k "${demo_small:-16m}" --verify_only >/run/demo.verify 2>&1
check "every 4 KiB block is what was written" [ $? -eq 0 ]
load large 128k "${demo_large:-128m}" --verify_only >/run/demo.verify 2>&1
check "every 128 KiB block is what was written" [ $? -eq 0 ]

# XFS frees the blocks of a removed file in the background: what can be discarded comes bit by bit.
came_back() {
	fstrim "$stacked" && sync
	[ $(($1 - $(mib_of_image))) -ge "$2" ]
}

heading "remove a file, discard, and see the blocks come back below"
before=$(mib_of_image)
rm "$stacked/large"
sync
check "its blocks come back" wait_until 20 came_back "$before" "${demo_back:-120}"
echo "    disk.img holds $before MiB before, $(mib_of_image) MiB after"

heading "caisson audit $store: what the kernel says of each task"
caisson audit "$store"
check "every task is marked and locked" [ $? -eq 0 ]

heading "take it down from the top, and look at the filesystem without caisson"
must "unmount XFS" umount "$stacked"
must "detach the loop device" losetup -d "$device"
must "SIGTERM ends caissond" stop_caissond 60
is_sound() { xfs_repair -n -f "$1" >/dev/null 2>&1; }
check "xfs_repair finds nothing to repair" is_sound "$backing/disk.img"
