# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The disk below takes 300 ms for each request. A verified load runs for a third of its limit, and
# must have no false alarm of `caisson watch`: a stack that is slow doesn't hang. There is no
# control. CAISSON_VM_SLOW=60 makes it an hour.
#
#@ title: XFS on loop (direct I/O) on a slow disk
#@ build: caissond caisson lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs dmsetup fio
#@ packages: e2fsprogs xfsprogs util-linux dmsetup fio
#@ modules: fuse loop ext4 xfs dm-mod dm-delay crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 60
#@ arm: green caisson
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

load() {
	fio --name=load --directory="$lab_upper" --size=64m --rw=randrw --bsrange=4k-64k --ioengine=libaio \
		--iodepth=16 --buffered=1 --fsync=64 --verify=crc32c --verify_fatal=1 --verify_backlog=64 \
		--verify_state_save=0 --time_based --runtime="$1" --eta=never >/run/fio.log 2>&1 ||
		{ cat /run/fio.log && false; }
}

slow_disk() {
	echo "0 $(cat /sys/block/vda/size) delay /dev/vda 0 300" | dmsetup create --noudevsync slow &&
		dmsetup mknodes
}
must "a slow disk" slow_disk
lab_below=/dev/mapper/slow
lab_prepare 1024
lab_serve
lab_loop_stack xfs
lab_dirty_limits 8
lab_mount_fusectl
lab_watch loop0 --reads # fio only reads for minutes when it verifies
lab_run load $((lab_limit / 3))
lab_verify true
