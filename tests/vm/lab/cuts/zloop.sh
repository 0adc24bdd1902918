# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The power is cut under XFS on dm-zoned on zloop, whose zones are files of a caisson mount on ext4.
# The size of a zone's file says how far the zone was written. The size must therefore be as durable
# as the data before it, or dm-zoned's metadata no longer fits.
#
# dm-zoned keeps in memory which blocks it has written. It writes that down at a flush, but not at a
# write with FUA (dmz_handle_direct_write() in drivers/md/dm-zoned-target.c, Linux 7.2). The last
# record of XFS's log is such a write. If dm-zoned keeps the log in a sequential zone, the record is
# lost at a power cut, whatever is below. The case therefore flushes dm-zoned's device before a
# write counts.
#
#@ title: XFS on dm-zoned on zloop
#@ kernels: sid
#@ build: caissond caisson lab-cut
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair e2fsck depmod
#@ packages: e2fsprogs xfsprogs kmod util-linux
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned zloop crc32c?
#@ disk: 2G
#@ memory: 512
# shellcheck disable=SC2317 # called by cut_run
# shellcheck source=tests/vm/guest/cut.sh
. /vm/cut.sh
: "${zloop_disk:=}" "${dmz_disk:=}" # set by zloop_add and dmz_start

cut_attach() { must "a zoned disk" zloop_add "$lab_served" 0 1024 32 8; }

cut_make() {
	lab_prepare 1
	must "a directory of zones" caisson zoned create "$lab_store/0" --size 1024M --zone-size 32M --conventional 8
	lab_serve
	cut_attach
	must "dm-zoned" dmz_start "$zloop_disk"
	lab_mkfs xfs "$dmz_disk"
	lab_mount xfs "$dmz_disk"
	cut_disk=$dmz_disk
}

cut_again() {
	lab_serve
	cut_attach
	# shellcheck disable=SC2034 # for dmz_resume
	dmz_device=$zloop_disk
	index_modules
	must "dm-zoned again" dmz_resume
	lab_mount xfs "$dmz_disk"
	# shellcheck disable=SC2034 # for cut_run
	cut_disk=$dmz_disk
}

cut_check_upper() { check "xfs_repair finds nothing" run_with_timeout 120 xfs_repair -n "$dmz_disk"; }

cut_down() {
	must "stop dm-zoned" dmz_stop
	must "remove the zoned disk" zloop_remove 0
}

cut_run
