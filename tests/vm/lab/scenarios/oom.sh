# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=dash
#
# The OOM killer again and again during the load: one program after the other takes more memory than
# there is. It must never take the daemon (S12), and the load goes on.
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
eat_memory() {
	while :; do
		lab-load hog 4096 1 &
		echo 1000 >/proc/$!/oom_score_adj
		wait $!
	done
}

lab_prepare 1024
lab_serve
lab_loop_stack xfs
lab_dirty_limits 8 4
eat_memory >/dev/null 2>&1 &
eater=$!
came_before() { [ "$(oom_kills)" -gt 0 ]; }
must "the OOM killer comes" wait_until 60 came_before
before=$(oom_kills)
lab_watch loop0
lab_run lab-load write /mnt/file 500 1
kill -9 "$eater"
tell "events oom_kill $before before, $(oom_kills) after"
if is_green; then
	check "it came during the load, more than once" [ "$(oom_kills)" -gt $((before + 1)) ]
	check "not for the daemon" is_running "$lab_pid"
fi
wait_until 30 sh -c '! pidof lab-load' # the last of them
lab_verify lab-load verify /mnt/file 500 1
