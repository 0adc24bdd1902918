#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""intruder.py MOUNT BACKING SECONDS [namespace]: nobody gets more by a name that changes behind the
mount.

Root works in a sticky directory of BACKING. It puts files of its own there, of mode 0600 and with a
secret in them, under names that are free a moment before and a moment after. Meanwhile a user works
with the same names on the mount. Whatever the kernel of the mount still believes about a name, the
user must not read, change, take over or remove a file of root's. With "namespace", the user is root of
a user namespace of its own, which has a hundred ids.
"""

import ctypes
import os
import random
import sys
import time

NAMES = [f"name{i}" for i in range(4)]
USER = 2001
SECRET = b"a secret of root's"
faults = 0


def fault(text):
    global faults
    faults += 1
    if faults <= 10:
        print(f"intruder: {text}", flush=True)


# --- the user, on the mount ---


def try_open(path, rng):
    flags = rng.choice([os.O_RDWR, os.O_RDONLY, os.O_WRONLY])
    flags |= rng.choice([os.O_CREAT, os.O_CREAT, 0]) | rng.choice([0, 0, os.O_TRUNC, os.O_EXCL])
    fd = os.open(path, flags, 0o644)
    try:
        if os.fstat(fd).st_uid == os.getuid():
            return
        fault(f"open({flags:#o}) gave the user a file of uid {os.fstat(fd).st_uid}")
        if flags & os.O_ACCMODE != os.O_WRONLY and SECRET in os.read(fd, 100):
            fault("the user has read the secret")
    finally:
        os.close(fd)


def try_link(path, rng):
    os.link(path, path + ".link")
    try:
        # a file of another may be linked to only by who may write to it (fs.protected_hardlinks)
        if os.stat(path + ".link").st_uid != os.getuid():
            fault("the user has made a link to a file of root's")
    finally:
        os.unlink(path + ".link")


TRIES = [
    try_open,
    try_open,
    try_open,
    try_link,
    lambda path, rng: os.unlink(path),
    lambda path, rng: os.rename(path, path + ".mine"),
    lambda path, rng: os.rename(os.path.dirname(path) + "/own", path),
    lambda path, rng: os.truncate(path, 0),
    lambda path, rng: os.chmod(path, 0o4777),
    lambda path, rng: os.utime(path, (1, 1)),
    lambda path, rng: os.setxattr(path, "user.mine", b"1"),
]


def enter_namespace():
    """The calling process, which isn't root any more, gets ids from USER on: from another one of root's."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, ready = os.getpid(), os.pipe()
    pid = os.fork()
    if not pid:
        os.read(ready[0], 1)
        for name in "uid_map", "gid_map":
            with open(f"/proc/{user}/{name}", "w") as file:
                file.write(f"0 {USER} 100")
        os._exit(0)
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, for the maps
    if libc.unshare(0x10000000):  # CLONE_NEWUSER
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(ready[1], b"x")
    os.waitpid(pid, 0)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def be_user(directory, end, seed):
    os.setgroups([])
    if "namespace" in sys.argv:
        enter_namespace()
    else:
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    os.umask(0)
    rng = random.Random(seed)
    while time.monotonic() < end:
        path = f"{directory}/{rng.choice(NAMES)}"
        try:
            rng.choice(TRIES)(path, rng)
        except OSError:
            pass
        if rng.random() < 0.2:
            os.close(os.open(f"{directory}/own", os.O_CREAT | os.O_WRONLY, 0o644))
        if rng.random() < 0.3:
            # the kernel learns the name, or that it is free
            os.path.exists(path)
    return faults


# --- root, behind it ---


def look(path, fd, moment):
    """The file is as root has made it, and has its name."""
    status = os.fstat(fd)
    if status.st_nlink != 1:
        fault(f"{moment}: the file has {status.st_nlink} names")
    if (status.st_mode & 0o7777, status.st_uid) != (0o600, 0):
        fault(f"{moment}: mode {status.st_mode & 0o7777:o}, owner {status.st_uid}")
    if status.st_mtime < 1000 or os.listxattr(fd):
        fault(f"{moment}: its times or attributes were changed")
    if os.pread(fd, 100, 0) != SECRET:
        fault(f"{moment}: its content was changed")
    try:
        same = os.stat(path).st_ino == status.st_ino
    except FileNotFoundError:
        same = False
    if not same:
        fault(f"{moment}: the name is not the file's any more")


def be_root(directory, end, seed):
    rng, placed = random.Random(seed), 0
    while time.monotonic() < end:
        path = f"{directory}/{rng.choice(NAMES)}"
        hidden = f"{directory}/../hidden"
        fd = os.open(hidden, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
        os.write(fd, SECRET)
        # what the user has left there gives way
        os.rename(hidden, path)
        placed += 1
        for _ in range(rng.choice([1, 3, 30])):
            look(path, fd, "while it is there")
        os.close(fd)
        try:
            os.unlink(path)
        except FileNotFoundError:
            fault("root's file was removed")
        for name in os.listdir(directory):
            if name.endswith(".mine") and os.stat(f"{directory}/{name}").st_uid != USER:
                fault("root's file was renamed")
    return placed


def main():
    mount, backing, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    seed = int(os.environ.get("STORM_SEED") or random.randrange(1 << 30))
    print(f"STORM_SEED={seed}", flush=True)
    os.umask(0)
    os.mkdir(f"{backing}/outer", 0o755)
    os.mkdir(f"{backing}/outer/sticky")
    os.chmod(f"{backing}/outer/sticky", 0o1777)
    end = time.monotonic() + seconds
    users = []
    for i in range(2):
        pid = os.fork()
        if not pid:
            os._exit(1 if be_user(f"{mount}/outer/sticky", end, seed + i) else 0)
        users.append(pid)
    placed = be_root(f"{backing}/outer/sticky", end, seed)
    bad = sum(os.waitpid(pid, 0)[1] != 0 for pid in users)
    print(
        f"intruder: root placed {placed} files; {faults} faults seen by root, {bad} users saw some"
    )
    os.system(f"rm -rf {backing}/outer")
    sys.exit(1 if faults or bad or not placed else 0)


if __name__ == "__main__":
    main()
