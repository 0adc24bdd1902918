# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Swap on the stacked device: writing a page out takes the handler, and whatever the handler, the
# loop device or the filesystem below allocate on the way has to come from what is left. The open
# frontier: no arm is judged.
#
#@ title: swap on loop (direct I/O)
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkswap swapon swapoff
#@ packages: e2fsprogs util-linux mount
#@ modules: fuse loop ext4 crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 150
#@ pause: 60
#@ arm: probe caisson
#@ arm: probe caisson-reserve lab_reserve=65536
#@ arm: probe caisson-unprotected lab_options=cache=writeback,io_flusher=off
#@ arm: probe naive lab_handler=naive
#@ arm: probe naive-marked lab_handler=naive lab_mark=early
#@ arm: probe naive-marked-direct lab_handler=naive lab_mark=early lab_direct=1
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
# allocated blocks below: nothing to allocate there while swapping
must "fill the image" dd if=/dev/zero of="$lab_store/disk.img" bs=1M count=1024 conv=notrunc,fsync
lab_serve
lab_loop_options=--direct-io=on
lab_attach
must "mkswap" mkswap /dev/loop0
must "swapon" swapon /dev/loop0
[ -z "${lab_reserve:-}" ] || sysctl -q -w vm.min_free_kbytes="$lab_reserve"
lab_watch loop0
lab_run lab-load hog 600 2
check "swap was used" [ "$(awk '$1 == "pswpout" { print $2 }' /proc/vmstat)" -gt 10000 ]
must "swapoff" run_with_timeout 100 swapoff /dev/loop0
lab_down
must "the handler ends" "stop_$lab_handler"
