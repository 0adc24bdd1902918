# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Many small files are created, appended to, renamed and unlinked on ext4 above, as in the report of
# 2019, while another program takes most of the memory.
#
#@ title: many small files on ext4 on loop (direct I/O), memory short
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.ext4
#@ packages: e2fsprogs util-linux
#@ modules: fuse loop ext4 crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 30
#@ arm: green caisson
#@ arm: green killed lab_chaos=1 lab_options=recoveries=10000
#@ arm: red naive lab_handler=naive
#@ arm: probe killed-no-spare lab_chaos=1 lab_options=recoveries=10000,spare=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
lab_serve
lab_loop_stack ext4
lab_dirty_limits 1
lab_pressure 208
lab_watch loop0
lab_run lab_storm storm 1500
lab_end_pressure
lab_verify lab_storm verify-storm 1500
