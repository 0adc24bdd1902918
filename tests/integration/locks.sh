#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# File locks work among the clients of a mount (locks.py): POSIX locks, flock and open file
# description locks; waiting, interruption by a signal, deadlock detection, and release by close and
# exit. The kernel keeps them without asking caissond. Locks taken in BACKING are independent.
#
#@ packages: python3 util-linux e2fsprogs
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve
say "on ext4 itself"
python3 "$tests_dir/integration/locks.py" "$backing/file" "$backing/other"
say "on the mount"
python3 "$tests_dir/integration/locks.py" "$mnt/file" "$mnt/other"

say "flock(1)"
exec {held}>"$mnt/lock"
flock "$held"
exits 1 flock --nonblock "$mnt/lock" true
flock "$mnt/lock" touch "$mnt/got" {held}>&- &
waiter=$!
exec {held}>&-
wait "$waiter"
test -e "$mnt/got"

say "caissond isn't asked"
python3 - "$mnt/lock" "$(server_pid)" <<-'END'
	import fcntl, os, signal, sys

	def is_asked(*_):
	    raise AssertionError("a lock waits for caissond")

	first, second = open(sys.argv[1], "w"), open(sys.argv[1], "w")
	signal.signal(signal.SIGALRM, is_asked)
	signal.alarm(20)
	os.kill(int(sys.argv[2]), signal.SIGSTOP)
	try:
	    fcntl.flock(first, fcntl.LOCK_EX)
	    try:
	        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
	        raise AssertionError("two have it")
	    except BlockingIOError:
	        pass
	    fcntl.lockf(first, fcntl.LOCK_EX)
	    fcntl.flock(first, fcntl.LOCK_UN)
	    fcntl.flock(second, fcntl.LOCK_EX)
	finally:
	    os.kill(int(sys.argv[2]), signal.SIGCONT)
END

say "below the mount they aren't seen"
exec {held}>"$mnt/lock"
flock "$held"
flock --nonblock "$backing/lock" true
exec {held}>&-
unserve
