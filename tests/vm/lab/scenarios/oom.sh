# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The OOM killer again and again during the load: programs that are smaller than the daemon take, all
# together, a little more memory than there is, and start again when one of them was killed. It must
# never take the daemon (S12), and the load goes on.
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
eater_mib=16
# a shell that starts a program again and again
eat_memory() {
	while :; do
		lab-load hold "$eater_mib"
		sleep 1 # or the OOM killer would be all that runs
	done
}
# as many as it takes, and a few
eat_all_memory() {
	eaters=$(awk -v mib="$eater_mib" '$1 == "MemAvailable:" { print int($2 / 1024 / mib) + 4 }' /proc/meminfo)
	while [ "$eaters" -gt 0 ]; do
		eat_memory >/dev/null 2>&1 &
		eater_pids="$eater_pids $!"
		eaters=$((eaters - 1))
	done
}
eater_pids=

lab_prepare 1024
lab_serve
# what the control lacks is the mark alone
[ "$lab_handler" = caisson ] || echo -1000 >/proc/"$lab_pid"/oom_score_adj
lab_loop_stack xfs
lab_dirty_limits 8
eat_all_memory
came_before() { [ "$(oom_kills)" -gt 0 ]; }
must "the OOM killer comes" wait_until 60 came_before
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
