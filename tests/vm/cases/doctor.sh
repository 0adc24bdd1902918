# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson doctor` draws stacks of block devices that this kernel can make: dm-crypt on LVM on an
# md mirror; XFS on loop on caisson, marked; swap on such a loop device; a disk that qemu-nbd serves
# from a file. It warns of a disk that isn't flushed.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs mkswap swapon swapoff dmsetup
#@ packages: e2fsprogs xfsprogs util-linux dmsetup
#@ debs: lvm2=lvm mdadm=mdadm qemu-utils=qemu-nbd cryptsetup-bin=cryptsetup
#@ tree: tests/vm/golden
#@ modules: fuse loop ext4 xfs dm-mod dm-crypt md-mod raid1 nbd unix_diag crc32c? xts ecb aes_generic
#@ disk: 512M
#@ disk: 128M
#@ disk: 128M
#@ memory: 768
#@ timeout: 240

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh

mount_backing
mkdir -p /backing/store /run/store /mnt/crypt /mnt/disk /var/lock

# lvm: without udev, and without a lock daemon
lvm_here() {
	lvm "$@" --config 'activation { udev_sync=0 udev_rules=0 } devices { obtain_device_list_from_udev=0 use_devicesfile=0 } global { event_activation=0 } backup { backup=0 archive=0 }'
}
make_volume() {
	lvm_here pvcreate -q /dev/md0 && lvm_here vgcreate -q group /dev/md0 &&
		lvm_here lvcreate -q -y -W n -L 96M -n volume group && dmsetup mknodes
}

say "dm-crypt on LVM on a mirror"
must "mirror" mdadm --create /dev/md0 --run --force --assume-clean --level=1 --raid-devices=2 \
	--metadata=0.90 /dev/vdb /dev/vdc
must "volume" make_volume
echo secret | cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 256 \
	--hash plain --batch-mode /dev/mapper/group-volume crypt
dmsetup mknodes
must "mkfs" mkfs.ext4 -q /dev/mapper/crypt
must "mount" mount /dev/mapper/crypt /mnt/crypt
drawn crypt-lvm-md /mnt/crypt
check "nothing is wrong" caisson doctor /dev/mapper/crypt
umount /mnt/crypt

say "a disk that the kernel was told not to flush"
cache=/sys/class/block/vda/queue/write_cache
doctor_says() { run_with_timeout 30 caisson doctor /backing | grep -q "$1"; }
doctor_is_silent() { ! doctor_says "$1"; }
check "as it is" doctor_is_silent no-flushes
echo "write through" >$cache
check "told" doctor_says "^warn no-flushes: vda "
echo "write back" >$cache

say "XFS on loop on caisson"
truncate -s 300M /backing/store/image
must "serve" start_caissond /backing/store /run/store
must "attach" losetup --direct-io=on /dev/loop0 /run/store/image
has_spare() { caisson status /run/store | grep -q '^recovery  *on'; }
must "a spare" wait_until 30 has_spare
must "mkfs.xfs" mkfs.xfs -q /dev/loop0
must "mount XFS" mount -t xfs /dev/loop0 /mnt/disk
drawn caisson /mnt/disk

say "swap on it"
truncate -s 32M /backing/store/swap
must "attach" losetup --direct-io=on /dev/loop1 /run/store/swap
must "mkswap" mkswap /dev/loop1
must "swapon" swapon /dev/loop1
expect_status 3 "it fails" run_with_timeout 30 caisson doctor /dev/loop1
drawn swap /dev/loop1
must "swapoff" swapoff /dev/loop1
losetup -d /dev/loop1
must "unmount XFS" run_with_timeout 60 umount /mnt/disk
losetup -d /dev/loop0
expect_status 0 "SIGTERM" stop_caissond 60

say "a disk that qemu-nbd serves"
truncate -s 64M /backing/nbd.img
must "qemu-nbd" qemu-nbd --fork -f raw -c /dev/nbd0 /backing/nbd.img
must "mkfs" mkfs.ext4 -q /dev/nbd0
must "mount" mount /dev/nbd0 /mnt/disk
drawn qemu-nbd /mnt/disk
must "unmount" run_with_timeout 60 umount /mnt/disk
qemu-nbd -d /dev/nbd0
