# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The steps of caisson-zoned(7), "By zloop", work as they are printed. They are done twice: the data is
# there when the directory is attached again.
#
#@ kernels: sid
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs depmod
#@ packages: e2fsprogs xfsprogs kmod util-linux
#@ debs: trixie:dm-zoned-tools=dmzadm
#@ modules: fuse ext4 xfs dm-zoned zloop crc32c?
#@ tree: man/caisson-zoned.7
#@ disk: 4G
#@ memory: 768
#@ timeout: 300
# shellcheck source=tests/vm/guest/manual.sh
. /vm/manual.sh

step() { manual_step caisson-zoned.7 "By zloop (Linux 6.16)" "$@"; }
trap '[ $? -eq 0 ] || fail "a step of the manual failed"' EXIT

export DM_DISABLE_UDEV=1 # the guest has no udev; the steps are for machines that have
mount_backing
mkdir -p /srv /mnt/store /mnt/disk
mount --move /backing /srv
mkdir /srv/store
index_modules

step 1 "make the directory of zones"
step 2 "serve it"
step 3 "make the device"
step 4 "dm-zoned and XFS"
cp /vm/caisson-zoned.7 /mnt/disk/
step 5 "take it down"

step 2 "serve it again"
step 3 "make the device again"
must "start dm-zoned again" dmzadm --start /dev/zloop0
must "mount it again" mount /dev/mapper/dmz-zloop0 /mnt/disk
check "what was written is there" cmp /vm/caisson-zoned.7 /mnt/disk/caisson-zoned.7
check "caisson zoned report" caisson zoned report /dev/zloop0
step 5 "take it down again"
