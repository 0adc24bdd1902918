# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# This is the stack of the original report: XFS on dm-zoned on a host-managed ZBC disk that
# tcmu-runner keeps in a file on ext4. It hangs as Debian ships it. It goes on if tcmu-runner is
# started by `caisson run` and keeps its file on a caisson mount, as caisson-zoned(7) advises.
#
#@ title: the report: XFS on dm-zoned on tcmu-runner on ext4
#@ build: caissond caisson lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs depmod
#@ packages: e2fsprogs xfsprogs kmod util-linux
#@ debs: tcmu-runner=tcmu-runner,handler_file_zbc.so dbus-daemon=dbus-daemon
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned target_core_user tcm_loop sd_mod crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 20
#@ arm: green caisson
#@ arm: red as-shipped lab_handler=tcmu
#@ arm: probe only-marked lab_handler=tcmu_marked
#@ arm: probe only-below lab_handler=tcmu_below
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh
: "${tcmu_disk:=}" "${tcmu_pid:=}" "${dmz_disk:=}" # set by tcmu_make_disk, tcmu_start and dmz_start

# Not locked: file_zbc calls msync(MS_INVALIDATE), which the kernel refuses for locked memory.
run_marked() { tcmu_start caisson run --mlock=off --; }
# audit_tcmu WHEN: every task of it marked, by the audit and by the kernel's own word
audit_tcmu() {
	is_green || return 0
	caisson audit "$tcmu_pid" >/run/tcmu.txt 2>&1
	sed 's/^/audit: /' /run/tcmu.txt
	check "tcmu-runner's tasks are marked $1" are_marked "$tcmu_pid"
}
are_marked() {
	for marked_stat in /proc/"$1"/task/*/stat; do
		marked_flags=$(sed 's/.*) //' "$marked_stat" | cut -d ' ' -f 7)
		[ $((marked_flags & 0x180000)) -eq $((0x180000)) ] || return 1
	done
}

make_disk() { tcmu_make_disk "$zbc_file" 2048 32 8 || { show_tcmu_log && false; }; }
start_tcmu() {
	case $lab_handler in
	caisson | tcmu_marked) must "tcmu-runner starts, marked" run_marked ;;
	*) must "tcmu-runner starts" tcmu_start ;;
	esac
	audit_tcmu "at the start"
	must "a zoned disk" make_disk
}

lab_prepare 1
case $lab_handler in
caisson | tcmu_below)
	must "caissond serves" start_caisson
	lab_audit "at the start"
	zbc_file=$lab_served/zbc.img
	;;
*) zbc_file=$lab_store/zbc.img ;;
esac
start_tcmu
must "dm-zoned" dmz_start "$tcmu_disk"
lab_mkfs xfs "$dmz_disk"
lab_mount xfs "$dmz_disk"
lab_dirty_limits 16
lab_pid="$lab_pid $tcmu_pid"
lab_watch "${tcmu_disk##*/}"
lab_run lab-load write /mnt/file 100 1

lab_up() {
	start_tcmu
	must "dm-zoned again" dmz_resume
	lab_mount xfs "$dmz_disk"
}
lab_down() {
	must "stop dm-zoned" dmz_stop
	must "remove the zoned disk" tcmu_remove_disk
	audit_tcmu "at the end"
	must "tcmu-runner ends" tcmu_stop
}
lab_verify lab-load verify /mnt/file 100 1
