#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A process holds leases on its files in BACKING. Clients that open or truncate those files wait, as
# they would on the filesystem itself, until the holder gives the lease up or the kernel breaks it.
# Nobody else waits (S7).
#
#@ packages: e2fsprogs util-linux
#@ timeout: 180
#@ chaos: the time of a lease begins anew with each server
. "$(dirname "$0")/../lib/mount.sh"

read_leases=3 write_leases=9 break_time=90
lease=$build_dir/tests/lease

# set_break_time SECONDS: the kernel reads it when it asks a holder for the lease, a server when it starts
set_break_time() { echo "$1" >/proc/sys/fs/lease-break-time; }
was=$(</proc/sys/fs/lease-break-time)
[[ -w /proc/sys/fs/lease-break-time ]] || skip "no right to set fs.lease-break-time"
defer set_break_time "$was"
set_break_time "$break_time" # more than all takes that is done meanwhile

# make_files DIR COUNT: of nobody's
make_files() {
	local i
	mkdir -p "$1"
	for ((i = 0; i < $2; i++)); do
		echo content >"$1/$i"
	done
	chown -R 65534:65534 "$1"
}

# hold KIND COUNT: nobody takes as many leases in BACKING/KIND; sets $holder, and {give}, where to say which to give up
hold() {
	local ready
	mkfifo "$scratch/give" "$scratch/ready"
	"$lease" hold "$2" "$1" "$backing/$1" <"$scratch/give" >"$scratch/ready" &
	holder=$!
	exec {give}>"$scratch/give" {said}<"$scratch/ready"
	rm "$scratch/give" "$scratch/ready"
	read -r -t 20 -u "$said" ready
	same "$ready" ready
}

# start_anew: nobody has a file open then, as whoever takes a lease needs it
start_anew() {
	unserve
	serve
	make_files "$backing/write" 2
}

# are_met COUNT: so many leases are being broken, because somebody waits for their end
are_met() { (($(grep -c 'LEASE *BREAKING' /proc/locks || true) >= $1)); }

make_backing ext4 320M
chmod 755 "$backing"
for kind in read write; do
	make_files "$backing/$kind" $((read_leases + write_leases))
done
serve
mkdir "$mnt/look"
head -c 1M /dev/urandom >"$mnt/look/data"
data_sum=$(sum "$mnt/look/data")

say "who meets a lease waits, each for his own file"
hold read "$read_leases"
reader=$holder
hold write "$write_leases"
started=$SECONDS
waiters=()
# wait_for HOW FILE: by a ring no more may wait than half of the entries of the client's CPU
wait_for() {
	taskset -c $((${#waiters[@]} % $(nproc --all))) "$lease" open "$1" "$mnt/$2" &
	waiters+=($!)
}
how=(r w t)
for ((i = 0; i < write_leases; i++)); do
	wait_for "${how[i % 3]}" "write/$i"
done
for ((i = 0; i < read_leases; i++)); do
	wait_for "${how[1 + i % 2]}" "read/$i"
done
wait_until 30 are_met $((write_leases + read_leases))
# nothing of a file that is being truncated: the kernel keeps its inode locked meanwhile
looked() {
	df "$mnt" && ls -l "$mnt/look" && stat "$mnt/look/data" "$mnt/write/2" && "$CAISSON" status "$mnt" &&
		mkdir "$mnt/look/new" && echo more >"$mnt/look/more" && rm "$mnt/look/more" && rmdir "$mnt/look/new" &&
		chmod 600 "$mnt/write/3" && mv "$mnt/write/4" "$mnt/write/moved" &&
		ln "$mnt/write/7" "$mnt/write/linked" && rm "$mnt/write/6" &&
		cat "$mnt/read/0" && dd if="$mnt/look/data" of="$scratch/copy" iflag=direct bs=64k status=none
} >/dev/null
looked &
looker=$!
ends_within 30 "$looker"
wait "$looker"
same "$(sum "$scratch/copy")" "$data_sum" "what is read meanwhile"
for pid in "${waiters[@]}"; do
	kill -0 "$pid"
done

say "who doesn't want to wait is told"
refused 'Resource temporarily unavailable' "$lease" open R "$mnt/write/0"
refused 'Resource temporarily unavailable' "$lease" open W "$mnt/read/0"
"$lease" open R "$mnt/read/0"

say "a signal ends the wait, and so does the lease's end"
kill -TERM "${waiters[1]}"
ends_within 10 "${waiters[1]}"
exits 143 wait "${waiters[1]}"
echo 2 >&"$give" # which is truncated
ends_within 10 "${waiters[2]}"
wait "${waiters[2]}"
same "$(stat -c %s "$backing/write/2")" 5 "size of the truncated file"
kill -0 "${waiters[0]}" "${waiters[3]}"
less $((SECONDS - started)) "$break_time" "seconds, in which the kernel has ended no lease,"

say "a holder's end is the end of all its leases"
kill -KILL "$holder" "$reader"
unset 'waiters[1]' 'waiters[2]'
for pid in "${waiters[@]}"; do
	ends_within 10 "$pid"
	wait "$pid"
done
same "$(cat "$mnt/write/0" "$mnt/write/8" "$mnt/read/1")" $'content\nconteconte' "content"

say "the kernel ends the lease of one that keeps it"
set_break_time 2
start_anew
hold write 1
started=${EPOCHREALTIME//[.,]/}
"$lease" open w "$mnt/write/0"
more $((${EPOCHREALTIME//[.,]/} - started)) 1900000 "microseconds until it was opened"
kill -KILL "$holder"

say "who takes it again whenever it is asked for holds nobody up for longer"
start_anew
mkfifo "$scratch/again"
"$lease" again "$backing/write" >"$scratch/again" &
holder=$!
read -r -t 20 ready <"$scratch/again"
same "$ready" ready
# An open that comes just between has the file, which is as good, but not what is tested here.
is_held_up() {
	local said
	said=$(timeout 60 "$lease" open w "$mnt/write/0" 2>&1) && return 1
	same "$said" 'Resource temporarily unavailable'
}
wait_until 60 is_held_up
kill -0 "$holder"
kill -KILL "$holder"
wait_until 10 "$lease" open w "$mnt/write/0"

say "more than there are slots of a CPU, and the end, for which no lease has to end"
set_break_time "$break_time"
start_anew
hold write 2
waiters=()
for ((i = 0; i < 60; i++)); do
	taskset -c 0 "$lease" open w "$mnt/write/0" 2>/dev/null &
	waiters+=($!)
done
# all_wait: each of them that isn't refused has a request that waits
all_wait() {
	local pid alive=0
	for pid in "${waiters[@]}"; do
		process_is_gone "$pid" || alive=$((alive + 1))
	done
	(($(<"$waiting") >= alive && alive > 0))
}
waiting=$(connection_dir "$mnt")/waiting
wait_until 30 all_wait
taskset -c 0 stat "$mnt/look" >/dev/null &
looker=$!
ends_within 10 "$looker"
wait "$looker"
kill -TERM "${daemon_pid[$mnt]}" # which unmounts, and the second one doesn't wait for who is left
wait_until 10 grep -q 'serving on until' "$daemon_log"
kill -TERM "${daemon_pid[$mnt]}"
CAISSON_END_TIMEOUT=10 await_daemon
