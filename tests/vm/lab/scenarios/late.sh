# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The handler marks itself after it has made its threads. Only its first thread has the mark, and
# the others stall as if none had it. The audit names them.
#
#@ title: marked too late, XFS on loop (direct I/O)
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 50
#@ pause: 20
#@ arm: green caisson
#@ arm: red late lab_handler=naive lab_mark=late lab_threads=4
#@ arm: probe early lab_handler=naive lab_mark=early lab_threads=4
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

lab_prepare 1024
lab_serve
if [ "$lab_mark" = late ]; then
	expect_status 3 "audit of a handler that was marked late" caisson audit "$lab_pid"
	caisson audit "$lab_pid" >/run/late.txt 2>&1
	sed 's/^/audit: /' /run/late.txt
	same_tasks() {
		[ "$(awk '$2 == "naive" && $4 == "NO"' /run/late.txt | wc -l)" -eq $((lab_threads - 1)) ]
	}
	check "it names each thread but the first" same_tasks
fi
lab_loop_stack xfs
lab_dirty_limits 8
lab_watch loop0
lab_run lab-load write /mnt/file 400 1
lab_verify lab-load verify /mnt/file 400 1
