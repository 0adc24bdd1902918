#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""locks.py FILE OTHER STATUS-COMMAND...: fcntl and flock locks between processes. No step depends on timing: a
process tells through a pipe where it is, and whether it waits is read from /proc."""

import errno
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import time

path, other_path = sys.argv[1:3]
status_command = sys.argv[3:]


class Child:
    """A process that runs a function with a pipe to tell its parent what happened."""

    def __init__(self, function, *args):
        self.reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                # what it inherits would keep the parent's flock
                os.closerange(3, writer)
                os.closerange(writer + 1, 100)
                function(lambda word: os.write(writer, word.encode() + b"\n"), *args)
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        self.words = os.fdopen(self.reader)

    def expect(self, word):
        got = self.words.readline().strip()
        assert got == word, f"child said '{got}', not '{word}'"

    def wait_until_blocked(self):
        """It is inside the kernel's FUSE, waiting for an answer."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open(f"/proc/{self.pid}/wchan") as file:
                if "fuse" in file.read() or "request_wait_answer" in self.stack():
                    return
            time.sleep(0.01)
        raise AssertionError("does not block")

    def wait_until_parked(self):
        """It waits for a lock, and the daemon knows. Of a signal that comes before that the kernel
        doesn't tell by FUSE-over-io_uring."""
        self.wait_until_blocked()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if json.loads(subprocess.check_output(status_command))["lock_waiters"]:
                return
            time.sleep(0.01)
        raise AssertionError("the daemon has nobody waiting")

    def stack(self):
        with open(f"/proc/{self.pid}/stack") as file:
            return file.read()

    def end(self, status=0):
        _, got = os.waitpid(self.pid, 0)
        assert got == status, f"child ended with {got}"
        self.words.close()


def fails(wanted, call, *args):
    try:
        call(*args)
    except OSError as error:
        assert error.errno in wanted, error
    else:
        raise AssertionError("the lock was granted")


def lock(fd, kind, start=0, length=0, wait=False):
    command = fcntl.F_SETLKW if wait else fcntl.F_SETLK
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0))


def holder(fd, start, length):
    """(type, start, length, pid) of a lock in the way of a write lock, or None"""
    answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET,
                                                        start, length, 0))
    kind, _, start, length, pid = struct.unpack("hhqqi4x", answer)
    return None if kind == fcntl.F_UNLCK else (kind, start, length, pid)


def try_ranges(tell):
    fd = os.open(path, os.O_RDWR)
    busy = (errno.EAGAIN, errno.EACCES)
    assert holder(fd, 0, 0) == (fcntl.F_WRLCK, 100, 50, os.getppid())
    fails(busy, lock, fd, fcntl.F_WRLCK, 149, 1)
    fails(busy, lock, fd, fcntl.F_RDLCK, 0, 101)
    lock(fd, fcntl.F_WRLCK, 0, 100)
    lock(fd, fcntl.F_WRLCK, 150, 0)
    tell("locked")


def ranges():
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK, 0, 1000)
    lock(fd, fcntl.F_UNLCK, 0, 100)
    lock(fd, fcntl.F_UNLCK, 150, 850)
    child = Child(try_ranges)
    child.expect("locked")
    child.end()
    # with their process, all its locks are gone
    lock(fd, fcntl.F_WRLCK, 0, 0)
    os.close(fd)


def share(tell):
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_RDLCK)
    fails((errno.EAGAIN, errno.EACCES), lock, fd, fcntl.F_WRLCK)
    tell("shared")


def shared():
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_RDLCK)
    child = Child(share)
    child.expect("shared")
    child.end()
    os.close(fd)


def closed_elsewhere():
    """POSIX: closing any descriptor of the file gives up the process's locks on it."""
    first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    lock(first, fcntl.F_WRLCK)
    os.close(second)
    child = Child(take)
    child.expect("taken")
    child.end()
    os.close(first)


def take(tell):
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK)
    tell("taken")


def wait_for_it(tell):
    fd = os.open(path, os.O_RDWR)
    tell("waiting")
    lock(fd, fcntl.F_WRLCK, wait=True)
    tell("granted")


def waiting():
    """Several wait at once, and the metadata workers must not be used up by them."""
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK)
    children = [Child(wait_for_it) for _ in range(12)]
    for child in children:
        child.expect("waiting")
        child.wait_until_blocked()
    os.close(os.open(other_path, os.O_CREAT | os.O_RDWR))
    os.stat(other_path)
    lock(fd, fcntl.F_UNLCK)
    for child in children:
        child.expect("granted")
        child.end()
    os.close(fd)


def wait_interrupted(tell):
    def handler(*_):
        raise InterruptedError
    signal.signal(signal.SIGUSR1, handler)
    fd = os.open(path, os.O_RDWR)
    tell("waiting")
    try:
        lock(fd, fcntl.F_WRLCK, wait=True)
    except InterruptedError:
        tell("interrupted")


def interrupted():
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK)
    child = Child(wait_interrupted)
    child.expect("waiting")
    child.wait_until_parked()
    os.kill(child.pid, signal.SIGUSR1)
    child.expect("interrupted")
    child.end()
    # one that is killed outright, too
    child = Child(wait_interrupted)
    child.expect("waiting")
    child.wait_until_parked()
    os.kill(child.pid, signal.SIGKILL)
    child.end(signal.SIGKILL)
    lock(fd, fcntl.F_UNLCK)
    # nobody has it in the name of the dead
    child = Child(take)
    child.expect("taken")
    child.end()
    os.close(fd)


def take_both(tell):
    """Locks OTHER, then waits for FILE."""
    other, fd = os.open(other_path, os.O_RDWR), os.open(path, os.O_RDWR)
    lock(other, fcntl.F_WRLCK)
    tell("waiting")
    try:
        lock(fd, fcntl.F_WRLCK, wait=True)
        tell("granted")
    except OSError as error:
        assert error.errno == errno.EDEADLK, error
        tell("refused")


def crossed():
    """Two processes that wait for each other: the one whose request is looked at last gets EDEADLK."""
    fd, other = os.open(path, os.O_RDWR), os.open(other_path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK)
    child = Child(take_both)
    child.expect("waiting")
    child.wait_until_blocked()
    # the child waits for an answer: its request may still be on the way to the daemon
    signal.signal(signal.SIGALRM, no_deadlock_found)
    signal.setitimer(signal.ITIMER_REAL, 20)
    try:
        lock(other, fcntl.F_WRLCK, wait=True)
        answer_of_child = "refused"
    except OSError as error:
        assert error.errno == errno.EDEADLK, error
        answer_of_child = "granted"
    signal.setitimer(signal.ITIMER_REAL, 0)
    lock(fd, fcntl.F_UNLCK)
    child.expect(answer_of_child)
    child.end()
    os.close(fd)
    os.close(other)


def no_deadlock_found(*_):
    raise AssertionError("both wait for ever")


def flock_wait(tell):
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tell("not locked")
    except BlockingIOError:
        tell("busy")
    fcntl.flock(fd, fcntl.LOCK_EX)
    tell("granted")


def whole_files():
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    copy = os.dup(fd)
    child = Child(flock_wait)
    child.expect("busy")
    child.wait_until_blocked()
    # the lock is the open file's, not the descriptor's
    os.close(fd)
    child.wait_until_blocked()
    os.close(copy)
    child.expect("granted")
    child.end()


os.close(os.open(path, os.O_CREAT | os.O_RDWR))
for test in (ranges, shared, closed_elsewhere, waiting, interrupted, crossed, whole_files):
    print(test.__name__, flush=True)
    test()
