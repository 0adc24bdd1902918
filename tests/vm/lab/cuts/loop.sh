# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The power is cut under XFS on a loop device (direct I/O) on a file of a caisson mount on ext4. In
# every second boot the server is killed several times a second, so cuts fall into takeovers, too.
#
#@ title: XFS on loop
#@ build: caissond caisson naive lab-cut
#@ programs: mkfs.ext4 mkfs.xfs xfs_repair e2fsck
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 1G
#@ memory: 512
# shellcheck disable=SC2317 # called by cut_run
# shellcheck source=tests/vm/guest/cut.sh
. /vm/cut.sh
[ "$lab_handler" != caisson ] || [ $((cut_boot % 2)) -eq 0 ] || lab_chaos=0.2 lab_options=recoveries=100000

cut_make() {
	lab_prepare 512
	lab_serve
	lab_loop_stack xfs
}

cut_again() {
	# shellcheck disable=SC2034 # for lab_up
	lab_type=xfs lab_loop_options=--direct-io=on
	lab_serve
	lab_up
}

cut_check_upper() { check "xfs_repair finds nothing" run_with_timeout 120 xfs_repair -n /dev/loop0; }
cut_down() { lab_down; }

cut_run
