#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With hang_timeout= a server ends itself when one of its threads doesn't move on, and another one
# takes over. A thread that waits for the backing store doesn't count. The backing filesystem is
# frozen, so that a worker waits in mkdir(2); a tracer then holds it when it comes back.
#
#@ packages: e2fsprogs util-linux python3
#@ transport: one
#@ timeout: 90
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }
# worker_in_mkdir: sets $worker, the thread that waits for the thaw
worker_in_mkdir() {
	worker=$(grep -lsE 'percpu_rwsem|percpu_down|sb_start_write' /proc/"$server"/task/*/stack) || return
	worker=${worker%/stack} worker=${worker##*/}
}

# hold TID: until it is killed, as by a debugger; $scratch/held is there when it is due to stop
hold() {
	python3 - "$1" "$scratch/held" <<-'END'
		import ctypes, os, sys

		PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000
		tid = int(sys.argv[1])
		ptrace = ctypes.CDLL(None, use_errno=True).ptrace
		for request in PTRACE_SEIZE, PTRACE_INTERRUPT:
		    if ptrace(request, tid, None, None) < 0:
		        raise OSError(ctypes.get_errno(), "ptrace")
		open(sys.argv[2], "w").close()
		while os.WIFSTOPPED(os.waitpid(tid, WALL)[1]):
		    pass
	END
}

make_backing ext4 128M
serve "$backing" "$mnt" transport=dev,hang_timeout=1
server=$(server_pid)
defer thaw
fsfreeze --freeze "$backing"
mkdir "$mnt/made" &
client=$!
wait_until 20 worker_in_mkdir

say "a worker that waits for the backing store is waited for"
sleep 4 # it is the time that matters: longer than hang_timeout
same "$(server_pid)" "$server" "PID of the server"

say "one that doesn't come back to its request isn't"
hold "$worker" &
tracer=$!
wait_until 20 test -e "$scratch/held"
thaw
wait "$client"
wait "$tracer"
test -d "$mnt/made"
same "$(status_total takeovers)" 1 takeovers
same "$(grep -c "thread meta-[0-9]* ($worker): go on with MKDIR: .*hang_timeout" "$daemon_log")" 1 \
	"lines that tell of it"
unserve

say "without recovery there is nothing to look for"
serve "$backing" "$mnt" recovery=off,hang_timeout=1
grep -q 'hang_timeout: look for threads that hang: only with recovery=on' "$daemon_log"
unserve
