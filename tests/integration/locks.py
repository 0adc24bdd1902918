#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""locks.py FILE OTHER: fcntl and flock locks between processes. No step depends on timing: a process tells
through a pipe where it is, and whether it waits is read from /proc."""

import errno
import fcntl
import os
import re
import signal
import struct
import sys
import time

path, other_path = sys.argv[1:]


children = []


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
        children.append(self.pid)
        self.words = os.fdopen(self.reader)

    def expect(self, word):
        got = self.words.readline().strip()
        assert got == word, f"child said '{got}', not '{word}'"

    def wait_until_blocked(self):
        """It waits for a lock in the kernel."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if re.search("setlk|flock", self.stack()):
                return
            time.sleep(0.01)
        raise AssertionError("does not block")

    def stack(self):
        with open(f"/proc/{self.pid}/stack") as file:
            return file.read()

    def end(self, status=0):
        _, got = os.waitpid(self.pid, 0)
        children.remove(self.pid)
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


def exit_with_lock(tell, how):
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK)
    tell("taken")
    if how == "killed":
        signal.pause()


def ends_with_its_owner():
    """By exit, by SIGKILL; and there is somebody who waits for it."""
    for how, status in (("exits", 0), ("killed", signal.SIGKILL)):
        child = Child(exit_with_lock, how)
        child.expect("taken")
        if how == "killed":
            waiter = Child(wait_for_it)
            waiter.expect("waiting")
            waiter.wait_until_blocked()
            os.kill(child.pid, signal.SIGKILL)
            waiter.expect("granted")
            waiter.end()
        child.end(status)
        child = Child(take)
        child.expect("taken")
        child.end()


def ofd_lock(fd, kind, wait=False):
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


def ofd_wait(tell):
    fd = os.open(path, os.O_RDWR)
    fails((errno.EAGAIN, errno.EACCES), ofd_lock, fd, fcntl.F_RDLCK)
    tell("busy")
    ofd_lock(fd, fcntl.F_WRLCK, wait=True)
    tell("granted")


def open_files():
    """Locks of open files: between two of one process, too, and not given up by another one's closing."""
    first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    ofd_lock(first, fcntl.F_WRLCK)
    fails((errno.EAGAIN, errno.EACCES), ofd_lock, second, fcntl.F_RDLCK)
    os.close(second)
    copy = os.dup(first)
    child = Child(ofd_wait)
    child.expect("busy")
    child.wait_until_blocked()
    os.close(first)
    child.wait_until_blocked()
    os.close(copy)
    child.expect("granted")
    child.end()


def wait_for_it(tell):
    fd = os.open(path, os.O_RDWR)
    tell("waiting")
    lock(fd, fcntl.F_WRLCK, wait=True)
    tell("granted")


def waiting():
    """Several wait at once; nothing else waits with them."""
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
    child.wait_until_blocked()
    os.kill(child.pid, signal.SIGUSR1)
    child.expect("interrupted")
    child.end()
    # one that is killed outright, too
    child = Child(wait_interrupted)
    child.expect("waiting")
    child.wait_until_blocked()
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
try:
    for test in (ranges, shared, closed_elsewhere, ends_with_its_owner, open_files, waiting, interrupted, crossed,
                 whole_files):
        print(test.__name__, flush=True)
        test()
finally:
    # those that a test which has failed leaves
    for pid in children:
        os.kill(pid, signal.SIGKILL)
