# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# XFS on a loop device on a caisson mount on ext4 takes a verified write load, with every safety
# requirement in force. Meanwhile the kernel's view of the daemon's tasks, io-wq workers included,
# is watched: all are marked (S1), and none takes a page fault (S3).
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair fio fstrim
#@ packages: e2fsprogs xfsprogs fio util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 2G
#@ memory: 768
#@ timeout: 480

store=/run/store
image=$store/disk.img

# load NAME BLOCK_SIZE SIZE [ARGUMENT...]: a verified load on the stacked XFS. The same name gives
# the same pattern, so that a later run with --verify_only checks what an earlier one wrote.
load() {
	load_name=$1 load_block=$2 load_size=$3
	shift 3
	fio --name="$load_name" --filename="/mnt/$load_name" --bs="$load_block" \
		--size="$load_size" --rw=randwrite --randseed=7 --ioengine=io_uring --iodepth=32 --direct=1 \
		--verify=crc32c --eta=never "$@"
}

write_loads() { load small 4k 8m --do_verify=0 && load large 128k 48m --do_verify=0; }
verify_loads() { load small 4k 8m --verify_only && load large 128k 48m --verify_only; }

# What isn't O_DIRECT's alignment, and what has no blocks yet, is punted to io-wq workers.
write_holes() {
	fio --name=holes --directory="$store" --bs=4k --size=64m --io_size=4m --rw=randwrite \
		--ioengine=io_uring --iodepth=16 --direct=1 --eta=never
}
write_unaligned() { dd if=/dev/urandom of="$store/odd" bs=1000 count=300 conv=notrunc; }

written_sectors() { awk '{ print $7 }' /sys/block/loop0/stat; }
has_written_more() { [ "$(written_sectors)" -gt $(($1 + 4096)) ]; }
blocks_of_image() { stat -c %b "$backing_image"; }

attach() {
	must "attach the loop device" losetup --direct-io=on /dev/loop0 "$image"
	check "the loop device does direct I/O" grep -q 1 /sys/block/loop0/loop/dio
}

mount_backing
mkdir /backing/store
backing_image=/backing/store/disk.img
truncate -s 512M "$backing_image"
must "start with io_flusher=require" start_caissond /backing/store "$store"
show_caissond_log
caisson status "$store"
audit_is_green "at the start" "$store"

attach
must "mkfs.xfs" mkfs.xfs -q /dev/loop0
must "mount XFS" mount -t xfs /dev/loop0 /mnt

caissond_faults >/run/faults.before
sectors=$(written_sectors)
write_loads &
load_pid=$!
check "the load arrives at the loop device" wait_until 120 has_written_more "$sectors"
audit_is_green "under load" "$store"
check "the load was still on meanwhile" is_running "$load_pid"
check "the write load" wait_job 200 "$load_pid"
caissond_faults >/run/faults.after
check "no page faults in the daemon under load" faults_stand_still \
	/run/faults.before /run/faults.after

drop_caches
check "what was written reads back" run_with_timeout 200 verify_loads

write_holes &
holes_pid=$!
write_unaligned
audit_is_green "with io-wq workers" "$store"
check "io-wq workers are in the audit" audit_tells 'iou-wrk-'
check "the writes to holes" wait_job 120 "$holes_pid"
rm "$store"/holes* "$store/odd"

dd if=/dev/urandom of=/mnt/removed bs=1M count=16 conv=fsync
blocks_before=$(blocks_of_image)
rm /mnt/removed
check "fstrim" fstrim -v /mnt
sync
check "discarded blocks are given back below" \
	[ "$(blocks_of_image)" -lt $((blocks_before - 16384)) ]

must "unmount XFS" run_with_timeout 60 umount /mnt
must "detach the loop device" losetup -d /dev/loop0
attach
check "xfs_repair finds nothing" run_with_timeout 60 xfs_repair -n /dev/loop0
must "mount XFS again" mount -t xfs /dev/loop0 /mnt
check "what was written is there after remounting" run_with_timeout 200 verify_loads
must "unmount XFS again" run_with_timeout 60 umount /mnt
must "detach the loop device again" losetup -d /dev/loop0

audit_is_green "at the end" "$store"
caisson status "$store"
expect_status 0 "SIGTERM" stop_caissond 60
check "nothing is left mounted" is_not_mounted "$store"
check "the image is sound without caisson" xfs_repair -n -f "$backing_image"
