# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson doctor` draws stacks on other people's servers, none of which marks itself: a loop device
# on a filesystem of libfuse, an overlay on that, two containers, a disk of nbdkit by nbd-client, and
# a disk image that qemu-storage-daemon exports by FUSE.
#
#@ build: caisson
#@ programs: mkfs.ext4 bindfs qemu-storage-daemon unshare
#@ packages: e2fsprogs util-linux bindfs qemu-system-common
#@ debs: nbd-client=nbd-client nbdkit=nbdkit,nbdkit-file-plugin.so
#@ tree: tests/vm/golden
#@ modules: fuse loop ext4 overlay nbd unix_diag crc32c?
#@ disk: 512M
#@ memory: 768
#@ timeout: 240

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh

mount_backing
mkdir -p /backing/below /backing/one /backing/two /run/bound /run/over /run/up /run/work /mnt/disk /run/one /run/two

is_mounted() { grep -q " $1 " /proc/self/mounts; }

say "a loop device on a filesystem of libfuse"
bindfs -f /backing/below /run/bound &
bindfs_pid=$!
must "mount" wait_until 30 is_mounted /run/bound
truncate -s 64M /backing/below/image
must "mkfs" mkfs.ext4 -q /backing/below/image
must "attach" losetup --direct-io=off /dev/loop0 /run/bound/image
must "mount" mount /dev/loop0 /mnt/disk
drawn libfuse /mnt/disk
must "unmount" umount /mnt/disk
losetup -d /dev/loop0

say "an overlay on it"
must "mount" mount -t overlay -o lowerdir=/run/bound,upperdir=/run/up,workdir=/run/work overlay /run/over
drawn overlay /run/over
umount /run/over
umount /run/bound
wait "$bindfs_pid"

say "two containers"
unshare --mount --propagation private bindfs -f /backing/one /run/one &
one_pid=$!
unshare --mount --propagation private bindfs -f /backing/two /run/two &
two_pid=$!
is_in_containers() {
	grep -l " /run/one " /proc/[0-9]*/mounts && grep -l " /run/two " /proc/[0-9]*/mounts
} >/dev/null 2>&1
must "mount" wait_until 30 is_in_containers
drawn container "$two_pid"

say "a disk of nbdkit"
truncate -s 64M /backing/nbd.img
nbdkit -f --unix /run/nbd.sock "$(find /usr/lib -name nbdkit-file-plugin.so)" /backing/nbd.img &
is_listening() { [ -S /run/nbd.sock ]; }
must "nbdkit" wait_until 30 is_listening
must "nbd-client" nbd-client -unix /run/nbd.sock /dev/nbd0
must "mkfs" mkfs.ext4 -q /dev/nbd0
must "mount" mount /dev/nbd0 /mnt/disk
drawn nbdkit /mnt/disk
must "unmount" umount /mnt/disk
nbd-client -d /dev/nbd0

say "a disk that qemu-storage-daemon exports by FUSE"
truncate -s 64M /backing/qemu.img
must "mkfs" mkfs.ext4 -q /backing/qemu.img
: >/run/export
qemu-storage-daemon --blockdev driver=file,filename=/backing/qemu.img,node-name=disk \
	--export type=fuse,id=fuse,node-name=disk,mountpoint=/run/export,writable=on &
must "export" wait_until 30 is_mounted /run/export
must "attach" losetup --direct-io=on /dev/loop0 /run/export
must "mount" mount /dev/loop0 /mnt/disk
drawn qemu-fuse /mnt/disk
must "unmount" umount /mnt/disk
losetup -d /dev/loop0
umount /run/export
kill "$one_pid" "$two_pid"
