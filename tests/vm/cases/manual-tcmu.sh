# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The steps of caisson-zoned(7), "By tcmu-runner", work as they are printed.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs depmod
#@ packages: e2fsprogs xfsprogs kmod util-linux
#@ debs: tcmu-runner=tcmu-runner,handler_file_zbc.so dbus-daemon=dbus-daemon
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned target_core_user tcm_loop sd_mod crc32c?
#@ tree: man/caisson-zoned.7
#@ disk: 3G
#@ memory: 768
#@ timeout: 300
# shellcheck source=tests/vm/guest/manual.sh
. /vm/manual.sh

step() { manual_step caisson-zoned.7 "By tcmu-runner" "$@"; }
trap '[ $? -eq 0 ] || fail "a step of the manual failed"' EXIT

export DM_DISABLE_UDEV=1 # the guest has no udev; the steps are for machines that have
must "what a machine has already" tcmu_prepare
mount_backing
mkdir -p /srv /mnt/store /mnt/disk
mount --move /backing /srv
mkdir /srv/store

: "${tcmu_log:=}" # set by guest/tcmu.sh
start_tcmu() {
	step 1 "serve a directory"
	: >"$tcmu_log"
	step 2 "start tcmu-runner"
	tcmu_pid=$!
	must "tcmu-runner takes devices" wait_until 30 tcmu_is_ready
}

start_tcmu
step 3 "make a disk"
must "the disk is there" wait_until 30 test -b /dev/sda
step 4 "dm-zoned and XFS"
cp /vm/caisson-zoned.7 /mnt/disk/
drop_caches
check "what was written is there" cmp /vm/caisson-zoned.7 /mnt/disk/caisson-zoned.7
step 5 "take it down"
check "nothing is left mounted" is_not_mounted /mnt/store
must "tcmu-runner ends" wait_job 60 "$tcmu_pid"
start_tcmu
step 6 "the disk that is there"
must "it is back" wait_until 30 test -b /dev/sda
step 7 "dm-zoned and XFS again"
check "what was written is still there" cmp /vm/caisson-zoned.7 /mnt/disk/caisson-zoned.7
step 5 "take that down"
