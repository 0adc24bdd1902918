#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A process holds leases on its files in BACKING. Clients that open or truncate those files wait, as
# they would on the filesystem itself, until the holder gives the lease up or the kernel breaks it.
# Nobody else waits (S7).
#
#@ packages: e2fsprogs util-linux
#@ timeout: 180
. "$(dirname "$0")/../lib/mount.sh"

read_leases=3 write_leases=9 break_time=20
lease=$build_dir/tests/lease

restore() { echo "$1" >/proc/sys/fs/lease-break-time; }
was=$(</proc/sys/fs/lease-break-time)
[[ -w /proc/sys/fs/lease-break-time ]] || skip "no right to set fs.lease-break-time"
defer restore "$was"
echo "$break_time" >/proc/sys/fs/lease-break-time

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
wait_until 15 are_met $((write_leases + read_leases))
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
wait_until 10 process_is_gone "$looker"
wait "$looker"
same "$(sum "$scratch/copy")" "$data_sum" "what is read meanwhile"
less $((SECONDS - started)) "$break_time" "seconds until all else was done"
for pid in "${waiters[@]}"; do
	kill -0 "$pid"
done

say "who doesn't want to wait is told"
refused 'Resource temporarily unavailable' "$lease" open R "$mnt/write/0"
refused 'Resource temporarily unavailable' "$lease" open W "$mnt/read/0"
"$lease" open R "$mnt/read/0"

say "a signal ends the wait, and so does the lease's end"
kill -TERM "${waiters[1]}"
wait_until 5 process_is_gone "${waiters[1]}"
exits 143 wait "${waiters[1]}"
echo 2 >&"$give" # which is truncated
wait_until 5 process_is_gone "${waiters[2]}"
wait "${waiters[2]}"
same "$(stat -c %s "$backing/write/2")" 5 "size of the truncated file"
less $((SECONDS - started)) "$break_time" "seconds until these had ended"
kill -0 "${waiters[0]}" "${waiters[3]}"

say "the kernel ends the others"
unset 'waiters[1]' 'waiters[2]'
for pid in "${waiters[@]}"; do
	wait_until $((break_time + 10)) process_is_gone "$pid"
	wait "$pid"
done
more $((SECONDS - started)) $((break_time - 3)) "seconds until they were served"
same "$(cat "$mnt/write/0" "$mnt/write/8" "$mnt/read/1")" $'content\nconteconte' "content"
kill -KILL "$holder"

say "who takes it again whenever it is broken holds nobody up for longer"
echo 2 >/proc/sys/fs/lease-break-time
unserve
serve
make_files "$backing/write" 1
mkfifo "$scratch/again"
"$lease" again "$backing/write" >"$scratch/again" &
holder=$!
read -r -t 20 ready <"$scratch/again"
same "$ready" ready
started=$SECONDS
refused 'Resource temporarily unavailable' timeout 60 "$lease" open w "$mnt/write/0"
less $((SECONDS - started)) 20 "seconds until it was refused"
kill -0 "$holder"
kill -KILL "$holder"
"$lease" open w "$mnt/write/0"
echo "$break_time" >/proc/sys/fs/lease-break-time

say "more than there are slots of a CPU, and the end, for which no lease has to end"
echo 60 >/proc/sys/fs/lease-break-time # a server looks at it as it starts
unserve
serve
make_files "$backing/write" 2
hold write 2
waiters=()
for ((i = 0; i < 60; i++)); do
	taskset -c 0 "$lease" open w "$mnt/write/0" 2>/dev/null &
	waiters+=($!)
done
sleep 1
taskset -c 0 stat "$mnt/look" >/dev/null &
looker=$!
wait_until 5 process_is_gone "$looker"
wait "$looker"
kill -TERM "${daemon_pid[$mnt]}" # which unmounts, and the second one doesn't wait for who is left
wait_until 10 grep -q 'serving on until' "$daemon_log"
kill -TERM "${daemon_pid[$mnt]}"
CAISSON_END_TIMEOUT=10 await_daemon
