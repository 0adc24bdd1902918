#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With FUSE-over-io_uring, a CPU that comes online while the mount is served has few ring entries.
# This case shows that its data and metadata requests are served all the same, at a depth of many
# times the number of entries. The daemon is told that the machine has one CPU, so all other CPUs
# look as if they came online later.
#
#@ packages: e2fsprogs fio util-linux
#@ alone: yes
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

cpus=/sys/devices/system/cpu
[[ $(<"$cpus/possible") != 0 ]] || skip "there is one CPU"
[[ -r /sys/module/fuse/parameters/enable_uring ]] || skip "FUSE-over-io_uring: this kernel has none (Linux 6.14)"
[[ $(</sys/module/fuse/parameters/enable_uring) == Y ]] || skip "FUSE-over-io_uring: fuse.enable_uring is N"

# what the daemon sees is seen by this case, and by nobody else
if [[ -z ${ABSENT_CPUS_SEEN:-} ]]; then
	ABSENT_CPUS_SEEN=1 unshare --mount --propagation private "$0"
	exit
fi

make_backing ext4 512M
echo 0 >"$scratch/online"
mount --bind "$scratch/online" "$cpus/online"
CAISSON_TEST_OPTIONS="" serve "$backing" "$mnt" transport=uring
umount "$cpus/online"
matches "$(<"$daemon_log")" ', 64 ring entries a CPU, 1 a CPU that is not online \([0-9]+\)' "its line"

last=$(grep -o '[0-9]*$' "$cpus/online")
say "CPU $last has one entry"
taskset --cpu-list "$last" fio --name=data --filename="$mnt/data" --size=64M --bs=16k --rw=randrw --direct=1 \
	--ioengine=libaio --iodepth=64 --verify=crc32c --verify_state_save=0 --output="$scratch/fio" &
data=$!
{
	taskset --cpu-list --pid "$last" "$BASHPID" >/dev/null
	for ((i = 0; i < 300; i++)); do
		mkdir "$mnt/$i"
		: >"$mnt/$i/file"
		mv "$mnt/$i/file" "$mnt/$i/renamed"
	done
} &
names=$!
wait "$names"
wait "$data"
same "$(find "$backing" -name renamed | wc -l)" 300 "number of files"
unserve
