# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# Swap is on the stacked device. To write a page out, the handler, the loop device and the
# filesystem below allocate memory, of which little is left. All who reclaim memory stop at the same
# watermark, so caissond alone doesn't get through: its tasks wait in ext4's direct I/O for a struct
# bio, and the swap I/O that waits for them has the reserve (SWAP ON THE STACKED DEVICE in
# caisson(7)). An operator can end that wait in two ways. Real-time priority lets caissond's tasks
# go below the watermark. A memory limit makes those who use the memory run out of it before the
# machine does.
#
#	lab_rt		the handler's tasks are SCHED_FIFO
#	lab_nice	the same without the memory: they are niced to -20
#	lab_box		MiB of a cgroup (v2) that the load is confined to
#	lab_hogs	how many processes the load is (1)
#	lab_reserve	vm.min_free_kbytes
#	lab_boost	vm.watermark_boost_factor
#	lab_scale	vm.watermark_scale_factor
#
#@ title: swap on loop (direct I/O)
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkswap swapon swapoff chrt
#@ packages: e2fsprogs util-linux mount
#@ modules: fuse loop ext4 crc32c?
#@ disk: 3G
#@ memory: 256
#@ limit: 150
#@ pause: 30
#@ arm: green caisson-rt lab_rt=1 lab_boost=0 lab_reserve=16384
#@ arm: green caisson-group lab_box=40
#@ arm: probe caisson
#@ arm: probe caisson-rt-alone lab_rt=1
#@ arm: probe caisson-reserve lab_boost=0 lab_reserve=16384
#@ arm: probe caisson-rt-unlocked lab_rt=1 lab_boost=0 lab_reserve=16384 lab_options=mlock=off
#@ arm: probe caisson-nice lab_nice=1 lab_boost=0 lab_reserve=16384
#@ arm: probe naive-rt lab_handler=naive lab_mark=early lab_direct=1 lab_rt=1 lab_boost=0 lab_reserve=16384
#@ arm: probe naive-group lab_handler=naive lab_box=40
#@ arm: probe caisson-rt-hogs lab_rt=1 lab_boost=0 lab_reserve=16384 lab_hogs=4
#@ arm: probe caisson-rt-boost lab_rt=1 lab_boost=0
#@ arm: probe caisson-reserve-hogs lab_boost=0 lab_reserve=16384 lab_hogs=4
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

total=220 # MiB of the load; the handler and the load's memory together are more than there is
: "${lab_rt:=}" "${lab_nice:=}" "${lab_box:=}" "${lab_hogs:=1}"

counter() { awk -v name="$1" '$1 == name { print $2 }' /proc/vmstat; }

# set_sysctl NAME VALUE: unless VALUE is empty
set_sysctl() { [ -z "$2" ] || must "$1=$2" sysctl -w "$1=$2"; }

is_real_time() {
	for pid in $(caissond_processes); do
		! chrt --all-tasks --pid "$pid" | grep policy | grep -v SCHED_FIFO || return
	done
}

# Fill memory and check it, all of it once.
hogs() {
	[ -z "$lab_box" ] || echo 0 >/run/groups/hogs/cgroup.procs # this subshell
	hog_pids=
	for _ in $(seq "$lab_hogs"); do
		lab-load hog $((total / lab_hogs)) 1 &
		hog_pids="$hog_pids $!"
	done
	for hog_pid in $hog_pids; do
		wait "$hog_pid" || return
	done
}

lab_prepare 512
# allocated and written blocks below: nothing to allocate or convert there while swapping
must "fill the image" \
	dd if=/dev/zero of="$lab_store/disk.img" bs=4M count=128 conv=notrunc,fsync oflag=direct
[ -z "$lab_rt" ] || must "real-time priority" chrt --fifo --pid 1 $$ # the handler inherits it
[ -z "$lab_nice" ] || must "nice" renice -n -20 -p $$
lab_serve
if [ -n "$lab_rt" ]; then
	must "this shell has none" chrt --other --pid 0 $$
	[ "$lab_handler" != caisson ] || check "all tasks of caissond have it" is_real_time
fi
[ -z "$lab_nice" ] || must "not nice" renice -n 0 -p $$
lab_loop_options=--direct-io=on
lab_attach
must "mkswap" mkswap /dev/loop0
must "swapon" swapon /dev/loop0
set_sysctl vm.min_free_kbytes "${lab_reserve:-}"
set_sysctl vm.watermark_boost_factor "${lab_boost:-}"
set_sysctl vm.watermark_scale_factor "${lab_scale:-}"
if [ -n "$lab_box" ]; then
	mkdir /run/groups
	must "cgroup v2" mount -t cgroup2 groups /run/groups
	echo +memory >/run/groups/cgroup.subtree_control
	mkdir /run/groups/hogs
	echo "${lab_box}M" >/run/groups/hogs/memory.max
fi
lab_watch loop0 --reads
lab_run hogs
tell "events pswpout $(counter pswpout) pswpin $(counter pswpin)"
check "more than 100 MiB were swapped out" [ "$(counter pswpout)" -gt 25600 ]
check "and as much read back" [ "$(counter pswpin)" -gt 25600 ]
must "swapoff" run_with_timeout 100 swapoff /dev/loop0
lab_audit "at the end"
lab_down
must "the handler ends" "stop_$lab_handler"
