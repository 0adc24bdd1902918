# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# XFS is on dm-zoned on zloop, whose zones are files on the mount, in a directory that caisson knows
# to be zoned. In the red arm caisson serves the directory without protection.
#
#@ title: XFS on dm-zoned on zloop
#@ kernels: sid
#@ build: caissond caisson lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs depmod
#@ packages: e2fsprogs xfsprogs kmod util-linux
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned zloop crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 20
#@ arm: green caisson
#@ arm: red caisson-unprotected lab_options=cache=writeback,io_flusher=off
#@ arm: probe caisson-buffered-zloop lab_zloop=buffered_io
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh
: "${zloop_disk:=}" "${dmz_disk:=}" # set by zloop_add and dmz_start

lab_prepare 1
must "a directory of zones" caisson zoned create "$lab_store/0" --size 2048M --zone-size 32M --conventional 8
lab_serve
must "a zoned disk" zloop_add "$lab_served" 0 2048 32 8 ${lab_zloop:+"$lab_zloop"}
must "dm-zoned" dmz_start "$zloop_disk"
lab_mkfs xfs "$dmz_disk"
lab_mount xfs "$dmz_disk"
lab_dirty_limits 8
lab_mount_fusectl
lab_watch "${zloop_disk##*/}"
lab_run lab-load write /mnt/file 200 1

lab_up() {
	must "the zoned disk again" zloop_add "$lab_served" 0 2048 32 8 ${lab_zloop:+"$lab_zloop"}
	must "dm-zoned again" dmz_resume
	lab_mount xfs "$dmz_disk"
}
lab_down() {
	must "stop dm-zoned" dmz_stop
	must "remove the zoned disk" zloop_remove 0
}
lab_verify lab-load verify /mnt/file 200 1
