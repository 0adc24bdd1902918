# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Handler and writer are in one group of cgroup v2 with a memory limit. A naive handler hangs. A
# marked one gets through reclaim, but can't get memory: the group's OOM killer ends the writer, or
# an allocation below fails. caissond has taken all the memory that it needs before it serves.
#
#@ title: one memory cgroup (v2), XFS on loop (direct I/O)
#@ kernels: sid
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 20
#@ arm: green caisson lab_options=queues=1,queue_depth=8,max_write=256K
#@ arm: red naive lab_handler=naive
#@ arm: probe naive-marked lab_handler=naive lab_mark=early
#@ arm: probe caisson-unprotected lab_options=queues=1,queue_depth=8,max_write=256K,cache=writeback,io_flusher=off
#@ arm: probe unmarked lab_options=queues=1,queue_depth=8,max_write=256K,io_flusher=off
#@ arm: probe buffered lab_options=queues=1,queue_depth=8,max_write=256K,cache=writeback
#@ arm: probe unlocked lab_options=queues=1,queue_depth=8,max_write=256K,mlock=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

groups=/run/groups
mkdir "$groups"
must "cgroup v2" mount -t cgroup2 groups "$groups"
echo "+memory +io" >"$groups/cgroup.subtree_control"
mkdir "$groups/box" "$groups/rest"
echo $((64 << 20)) >"$groups/box/memory.max"

lab_prepare 1024
lab_group "$groups/box"
lab_serve
lab_group "$groups/rest"
lab_loop_stack xfs
lab_watch loop0
write_in_group() {
	sh -c "echo \$\$ >$groups/box/cgroup.procs; exec lab-load write /mnt/file 200 1"
}
lab_run write_in_group
tell "events $(tr '\n' ' ' <"$groups/box/memory.events")"
lab_verify lab-load verify /mnt/file 200 1
