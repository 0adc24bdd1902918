# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# How fast the stack of the original report is beside caisson's: block devices whose blocks are in a
# file of the same ext4, by tcmu-runner's file handler and by loop devices on caisson; and a loop device
# on that ext4 with no daemon. The handler reads and writes through the page cache, which has all of its
# file: with cache=writeback so does caisson, otherwise both loop devices go to the disk. Run by ../run
# --place vm, which reads the lines `bench: `.
#
#@ build: caissond caisson
#@ programs: mkfs.ext4 fio depmod
#@ packages: e2fsprogs fio kmod util-linux
#@ debs: tcmu-runner=tcmu-runner,handler_file_zbc.so dbus-daemon=dbus-daemon
#@ modules: fuse loop ext4 target_core_user tcm_loop sd_mod crc32c?
#@ disk: 2G
#@ memory: 1536
#@ cpus: 2
#@ timeout: 900

: "${tcmu_disk:=}" "${tcmu_pid:=}" # set by guest/tcmu.sh
size_mib=256
rounds=3

jobs='randread-4k-qd1 randwrite-4k-qd1 randread-4k-qd32 randwrite-4k-qd32 read-128k-qd8 write-128k-qd8'

# run_fio DEVICE JOB: IOPS and KiB/s, as fio's terse format has them (version 3: fields 8, 7; 49, 48)
run_fio() {
	fio_rw=${2%%-*} fio_rest=${2#*-}
	fio --name=bench --filename="$1" --rw="$fio_rw" --bs="${fio_rest%%-*}" --iodepth="${2##*-qd}" \
		--size="${size_mib}m" --ioengine=io_uring --direct=1 --runtime=3 --time_based --norandommap \
		--random_generator=tausworthe64 --output-format=terse --terse-version=3 --eta=never |
		awk -F ';' -v rw="$fio_rw" '$1 == 3 { print rw ~ /read/ ? $8 " " $7 : $49 " " $48 }'
}

# measure JOB BACKEND DEVICE ROUND
measure() {
	measured=$(run_fio "$3" "$1")
	check "$1 on $2, round $4" [ -n "$measured" ]
	say "bench: $1 $2 $4 $measured"
}

# fill DEVICE: so that nothing is measured that is a hole below
fill() {
	fio --name=fill --filename="$1" --rw=write --bs=1m --size="${size_mib}m" --ioengine=io_uring \
		--iodepth=4 --direct=1 --end_fsync=1 --eta=never >/dev/null
}

mount_backing
mkdir /backing/store /backing/cached
truncate -s "${size_mib}M" /backing/plain.img /backing/store/disk.img /backing/cached/disk.img
caissond_log=/run/cached.log
must "serve a directory, cache=writeback" start_caissond /backing/cached /run/cached -o cache=writeback
cached_pid=$caissond_pid
show_caissond_log
# shellcheck disable=SC2034 # for guest/caissond.sh
caissond_log=/run/caissond.log
must "serve a directory" start_caissond /backing/store /run/store
show_caissond_log
must "a loop device on caisson" losetup --direct-io=on /dev/loop0 /run/store/disk.img
must "a loop device on caisson with a cache" losetup --direct-io=on /dev/loop2 /run/cached/disk.img
must "a loop device on ext4" losetup --direct-io=on /dev/loop1 /backing/plain.img
must "start tcmu-runner" tcmu_start
# What is measured lies in conventional zones, of which any block may be written at any time. The handler
# insists on some that are not.
must "a disk of tcmu-runner" tcmu_make_disk /backing/zbc.img $((size_mib + 64)) 32 $((size_mib / 32))
for device in /dev/loop0 /dev/loop1 /dev/loop2 "$tcmu_disk"; do
	must "fill $device" fill "$device"
done
say "bench: size $size_mib"
round=1
while [ "$round" -le "$rounds" ]; do
	for job in $jobs; do
		measure "$job" loop-ext4 /dev/loop1 "$round"
		measure "$job" loop-caisson /dev/loop0 "$round"
		measure "$job" loop-caisson-writeback /dev/loop2 "$round"
		measure "$job" tcmu-runner "$tcmu_disk" "$round"
	done
	round=$((round + 1))
done
losetup -d /dev/loop0
losetup -d /dev/loop2
check "caissond ends" stop_caissond 60
caissond_pid=$cached_pid
check "the one with a cache ends" stop_caissond 60
