# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# This is the permanent deadlock inside reclaim. Handler and writer are in nested memory groups of
# cgroup v1. The handler's pwrite() needs a page, and its group is full. Reclaim finds the writer's
# page under writeback and waits for it, because cgroup v1 has no other brake. Only the handler can
# end that writeback.
#
# The outer group needs room for what caissond locks beside the inner group's limit; otherwise the
# OOM killer comes. caissond therefore has few and small queues here. The control has as much less
# memory as caissond locks.
#
#@ title: memory cgroups (v1), ext4 on loop (buffered)
#@ kernels: own
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4
#@ packages: e2fsprogs util-linux
#@ modules: fuse loop ext4 crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 20
#@ arm: green caisson lab_options=queues=1,queue_depth=8,max_write=256K
#@ arm: red naive lab_handler=naive
#@ arm: probe caisson-unprotected lab_options=queues=1,queue_depth=8,max_write=256K,cache=writeback,io_flusher=off
#@ arm: probe naive-marked lab_handler=naive lab_mark=early
#@ arm: probe unmarked lab_options=queues=1,queue_depth=8,max_write=256K,io_flusher=off
#@ arm: probe buffered lab_options=queues=1,queue_depth=8,max_write=256K,cache=writeback
#@ arm: probe unlocked lab_options=queues=1,queue_depth=8,max_write=256K,mlock=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

groups=/run/groups
mkdir "$groups"
must "cgroup v1" mount -t cgroup -o memory groups "$groups"
mkdir "$groups/daemon" "$groups/daemon/writer"
echo $((70 << 20)) >"$groups/daemon/memory.limit_in_bytes"
echo $((32 << 20)) >"$groups/daemon/writer/memory.limit_in_bytes"
sysctl -q -w vm.dirty_writeback_centisecs=100

lab_prepare 1024
lab_group "$groups/daemon"
lab_serve
[ "$lab_handler" = caisson ] || lab_pressure 22
lab_group "$groups"
lab_loop_stack ext4 --direct-io=off
lab_dirty_limits 400 4
lab_watch loop0
write_in_group() {
	echo 0 >"$groups/daemon/writer/cgroup.procs"
	lab-load write /mnt/file 128 1
}
lab_run write_in_group
lab_verify lab-load verify /mnt/file 128 1
