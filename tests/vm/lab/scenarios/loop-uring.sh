# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# This is the scenario `loop` with FUSE-over-io_uring between the kernel and caissond. With
# /dev/fuse the server copies a request in read(2) and write(2); here it copies it in
# io_uring_enter(2), as task work. What that allocates and waits for is under the same mark.
#
#@ title: XFS on loop (direct I/O), small dirty limits, FUSE-over-io_uring
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ kernels: sid
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 50
#@ pause: 20
#@ arm: green caisson lab_options=transport=uring
#@ arm: red naive lab_handler=naive
#@ arm: red caisson-unprotected lab_options=transport=uring,cache=writeback,io_flusher=off
#@ arm: probe unmarked lab_options=transport=uring,io_flusher=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
must "FUSE-over-io_uring is allowed" eval 'echo Y >/sys/module/fuse/parameters/enable_uring'
lab_serve
lab_loop_stack xfs
lab_dirty_limits 4
lab_watch loop0
lab_run lab-load write /mnt/file 600 1
lab_verify lab-load verify /mnt/file 600 1
