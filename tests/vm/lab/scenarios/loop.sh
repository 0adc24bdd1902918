# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# XFS is on a loop device (direct I/O) on a FUSE file on ext4, with small limits on dirty pages. The
# writer's dirty pages reach the limit, and only the handler can write them back. The handler's own
# pwrite() is made to wait until there are fewer dirty pages, which only the handler can bring
# about.
#
#@ title: XFS on loop (direct I/O), small dirty limits
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 50
#@ pause: 20
#@ arm: green caisson
#@ arm: red naive lab_handler=naive
#@ arm: red caisson-unprotected lab_options=cache=writeback,io_flusher=off
#@ arm: red naive-4-threads lab_handler=naive lab_threads=4
#@ arm: probe naive-marked lab_handler=naive lab_mark=early
#@ arm: probe unmarked lab_options=io_flusher=off
#@ arm: probe buffered lab_options=cache=writeback
#@ arm: probe unlocked lab_options=mlock=off
#@ arm: probe one-queue lab_options=queues=1
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
lab_serve
lab_loop_stack xfs
lab_dirty_limits 4
lab_watch loop0
lab_run lab-load write /mnt/file 600 1
lab_verify lab-load verify /mnt/file 600 1
