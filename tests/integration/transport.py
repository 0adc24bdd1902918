#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""transport.py DIR LIMIT STATUS-COMMAND...: on one CPU as many processes wait for a lock as may keep an entry, LIMIT;
the next one is refused, everything else goes on, one that is interrupted lets go, and at the end all
get their lock. No step depends on timing: how many wait is asked of the daemon."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

directory, limit = sys.argv[1], int(sys.argv[2])
status_command = sys.argv[3:]
lock_path = os.path.join(directory, "lock")


def wait_for_lock(tell):
    fd = os.open(lock_path, os.O_RDWR)
    os.write(tell, b"w")
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
    except OSError as error:
        os._exit(error.errno)
    os._exit(0)


def start():
    """A process that is about to wait, and in whose stead the kernel has begun to."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(100))
        wait_for_lock(writer)
    os.close(writer)
    assert os.read(reader, 1) == b"w"
    os.close(reader)
    return pid


def parked():
    """How many the daemon has waiting."""
    return json.loads(subprocess.check_output(status_command))["lock_waiters"]


def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def ended(pid):
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)


os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
held = os.open(lock_path, os.O_RDWR | os.O_CREAT)
fcntl.lockf(held, fcntl.LOCK_EX)

waiters = [start() for _ in range(limit)]
until(lambda: parked() == limit, "not all wait")

assert ended(start()) == errno.ENOLCK, "one too many was not refused"

with open(os.path.join(directory, "beside"), "wb+") as file:
    data = os.urandom(1 << 20)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    assert file.read() == data
os.rename(os.path.join(directory, "beside"), os.path.join(directory, "renamed"))

os.kill(waiters[0], signal.SIGUSR1)
assert ended(waiters.pop(0)) == 100
waiters.append(start())
until(lambda: parked() == limit, "nobody took the entry that was left")

fcntl.lockf(held, fcntl.LOCK_UN)
for waiter in waiters:
    assert ended(waiter) == 0
