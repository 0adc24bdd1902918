# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# XFS on dm-zoned on zloop on caisson on ext4 takes a verified write load, with every safety
# requirement in force. A whole zoned disk is on the mount, one file a zone, and the daemon's tasks
# are audited.
#
#@ kernels: sid
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair fio depmod
#@ packages: e2fsprogs xfsprogs fio kmod util-linux
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned zloop crc32c?
#@ disk: 2G
#@ memory: 768
#@ timeout: 300

: "${zloop_disk:=}" "${dmz_disk:=}" # set by zloop_add and dmz_start

store=/run/store

load() {
	fio --name=load --filename=/mnt/load --bs=64k --size=24m --rw=randwrite --randseed=7 \
		--verify=crc32c --eta=never "$@"
}

mount_backing
mkdir /backing/store
must "start with io_flusher=require" start_caissond /backing/store "$store"
show_caissond_log
audit_is_green "at the start" "$store"

must "make a zoned disk" zloop_add "$store" 0 1024 32 8
say "$zloop_disk: $(zoned_model "$zloop_disk")," \
	"$(cat "/sys/block/${zloop_disk##*/}/queue/nr_zones") zones"
must "it is host-managed" is_host_managed "$zloop_disk"
must "start dm-zoned" dmz_start "$zloop_disk"
must "mkfs.xfs" mkfs.xfs -q "$dmz_disk"
must "mount XFS" mount -t xfs "$dmz_disk" /mnt

must "a write load" run_with_timeout 100 load --do_verify=0 --end_fsync=1
audit_is_green "after the load" "$store"
drop_caches
check "what was written reads back" run_with_timeout 100 load --verify_only
must "unmount XFS" run_with_timeout 60 umount /mnt
check "xfs_repair finds nothing" run_with_timeout 60 xfs_repair -n "$dmz_disk"
must "stop dm-zoned" dmz_stop
must "remove the zoned disk" zloop_remove 0

# What zloop's default, direct I/O, has not: writeback through the mount.
must "make one with buffered_io" zloop_add "$store" 1 256 32 2 buffered_io
check "write a conventional zone" dd if=/dev/urandom of="$zloop_disk" bs=1M count=8 conv=fsync
must "remove it" zloop_remove 1
audit_is_green "at the end" "$store"
check "the zones are in files below" [ "$(du -sk /backing/store/0 | cut -f 1)" -gt 24576 ]
expect_status 0 "SIGTERM" stop_caissond 60
check "nothing is left mounted" is_not_mounted "$store"
