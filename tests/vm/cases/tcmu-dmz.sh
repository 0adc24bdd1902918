# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The guest can put together the stack of the original report, without memory pressure and without
# caissond: XFS on dm-zoned on tcmu-runner's host-managed disk, whose zones are in a file on ext4.
# `caisson doctor` names who serves the disk and what is wrong with that.
#
#@ build: caisson
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair fio depmod
#@ packages: e2fsprogs xfsprogs fio kmod
#@ debs: tcmu-runner=tcmu-runner,handler_file_zbc.so dbus-daemon=dbus-daemon
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ tree: tests/vm/golden
#@ modules: ext4 xfs dm-zoned target_core_user tcm_loop sd_mod crc32c?
#@ disk: 2G
#@ timeout: 300

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh
: "${tcmu_pid:=}" "${tcmu_disk:=}" "${dmz_disk:=}" # set by tcmu_start, _make_disk, dmz_start

load() {
	fio --name=load --filename=/mnt/load --bs=64k --size=24m --rw=randwrite --randseed=7 \
		--verify=crc32c --eta=never "$@"
}

mount_backing
must "start tcmu-runner" tcmu_start
must "make a zoned disk" tcmu_make_disk /backing/zbc.img 1024 32 8
say "$tcmu_disk: $(zoned_model "$tcmu_disk")," \
	"$(cat "/sys/block/${tcmu_disk##*/}/queue/nr_zones") zones"
must "it is host-managed" is_host_managed "$tcmu_disk"

must "start dm-zoned" dmz_start "$tcmu_disk"
say "$dmz_disk: $(zoned_model "$dmz_disk")"
must "mkfs.xfs" mkfs.xfs -q "$dmz_disk"
must "mount XFS" mount -t xfs "$dmz_disk" /mnt

# the stack of the report, by name: who serves the disk, and that it isn't marked
expect_status 3 "doctor fails it" run_with_timeout 60 caisson doctor /mnt
drawn report /mnt

must "a write load" run_with_timeout 100 load --do_verify=0 --end_fsync=1
drop_caches
check "what was written reads back" run_with_timeout 100 load --verify_only
check "it is in the file below" [ "$(stat -c %b /backing/zbc.img)" -gt $((24 << 11)) ]
must "unmount XFS" run_with_timeout 60 umount /mnt
check "xfs_repair finds nothing" run_with_timeout 60 xfs_repair -n "$dmz_disk"
must "stop dm-zoned" dmz_stop

# the same, started as caisson-zoned(7) advises: marked, not locked
must "remove the zoned disk" tcmu_remove_disk
must "tcmu-runner ends" tcmu_stop
must "start tcmu-runner marked" tcmu_start caisson run --mlock=off --
must "make the zoned disk again" tcmu_make_disk /backing/zbc.img 1024 32 8
must "start dm-zoned again" dmz_resume
must "mount XFS again" mount -t xfs "$dmz_disk" /mnt
expect_status 1 "doctor only warns" run_with_timeout 60 caisson doctor /mnt
drawn report-marked /mnt
must "unmount XFS again" run_with_timeout 60 umount /mnt
must "stop dm-zoned again" dmz_stop

# The guest's end doesn't wait for a disk that no longer answers (guest/init).
must "freeze tcmu-runner" kill -STOP "$tcmu_pid"
