# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# `caisson run` marks and locks every task of the command that it executes, also the tasks that
# appear later, and makes it the OOM killer's last choice. Without the capability it starts nothing.
# tests/integration/run.sh tests what needs no mark.
#
#@ build: caisson libcaisson-lock.so
#@ programs: sleep fio
#@ packages: fio coreutils
#@ memory: 768

# where the harness puts what is built
export CAISSON_LOCK_LIBRARY=/usr/bin/libcaisson-lock.so

without_capability() { setpriv --bounding-set=-sys_resource "$@"; }

# is_safe PID: by caisson's audit
is_safe() { caisson audit "$1" >/run/audit.txt 2>&1; }
show_audit() { sed 's/^/audit: /' /run/audit.txt; }

# The same put to the kernel by hand: is_marked PID, and is_locked PID: both flags in every task;
# and more than a megabyte that can't be paged out.
is_marked() {
	for stat in /proc/"$1"/task/*/stat; do
		line=$(cat "$stat") || continue # one of io_uring's workers that has ended meanwhile
		flags=$(echo "${line##*) }" | cut -d ' ' -f 7)
		[ $((flags & 0x180000)) -eq $((0x180000)) ] || return 1
	done
}
is_unmarked() { ! is_marked "$1"; }
is_locked() { [ "$(sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' /proc/"$1"/status)" -gt 1000 ]; }
is_unlocked() { ! is_locked "$1"; }
is_named() { [ "$(cat /proc/"$1"/comm)" = "$2" ]; }
is_one_line() { [ "$(wc -l <"$1")" -eq 1 ]; }
is_empty() { ! [ -s "$1" ]; }

# finish PID: it was ours to end
finish() {
	kill "$1"
	wait_job 20 "$1"
}

caisson run -- sleep 1000 2>/run/stderr &
pid=$!
must "it is marked and locked" wait_until 20 is_safe $pid
show_audit
check "it is the command" is_named $pid sleep
check "flags" is_marked $pid
check "lock" is_locked $pid
check "oom_score_adj" grep -qx -e -1000 /proc/$pid/oom_score_adj
check "nothing is said" is_empty /run/stderr
expect_status 143 "its end is the command's" finish $pid

# Threads that the command starts, and workers that io_uring makes for it.
caisson run fio --name=load --filename=/run/load --size=4m --rw=randrw --bs=4k --thread --numjobs=3 \
	--ioengine=io_uring --force_async=1 --iodepth=4 --time_based --runtime=1000 --eta=never >/run/fio.log 2>&1 &
pid=$!
has_workers() { grep -qs '^iou-wrk' /proc/$pid/task/*/comm; }
must "fio has threads and io_uring workers" wait_until 60 has_workers
check "all of it is marked and locked" is_safe $pid
show_audit
check "flags" is_marked $pid
check "the audit has seen the workers" grep -q io-worker /run/audit.txt
kill -INT $pid
wait_job 60 $pid
sed 's/^/fio: /' /run/fio.log

# A child of the command has the mark, and not the lock.
caisson run dash -c 'sleep 1000 & echo $! >/run/child; wait' &
pid=$!
check "a child is started" wait_until 20 test -s /run/child
child=$(cat /run/child)
check "the child executes" wait_until 20 is_named "$child" sleep
check "the child is marked" is_marked "$child"
check "the child isn't locked" is_unlocked "$child"
expect_status 3 "audit of the child" is_safe "$child"
show_audit
check "the child's parent is safe" is_safe $pid
kill "$child"
expect_status 0 "end of its parent" wait_job 20 $pid

caisson run --mlock=off sleep 1000 2>/run/stderr &
pid=$!
check "--mlock=off executes" wait_until 20 is_named $pid sleep
check "it is marked" is_marked $pid
check "it isn't locked" is_unlocked $pid
check "it says so" grep -q 'not safe to stack on (--mlock=off)' /run/stderr
expect_status 143 "end" finish $pid

expect_status 3 "without the capability" without_capability caisson run -- touch /run/started 2>/run/stderr
sed 's/^/stderr: /' /run/stderr
check "it says one line" is_one_line /run/stderr
check "the line names the capability" grep -q CAP_SYS_RESOURCE /run/stderr
check "nothing was started" test ! -e /run/started
setpriv --bounding-set=-sys_resource caisson run --io-flusher=off sleep 1000 &
pid=$!
check "--io-flusher=off executes" wait_until 20 is_named $pid sleep
check "it isn't marked" is_unmarked $pid
check "it is locked" is_locked $pid
expect_status 143 "end" finish $pid

# What is marked already needs no capability, as where one caisson runs another.
expect_status 0 "without the capability, inside of the mark" \
	caisson run setpriv --bounding-set=-sys_resource caisson run --mlock=off true
