# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Many small files are created, appended to, renamed and unlinked on XFS above, as in the report of
# 2019, while another program takes most of the memory. The load is short: green needs 12 s on an
# idle machine and 40 s on a busy one. The control stalls for at least 14 s, but may then go on.
#
#@ title: many small files on xfs on loop (direct I/O), memory short
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 30
#@ arm: green caisson
#@ arm: green killed lab_chaos=1 lab_options=recoveries=10000
#@ arm: red naive lab_handler=naive
#@ arm: probe killed-no-spare lab_chaos=1 lab_options=recoveries=10000,spare=off
#@ arm: probe unmarked lab_options=io_flusher=off
#@ arm: probe buffered lab_options=cache=writeback
#@ arm: probe unlocked lab_options=mlock=off
#@ arm: probe one-queue lab_options=queues=1
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
lab_serve
lab_loop_stack xfs
lab_dirty_limits 1
lab_pressure 208
lab_watch loop0
lab_run lab_storm storm 400
lab_end_pressure
lab_verify lab_storm verify-storm 400
