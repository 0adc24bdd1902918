# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The OOM killer strikes again and again during the load. Programs that are smaller than the daemon
# together take a little more memory than there is, and start again when one of them was killed. The
# OOM killer must never choose the daemon (S12), and the load goes on. The control is protected from
# it, too, and hangs as in `loop`. tests/vm/lab/bisect shows what happens to a caissond without that
# protection.
#
#@ title: the OOM killer at work, XFS on loop (direct I/O)
#@ build: caissond caisson naive lab-load lab-watch
#@ programs: mkfs.ext4 mkfs.xfs
#@ packages: e2fsprogs xfsprogs util-linux
#@ modules: fuse loop ext4 xfs crc32c?
#@ disk: 3G
#@ memory: 512
#@ limit: 60
#@ pause: 40
#@ expect: oom
#@ arm: green caisson
#@ arm: red naive lab_handler=naive
#@ arm: probe unlocked lab_options=mlock=off
# shellcheck source=tests/vm/guest/lab.sh
. /vm/lab.sh

oom_kills() { awk '$1 == "oom_kill" { print $2 }' /proc/vmstat; }
came() { [ "$(oom_kills)" -gt 0 ]; }
# eat_memory LOG: a shell that starts a program again and again
eat_memory() {
	while :; do
		lab-load hold 32 >"$1"
		sleep 1 # or the OOM killer would be all that runs
	done
}
has_eaten_or_came() { came || grep -q held "$1"; }
# one after the other, until the OOM killer comes
eat_all_memory() {
	while ! came; do
		eaters=$((eaters + 1))
		: >/run/eater."$eaters"
		eat_memory /run/eater."$eaters" 2>/dev/null &
		eater_pids="$eater_pids $!"
		wait_until 30 has_eaten_or_came /run/eater."$eaters" || return
	done
}
eaters=0 eater_pids=

lab_prepare 1024
lab_serve
[ "$lab_handler" = caisson ] || echo -1000 >/proc/"$lab_pid"/oom_score_adj
lab_loop_stack xfs
lab_dirty_limits 4
must "the OOM killer comes" eat_all_memory
before=$(oom_kills)
lab_watch loop0
lab_run lab-load write /mnt/file 300 1
tell "events oom_kill $before before, $(oom_kills) after"
if is_green; then
	check "it came during the load, more than once" [ "$(oom_kills)" -gt $((before + 1)) ]
	check "not for the daemon" is_running "$lab_pid"
fi
# shellcheck disable=SC2086 # a PID a word
kill -9 $eater_pids
killall -9 lab-load # theirs
wait_until 30 sh -c '! pidof lab-load'
lab_verify lab-load verify /mnt/file 300 1
