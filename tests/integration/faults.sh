#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Under a load of data, metadata and first writes to sparse files, no task of the server takes a
# page fault (S3). Its locked memory stays the same size, and nothing maps or unmaps memory (S4).
# The kernel's counters tell.
#
#@ packages: fio strace xfsprogs e2fsprogs
#@ timeout: 180
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

seconds=20
[[ ${CAISSON_LONG:-} != 1 ]] || seconds=60

# faults PID: a line `TID minflt majflt COMM` a task (fields 10 and 12 of stat)
faults() {
	local task stat fields
	for task in /proc/"$1"/task/*; do
		# a worker of io_uring may end at any time
		read -r stat <"$task/stat" || continue
		read -ra fields <<<"${stat##*) }"
		echo "${task##*/} ${fields[7]} ${fields[9]} $(<"$task/comm")"
	done 2>/dev/null
}
locked() { awk '$1 == "VmLck:" { print $2 }' "/proc/$1/status"; }

# metadata requests that a worker ran
others() { echo $(($(status_total metadata) - $(status_total inline))); }

# Looks names and attributes up, opens and closes: until $scratch/end is there.
look_up() {
	local name
	while [[ ! -e $scratch/end ]]; do
		for name in "$mnt"/names/*; do
			[[ -f $name && ! -s $name ]] && : <"$name"
		done
	done
}

# Writes twice to each of the 64 pieces of a file without blocks, so that all are allocated ahead.
write_first() {
	local at writes=()
	for ((at = 0; at < 4096; at += 64)); do
		writes+=(-c "pwrite -q ${at}k 4k" -c "pwrite -q $((at + 8))k 4k")
	done
	while [[ ! -e $scratch/end ]]; do
		truncate -s 0 "$mnt/sparse"
		truncate -s 4M "$mnt/sparse"
		xfs_io -d "${writes[@]}" "$mnt/sparse"
	done
}

run_load() {
	rm -f "$scratch/end"
	look_up &
	local pid=$! writer
	write_first &
	writer=$!
	fio --directory="$mnt" --runtime="$1" --time_based --eta=never --ioengine=io_uring \
		--iodepth=32 --direct=1 --size=128m --group_reporting --output-format=terse \
		--name=mixed --rw=randrw --bs=4k --name=large --rw=randrw --bs=128k >/dev/null
	touch "$scratch/end"
	wait "$pid"
	wait "$writer"
}

make_backing ext4 1G
mkdir "$backing/names"
touch "$backing"/names/{1..200} "$backing/sparse"
# nothing is answered from the kernel's caches
serve "$backing" "$mnt" attr_timeout=0,entry_timeout=0,extent_size_hint=64K
server=$(server_pid)
# files are laid out, and workers have come up
run_load 2
faults "$server" >"$scratch/before"
locked_before=$(locked "$server")
inline_before=$(status_total inline)
others_before=$(others)
more "$locked_before" 1024 "KiB of locked memory"
run_load "$seconds"
faults "$server" >"$scratch/after"
cat "$scratch/after"
say "no task took a fault in $seconds s"
while read -r task minor major name; do
	now=$(awk -v task="$task" '$1 == task { print $2, $3 }' "$scratch/after")
	[[ -z $now || $now == "$minor $major" ]] ||
		fail "task $task ($name): $minor minor and $major major faults, then $now"
done <"$scratch/before"
same "$(locked "$server")" "$locked_before" VmLck
# with a block for the list of them
more "$(($(blocks "$backing/sparse") / 2))" 4095 "KiB allocated, of 512 that were written,"
more "$(($(others) - others_before))" 1000 "other metadata requests"
more "$(($(status_total inline) - inline_before))" 1000 "requests run inline"

say "no task changes its memory's layout"
strace -f -q -e trace=brk,mmap,munmap,mremap,madvise,mprotect -o "$scratch/trace" -p "$server" &
tracer=$!
# all but the workers of io_uring, which the kernel lets nobody trace
is_traced() {
	local task
	for task in /proc/"$server"/task/*; do
		[[ $(<"$task/comm") == iou-* ]] ||
			grep -q "^TracerPid:[[:space:]]*$tracer$" "$task/status" || return
	done
}
wait_until 10 is_traced
run_load 5
kill -INT "$tracer"
wait "$tracer" || true
cat "$scratch/trace"
same "$(grep -c -E '(brk|mmap|munmap|mremap|madvise|mprotect)\(' "$scratch/trace" || true)" 0 "calls seen"
unserve
