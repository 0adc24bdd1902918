# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# This is the scenario `loop` with the kernel's default limits on dirty pages, which are a share of
# the available memory. The image is larger than the memory.
#
#@ title: XFS on loop (direct I/O), stock limits
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 20
#@ arm: green caisson
#@ arm: red naive lab_handler=naive
#@ arm: probe caisson-unprotected lab_options=cache=writeback,io_flusher=off
#@ arm: probe naive-marked lab_handler=naive lab_mark=early
#@ arm: probe unmarked lab_options=io_flusher=off
#@ arm: probe buffered lab_options=cache=writeback
#@ arm: probe unlocked lab_options=mlock=off
#@ arm: probe one-queue lab_options=queues=1
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 2048
lab_serve
lab_loop_stack xfs
lab_watch loop0
lab_run lab-load write /mnt/file 1200 1
lab_verify lab-load verify /mnt/file 1200 1
