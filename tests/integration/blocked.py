#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""blocked.py MOUNTPOINT BACKING SERVER-PID: reads MOUNTPOINT/data while others wait to make files in BACKING, which is
frozen meanwhile. What doesn't go on is found by a limit of 20 s."""

import glob
import mmap
import os
import re
import signal
import subprocess
import sys
import time

CLIENTS = 12
BLOCKED = 2  # workers at least
LIMIT = 20
PIECE = 64 << 10

mountpoint, backing, server = sys.argv[1:]
cpus = sorted(os.sched_getaffinity(0))


def make(name, cpu):
    os.sched_setaffinity(0, {cpu})
    os.close(os.open(os.path.join(mountpoint, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def start(name, cpu):
    pid = os.fork()
    if pid == 0:
        make(name, cpu)
        os._exit(0)
    return pid


def blocked():
    """How many of the server's tasks wait for the thaw."""
    count = 0
    for path in glob.glob(f"/proc/{server}/task/*/stack"):
        try:
            with open(path, encoding="ascii") as stack:
                count += bool(re.search("percpu_rwsem|percpu_down|sb_start_write", stack.read()))
        except (FileNotFoundError, ProcessLookupError):
            pass  # one of io_uring's workers that has ended since
    return count


def read_all(fd):
    """The file, from the disk."""
    buffer, content = mmap.mmap(-1, PIECE), b""
    while True:
        n = os.preadv(fd, [buffer], len(content))
        if n == 0:
            return content
        content += buffer[:n]


fd = os.open(os.path.join(mountpoint, "data"), os.O_RDONLY | os.O_DIRECT)
before = read_all(fd)
for cpu in cpus:
    for i in range(20):
        make(f"before-{cpu}-{i}", cpu)
# in directories of their own: the kernel lets one be changed by one at a time
for i in range(CLIENTS):
    os.mkdir(os.path.join(mountpoint, f"dir-{i}"))

subprocess.run(["fsfreeze", "--freeze", backing], check=True)
clients = [start(f"dir-{i}/new", cpus[i % len(cpus)]) for i in range(CLIENTS)]
since = time.monotonic()
while blocked() < BLOCKED:
    assert time.monotonic() - since < LIMIT, f"{blocked()} wait for the thaw"
    time.sleep(0.01)

signal.alarm(LIMIT)
for cpu in cpus:
    os.sched_setaffinity(0, {cpu})
    for i in range(10):
        assert read_all(fd) == before
signal.alarm(0)
assert blocked() >= BLOCKED
for pid in clients:
    assert os.waitpid(pid, os.WNOHANG) == (0, 0), "a file was made in what is frozen"

subprocess.run(["fsfreeze", "--unfreeze", backing], check=True)
for pid in clients:
    assert os.waitpid(pid, 0)[1] == 0
assert len(glob.glob(os.path.join(mountpoint, "dir-*/new"))) == CLIENTS
