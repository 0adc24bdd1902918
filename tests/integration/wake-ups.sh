#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# No request waits while a thread that could serve it sleeps (S7). A read is answered while slow
# look-ups are in flight, however the threads learned of them. Each look-up in the backing
# filesystem takes two seconds (slow-look-ups.c).
#
#@ packages: fuse3 python3
#@ timeout: 120
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

mkdir -p "$backing"
"$build_dir/tests/slow-look-ups" "$backing" -o allow_other,max_idle_threads=64 2>/dev/null ||
	skip "slow-look-ups can't be mounted: no /dev/fuse?"
defer unmount "$backing"
serve "$backing" "$mnt" attr_timeout=0,entry_timeout=0

python3 - "$mnt" <<'END'
import mmap, os, sys, time

mnt = sys.argv[1]
number = 0


def look_ups(count):
    """COUNT slow look-ups at the same moment, each by a process of its own: their PIDs."""
    global number
    begin = mmap.mmap(-1, 4096)
    pids = []
    for _ in range(count):
        number += 1
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        while not begin[0]:
            pass
        os.access(f"{mnt}/slow-{number}", os.F_OK)
        os._exit(0)
    begin[0] = 1
    return pids


page = mmap.mmap(-1, 4096)
fd = os.open(f"{mnt}/file", os.O_RDONLY | os.O_DIRECT)
for _ in range(6):
    pids = look_ups(3)
    # taken by the daemon, most likely; a read that comes earlier proves less
    time.sleep(0.3)
    os.preadv(fd, [page], 8192)
    waiting = [pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0] == 0]
    for pid in waiting:
        os.waitpid(pid, 0)
    if len(waiting) < len(pids):
        sys.exit("a read has waited for a look-up")

END
unserve
