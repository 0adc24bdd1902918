# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson doctor` finds the server of a disk of ublk's, which isn't marked, and `caisson watch` says
# that it is stopped when the disk hangs.
#
#@ build: caisson ublk-server
#@ programs: mkfs.ext4
#@ packages: e2fsprogs
#@ tree: tests/vm/golden
#@ modules: ext4 ublk_drv crc32c?
#@ disk: 512M
#@ kernels: sid

# shellcheck source=tests/vm/guest/doctor.sh
. /vm/doctor.sh

mount_backing
mkdir -p /mnt/disk
truncate -s 64M /backing/image
ublk-server /backing/image >/run/ublk.log &
ublk_pid=$!
is_serving() { grep -q serving /run/ublk.log || has_ended "$ublk_pid"; }
must "serve" wait_until 60 is_serving
must "mkfs" mkfs.ext4 -q /dev/ublkb0
must "mount" mount /dev/ublkb0 /mnt/disk
drawn ublk /mnt/disk

say "its server is stopped"
kill -STOP "$ublk_pid"
dd if=/dev/zero of=/mnt/disk/file bs=4k count=1 conv=fsync 2>/dev/null &
writer_pid=$!
expect_status 1 "watch sees a hang" run_with_timeout 60 caisson watch --once --stall 5 2>/run/watch
sed 's/^/watch: /' /run/watch
check "watch names it" grep -q "ublk-server($ublk_pid), which is stopped by a signal" /run/watch
kill -CONT "$ublk_pid"
wait "$writer_pid"
must "unmount" run_with_timeout 60 umount /mnt/disk
