# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson doctor` draws stacks of block devices that this kernel can make: dm-crypt on a linear map
# on an md mirror; XFS on loop on caisson, marked; swap on such a loop device; a disk that qemu-nbd
# serves from a file. The pictures are compared word for word.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 mkfs.xfs mkswap swapon swapoff dmsetup
#@ packages: e2fsprogs xfsprogs util-linux dmsetup
#@ debs: mdadm=mdadm qemu-utils=qemu-nbd cryptsetup-bin=cryptsetup
#@ modules: fuse loop ext4 xfs dm-mod dm-crypt md-mod raid1 nbd crc32c? xts ecb aes_generic
#@ disk: 512M
#@ disk: 128M
#@ disk: 128M
#@ memory: 768
#@ timeout: 240

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh

mount_backing
mkdir -p /backing/store /run/store /mnt/crypt /mnt/disk /var/lock

say "dm-crypt on a linear map on a mirror"
must "mirror" mdadm --create /dev/md0 --run --force --assume-clean --level=1 --raid-devices=2 \
	--metadata=0.90 /dev/vdb /dev/vdc
echo "0 200000 linear /dev/md0 0" | dmsetup create --noudevsync linear
dmsetup mknodes
echo secret | cryptsetup open --type plain --cipher aes-xts-plain64 --key-size 256 \
	--hash plain --batch-mode /dev/mapper/linear crypt
dmsetup mknodes
must "mkfs" mkfs.ext4 -q /dev/mapper/crypt
must "mount" mount /dev/mapper/crypt /mnt/crypt
drawn "the layers" /mnt/crypt <<-'END'
	/mnt/crypt  ext4
	`-dm-1  dm crypt
	  `-dm-0  dm linear
	    `-md0  md raid1
	      |-vdb  disk
	      `-vdc  disk
END
check "nothing is wrong" caisson doctor /dev/mapper/crypt
umount /mnt/crypt

say "XFS on loop on caisson"
truncate -s 300M /backing/store/image
must "serve" start_caissond /backing/store /run/store
must "attach" losetup --direct-io=on /dev/loop0 /run/store/image
must "mkfs.xfs" mkfs.xfs -q /dev/loop0
must "mount XFS" mount -t xfs /dev/loop0 /mnt/disk
drawn "a marked server, its keeper and its spare" /mnt/disk <<-'END'
	/mnt/disk  xfs
	`-loop0  loop
	  `-/run/store  fuse.caisson  file /run/store/image
	    |-caissond(N)  served by
	    | |-/run  tmpfs  has open /run/caissond.log
	    | |-/backing  ext4  has open /backing/store
	    | | `-vda  disk
	    | `-/  rootfs  program /usr/bin/caissond, directory /
	    |-caissond(N)  served by
	    | |-/run  tmpfs  has open /run/caissond.log
	    | |-/backing  ext4  (see above)  has open /backing/store
	    | `-/  rootfs  program /usr/bin/caissond, directory /
	    `-caissond(N)  served by
	      |-/run  tmpfs  has open /run/caissond.log
	      |-/backing  ext4  (see above)  has open /backing/store
	      `-/  rootfs  program /usr/bin/caissond, directory /
END

say "swap on it"
truncate -s 32M /backing/store/swap
must "attach" losetup --direct-io=on /dev/loop1 /run/store/swap
must "mkswap" mkswap /dev/loop1
must "swapon" swapon /dev/loop1
expect_status 3 "it fails" run_with_timeout 30 caisson doctor /dev/loop1
caisson doctor /dev/loop1 >/run/picture
check "swap is above the server" grep -q '^fail swap-above: caissond(' /run/picture
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
drawn "its server" /mnt/disk <<-'END'
	/mnt/disk  ext4
	`-nbd0  nbd
	  `-qemu-nbd(N)  served by  [fail: unmarked, unlocked, oom-killable]
	    |-/backing  ext4  has open /backing/nbd.img
	    | `-vda  disk
	    `-/  rootfs  has open /var/lock/qemu-nbd-nbd0, program /usr/bin/qemu-nbd, directory /
	fail unmarked: qemu-nbd(N) isn't marked as an I/O flusher
	warn unlocked: qemu-nbd(N) isn't locked in memory
	warn oom-killable: qemu-nbd(N) can be killed when memory is short
END
must "unmount" run_with_timeout 60 umount /mnt/disk
qemu-nbd -d /dev/nbd0
