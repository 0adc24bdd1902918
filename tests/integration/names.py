#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""names.py DIR: names of files, in an empty directory, with calls that no command makes."""

import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
AT_SYMLINK_FOLLOW = 0x400


def renameat2(old, new, flags):
    """0 or an errno"""
    if libc.renameat2(-100, old.encode(), -100, new.encode(), flags) == 0:
        return 0
    return ctypes.get_errno()


def write(name, text):
    with open(name, "w") as file:
        file.write(text)


def read(name):
    with open(name) as file:
        return file.read()


def fails(wanted, call, *args, **keywords):
    try:
        call(*args, **keywords)
    except OSError as error:
        assert error.errno == wanted, f"{error}, not {errno.errorcode[wanted]}"
    else:
        raise AssertionError(f"went well, not {errno.errorcode[wanted]}")


def hard_links():
    write("a", "one")
    os.link("a", "b")
    assert os.stat("a").st_ino == os.stat("b").st_ino
    assert os.stat("a").st_nlink == 2
    write("b", "two")
    assert read("a") == "two"
    os.unlink("a")
    assert os.stat("b").st_nlink == 1
    assert read("b") == "two"
    os.unlink("b")


def unlinked_while_open():
    fd = os.open("gone", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before")
    os.unlink("gone")
    fails(errno.ENOENT, os.stat, "gone")
    os.write(fd, b" after")
    assert os.pread(fd, 100, 0) == b"before after"
    os.ftruncate(fd, 3)
    os.fchmod(fd, 0o600)
    status = os.fstat(fd)
    assert (status.st_size, status.st_nlink, status.st_mode & 0o777) == (3, 0, 0o600)
    write("gone", "another")
    assert os.pread(fd, 100, 0) == b"bef"
    os.fsync(fd)
    os.close(fd)
    assert read("gone") == "another"
    os.unlink("gone")


def renamed_while_open():
    os.mkdir("from")
    os.mkdir("to")
    fd = os.open("from/file", os.O_RDWR | os.O_CREAT)
    os.rename("from/file", "to/other")
    os.write(fd, b"text")
    assert read("to/other") == "text"
    write("victim", "overwritten while open")
    victim = os.open("victim", os.O_RDONLY)
    os.rename("to/other", "victim")
    assert os.pread(victim, 100, 0) == b"overwritten while open"
    assert os.pread(fd, 100, 0) == b"text" and read("victim") == "text"
    os.rename("from", "to/from")
    directory = os.open("to/from", os.O_RDONLY)
    os.rename("to", "moved")
    os.close(os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    assert os.listdir("moved/from") == ["new"]
    fails(errno.EINVAL, os.rename, "moved", "moved/from/below")
    fails(errno.ENOTEMPTY, os.rmdir, "moved")
    for descriptor in (fd, victim, directory):
        os.close(descriptor)
    os.unlink("moved/from/new")
    os.rmdir("moved/from")
    os.rmdir("moved")
    os.unlink("victim")


def rename_flags():
    write("a", "A")
    write("b", "B")
    assert renameat2("a", "b", RENAME_NOREPLACE) == errno.EEXIST
    assert renameat2("a", "c", RENAME_NOREPLACE) == 0
    assert renameat2("b", "c", RENAME_EXCHANGE) == 0
    assert (read("b"), read("c")) == ("A", "B")
    os.mkdir("d")
    assert renameat2("b", "d", RENAME_EXCHANGE) == 0
    assert os.path.isdir("b") and read("d") == "A"
    assert renameat2("b", "none", RENAME_EXCHANGE) == errno.ENOENT
    os.rmdir("b")
    os.unlink("c")
    os.unlink("d")


def nameless_file():
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    except OSError as error:
        # FUSE has had it since Linux 6.2, and says this before
        if error.errno != errno.EOPNOTSUPP:
            raise
        print("left out: the kernel has no O_TMPFILE on FUSE")
        return
    os.write(fd, b"nameless")
    assert os.fstat(fd).st_nlink == 0
    assert os.listdir(".") == []
    # not os.link(): that one never follows a symlink on Linux
    assert libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, b"named", AT_SYMLINK_FOLLOW) == 0
    os.close(fd)
    assert read("named") == "nameless"
    assert os.stat("named").st_mode & 0o777 == 0o640
    os.unlink("named")


def directory_moved_while_listed():
    """Every name that stays is listed once, whatever else happens in the meantime."""
    os.mkdir("list")
    stay = {f"a rather long name, so that one reply does not hold all {i}" for i in range(3000)}
    for name in stay:
        os.close(os.open("list/" + name, os.O_CREAT | os.O_WRONLY))
    seen = []
    with os.scandir("list") as entries:
        for number, entry in enumerate(entries):
            seen.append(entry.name)
            if number == 10:
                os.rename("list", "moved")
            if number % 100 == 50:
                write(f"moved/extra {number}", "")
    listed = [name for name in seen if not name.startswith("extra")]
    assert sorted(listed) == sorted(stay), f"{len(listed)} names, {len(set(listed))} different"
    assert set(os.listdir("moved")) >= stay
    for name in os.listdir("moved"):
        os.unlink("moved/" + name)
    os.rmdir("moved")


def removed_while_listed():
    os.mkdir("list")
    for i in range(1000):
        write(f"list/{i}", "")
    with os.scandir("list") as entries:
        for entry in entries:
            os.unlink(entry.path)
    for name in os.listdir("list"):
        os.unlink("list/" + name)
    fd = os.open("list", os.O_RDONLY)
    os.rmdir("list")
    assert os.listdir(fd) == []
    fails(errno.ENOENT, os.open, "new", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)


def errors():
    write("file", "")
    os.mkdir("dir")
    fails(errno.EEXIST, os.mkdir, "file")
    fails(errno.ENOTDIR, os.stat, "file/below")
    fails(errno.EISDIR, os.open, "dir", os.O_WRONLY)
    fails(errno.EISDIR, os.unlink, "dir")
    fails(errno.ENOTDIR, os.rmdir, "file")
    fails(errno.ENAMETOOLONG, os.stat, "n" * 256)
    write("n" * 255, "")
    os.unlink("n" * 255)
    os.symlink("loop", "loop")
    fails(errno.ELOOP, os.stat, "loop")
    os.symlink("x" * 4095, "longest")
    assert os.readlink("longest") == "x" * 4095
    fails(errno.EPERM, os.link, "dir", "link")
    for name in ("loop", "longest", "file"):
        os.unlink(name)
    os.rmdir("dir")


def append():
    with open("log", "ab", buffering=0) as first, open("log", "ab", buffering=0) as second:
        for i in range(200):
            (first if i % 2 else second).write(b"%03d\n" % i)
    assert read("log") == "".join(f"{i:03}\n" for i in range(200))
    os.unlink("log")


os.chdir(sys.argv[1])
for test in (hard_links, unlinked_while_open, renamed_while_open, rename_flags, nameless_file,
             directory_moved_while_listed, removed_while_listed, errors, append):
    print(test.__name__, flush=True)
    test()
    left = os.listdir(".")
    assert left == [], f"left: {left}"
