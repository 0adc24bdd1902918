#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A queue's thread moves to the CPU of a client that waits for each answer. It doesn't stay there
# when several requests are in flight, when a client of another CPU comes, or when it can't make
# progress (S7). From outside an idle thread and a blocked one look alike, so the case makes it
# idle.
#
#@ packages: fio util-linux e2fsprogs
#@ alone: yes
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"

CAISSON_TEST_OPTIONS= # it says itself which transport

parameter=/sys/module/fuse/parameters/enable_uring
[[ -w $parameter ]] || skip "FUSE-over-io_uring: this kernel has none (Linux 6.14)"
mapfile -t cpus < <(taskset -c -p $$ | sed 's/.*: //' | tr , '\n' |
	while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done)
((${#cpus[@]} > 1)) || skip "CPUs: there is but one, and nowhere else to go"
was=$(<"$parameter")
defer eval "echo $was >$parameter"
echo Y >"$parameter"

# may_run_on NAME: the CPUs of threads that are called so, a line each
may_run_on() {
	awk -v name="^$1\$" '$1 == "Name:" { is_one = $2 ~ name }
		is_one && $1 == "Cpus_allowed_list:" { print $2 }' /proc/"$pid"/task/*/status
}
thread=queue-0
is_kept_to() { [[ " $(may_run_on "$thread" | paste -s -d ' ') " == *" $1 "* ]]; }
is_free() { [[ $(may_run_on "$thread" | sort -u) == "$all" ]]; }
await() { wait_until 20 "$@" || fail "$thread may run on $(may_run_on "$thread" | paste -s -d ' '): not $*"; }

# client CPU THREADS: until it is killed
client() {
	taskset -c "$1" fio --name=client --filename="$mnt/data" --size=4m --rw=randwrite --bs=4k --direct=1 \
		--ioengine=psync --thread --numjobs="$2" --time_based --runtime=120 --eta=never >/dev/null &
	client=$!
}
end_client() {
	kill -KILL "$client"
	wait "$client" || true
}

make_backing ext4 256M
fio --name=layout --filename="$backing/data" --size=4m --rw=write --bs=1m --eta=never >/dev/null
serve "$backing" "$mnt" transport=uring,queues=1
pid=$(server_pid "$mnt")
all=$(may_run_on "$thread")

for cpu in "${cpus[0]}" "${cpus[-1]}"; do
	say "a client of CPU $cpu that waits for each answer"
	client "$cpu" 1
	await is_kept_to "$cpu"
	end_client
	await is_free
done

say "one that doesn't"
client "${cpus[0]}" 1
await is_kept_to "${cpus[0]}"
other=$client
client "${cpus[0]}" 16
await is_free
end_client
client=$other
await is_kept_to "${cpus[0]}"

say "one that stands still"
kill -STOP "$client"
await is_free
kill -CONT "$client"
await is_kept_to "${cpus[0]}"
end_client

unserve
