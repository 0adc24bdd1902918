# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# This is the scenario `loop`, but the loop device writes through the page cache of the FUSE file,
# so that each page is dirty twice. A FUSE mount has a limit of its own, 1 % of the dirty limit,
# which slows this down for every handler.
#
#@ title: XFS on loop (buffered), small dirty limits
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 90
#@ pause: 20
#@ arm: green caisson
#@ arm: red naive lab_handler=naive
#@ arm: probe caisson-unprotected lab_options=cache=writeback,io_flusher=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
lab_serve
lab_loop_stack xfs --direct-io=off
lab_dirty_limits 8
lab_watch loop0
lab_run lab-load write /mnt/file 100 1
lab_verify lab-load verify /mnt/file 100 1
