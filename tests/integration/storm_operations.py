# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a storm is made of (storm.py): identities, and operations that are drawn and done."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EACCESS, AT_SYMLINK_NOFOLLOW = -100, 0x400, 0x200, 0x100
SYS_FACCESSAT2 = 439
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
RWF = {"HIPRI": 1, "DSYNC": 2, "SYNC": 4, "NOWAIT": 8, "APPEND": 16, "NOAPPEND": 32}
PAGE = 4096
LARGEST = 1 << 21
BEHIND = sys.argv[1] == "behind"
LEFT_OUT = os.environ.get("STORM_WITHOUT", "").split()

# --- identities ---

CAP_FOWNER, CAP_FSETID = 3, 4
ALL_CAPS = None


class Identity:
    def __init__(self, name, uid, gid, groups=(), add=(), drop=()):
        self.name, self.uid, self.gid, self.groups = name, uid, gid, list(groups)
        self.add, self.drop = add, drop


IDENTITIES = [
    Identity("root", 0, 0),
    Identity("alice", 2001, 3001),
    Identity("bob", 2002, 3002),
    Identity("carol", 2003, 3003, groups=(3001, 3002)),
    Identity("root-without-FSETID", 0, 0, drop=(CAP_FSETID,)),
    Identity("bob-with-FOWNER", 2002, 3002, add=(CAP_FOWNER,)),
]
WEIGHTS = [4, 4, 3, 3, 1, 1]
UIDS, GIDS = (0, 2001, 2002, 2003), (0, 3001, 3002, 3003)


def capabilities():
    """effective and permitted sets, as two words each"""
    header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    low_eff, low_perm, _, high_eff, high_perm, _ = struct.unpack("=6I", data.raw)
    return low_eff | high_eff << 32, low_perm | high_perm << 32


def set_effective(effective):
    permitted = capabilities()[1]
    header, mask = struct.pack("=Ii", 0x20080522, 0), 0xFFFFFFFF
    data = struct.pack(
        "=6I", effective & mask, permitted & mask, 0, effective >> 32, permitted >> 32, 0
    )
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


current = None


def become(number):
    """The saved user id stays 0, which is the way back."""
    global current
    if number == current:
        return
    who = IDENTITIES[number]
    if current is not None:
        os.setresuid(0, 0, 0)
    set_effective(capabilities()[1])
    os.setgroups(who.groups)
    os.setresgid(who.gid, who.gid, 0)
    if who.uid:
        os.setresuid(who.uid, who.uid, 0)
    effective = capabilities()[0]
    for cap in who.add:
        effective |= 1 << cap
    for cap in who.drop:
        effective &= ~(1 << cap)
    set_effective(effective)
    current = number


# --- one of the two sides ---

scratch_buffer = mmap.mmap(-1, LARGEST + 2 * PAGE)


class NoSlot(Exception):
    pass


class Side:
    def __init__(self, root, is_plain):
        self.root, self.is_plain, self.fds, self.maps = root, is_plain, {}, {}
        self.has_flagged = False  # a file was made immutable or append-only

    def path(self, name):
        return self.root + "/" + name if name else self.root

    def fd(self, slot):
        if slot not in self.fds:
            raise NoSlot
        return self.fds[slot]

    def close(self, slot):
        if slot in self.fds:
            os.close(self.fds.pop(slot))

    def drop_direct(self, fd):
        """The mount takes any size and offset with O_DIRECT, where ext4 says EINVAL: there it is
        dropped as soon as it was accepted."""
        if self.is_plain and not (flags := fcntl.fcntl(fd, fcntl.F_GETFL)) & os.O_PATH:
            fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)

    def close_all(self):
        for slot in list(self.fds):
            self.close(slot)
        for one in self.maps.values():
            one.close()
        self.maps = {}


def fill(number, size):
    """bytes that tell which operation wrote them, and where in it"""
    unit = b"%x." % number
    return (unit * (size // len(unit) + 1))[:size]


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def show(status):
    """what must be the same about a file"""
    kind = stat.S_IFMT(status.st_mode)
    return (
        oct(status.st_mode),
        status.st_uid,
        status.st_gid,
        # ext4 counts the blocks of a directory its own way
        status.st_nlink,
        status.st_size if kind != stat.S_IFDIR else None,
        status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
    )


# --- operations: draw_NAME(rng) draws arguments, do_NAME(side, number, ...) does it ---

DIRS = ["", "d1", "d2", "d1/s"]
NAMES = ["a", "b", "c", "d1", "d2", "s"]
# What most operations name: few, so that they meet.
PATHS = ["a"] * 7 + ["b"] * 4 + ["c"] * 2 + ["d1/a"] * 5 + ["d1/b"] * 2 + ["d2/a"] * 3
PATHS += ["d1", "d2", "d1/s", "d1/s/a", "l"]


def draw_path(rng):
    if rng.random() < 0.85:
        return rng.choice(PATHS)
    parent = rng.choice(DIRS)
    name = rng.choice(NAMES)
    return parent + "/" + name if parent else name


def draw_slot(rng):
    return rng.randrange(4)


def draw_size(rng):
    kind = rng.randrange(20)
    if kind == 0:
        return rng.choice([1 << 20, (1 << 20) + 4096, LARGEST - 512, 300000, 1 << 17])
    if kind < 5:
        return rng.choice([0, 1, 511, 513, 4095, 4097])
    if kind < 12:
        return 512 * rng.randrange(1, 40)
    if kind < 16:
        return PAGE * rng.randrange(1, 8)
    return rng.randrange(1, 9000)


def draw_offset(rng):
    kind = rng.randrange(40)
    if kind == 0:
        return rng.choice([(1 << 63) - 1, (1 << 63) - 1, (1 << 44) - 1])
    if kind < 10:
        return 0
    if kind < 20:
        return 512 * rng.randrange(0, 80)
    if kind < 30:
        return PAGE * rng.randrange(0, 16)
    return rng.randrange(0, 50000)


def draw_mode(rng):
    mode = rng.choice([0o644, 0o666, 0o600, 0o755, 0o777, 0o640, 0o660, 0o444, 0o000, 0o770])
    if rng.random() < 0.4 and "setid" not in LEFT_OUT:
        mode |= rng.choice([0o4000, 0o2000, 0o1000, 0o6000, 0o7000])
    if rng.random() < 0.1:
        mode ^= rng.choice([0o010, 0o001, 0o100])
    return mode


def draw_open(rng):
    flags = rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR, os.O_RDWR])
    for flag, chance in (
        (os.O_CREAT, 0.5),
        (os.O_EXCL, 0.15),
        (os.O_TRUNC, 0.15),
        (os.O_APPEND, 0.2),
        (os.O_DIRECT, 0.3),
        (os.O_NOATIME, 0.1),
        (os.O_SYNC, 0.07),
        (os.O_DSYNC, 0.07),
        (os.O_NOFOLLOW, 0.1),
        (os.O_DIRECTORY, 0.05),
        (os.O_PATH, 0.02),
    ):
        if rng.random() < chance:
            flags |= flag
    if BEHIND:
        # where an append goes is settled by the mount's kernel, by the size that it remembers
        flags &= ~os.O_APPEND
    path = draw_path(rng)
    if rng.random() < 0.07:
        flags = flags & ~(os.O_CREAT | os.O_DIRECTORY | os.O_PATH) | os.O_TMPFILE
        path = rng.choice(DIRS)
    return {"slot": draw_slot(rng), "path": path, "flags": flags, "mode": draw_mode(rng)}


def do_open(side, number, slot, path, flags, mode):
    # a FIFO without another end would wait
    fd = os.open(side.path(path), flags | os.O_NONBLOCK, mode)
    side.close(slot)
    side.fds[slot] = fd
    side.drop_direct(fd)
    return show(os.fstat(fd))


def draw_close(rng):
    return {"slot": draw_slot(rng)}


def do_close(side, number, slot):
    side.fd(slot)
    side.close(slot)


def draw_write(rng):
    flags = 0
    if rng.random() < 0.3:
        flags = rng.choice(
            [
                RWF["DSYNC"],
                RWF["SYNC"],
                RWF["APPEND"],
                RWF["NOAPPEND"],
                RWF["HIPRI"],
                RWF["APPEND"] | RWF["NOAPPEND"],
                RWF["DSYNC"] | RWF["APPEND"],
                1 << 20,
            ]
        )
    if BEHIND:
        flags &= ~RWF["APPEND"]
    return {
        "slot": draw_slot(rng),
        "size": draw_size(rng),
        "flags": flags,
        "offset": rng.choice([-1, draw_offset(rng), draw_offset(rng)]),
        "shift": rng.choice([0, 0, 0, 512, 1, 100]),
    }


def do_write(side, number, slot, size, flags, offset, shift):
    fd = side.fd(slot)
    scratch_buffer[shift : shift + size] = fill(number, size)
    with memoryview(scratch_buffer) as whole, whole[shift : shift + size] as part:
        if offset == -1:
            # with the file's own position
            result = os.write(fd, part) if not flags else check(pwritev2(fd, part, offset, flags))
            return result, os.lseek(fd, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(fd).st_mode) else 0
        return os.pwritev(fd, [part], offset, flags)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def pwritev2(fd, part, offset, flags):
    iovec = Iovec(
        ctypes.addressof(ctypes.c_char.from_buffer(part)) if len(part) else None, len(part)
    )
    return libc.pwritev2(fd, ctypes.byref(iovec), 1, ctypes.c_int64(offset), flags)


def draw_read(rng):
    return {
        "slot": draw_slot(rng),
        "size": draw_size(rng),
        "offset": rng.choice([-1, draw_offset(rng)]),
        "flags": rng.choice([0, 0, 0, RWF["HIPRI"], 1 << 20, RWF["DSYNC"]]),
        "shift": rng.choice([0, 0, 0, 512, 1]),
    }


def do_read(side, number, slot, size, offset, flags, shift):
    fd = side.fd(slot)
    if not stat.S_ISREG(os.fstat(fd).st_mode) and not stat.S_ISDIR(os.fstat(fd).st_mode):
        raise NoSlot
    with memoryview(scratch_buffer) as whole, whole[shift : shift + size] as part:
        if offset == -1:
            got = os.readv(fd, [part])
        else:
            got = os.preadv(fd, [part], offset, flags)
        return got, bytes(part[:got])


def draw_truncate(rng):
    return {"path": draw_path(rng), "size": rng.choice([0, draw_offset(rng), draw_offset(rng)])}


def do_truncate(side, number, path, size):
    os.truncate(side.path(path), size)


def draw_ftruncate(rng):
    return {"slot": draw_slot(rng), "size": rng.choice([0, draw_offset(rng), draw_offset(rng)])}


def do_ftruncate(side, number, slot, size):
    os.ftruncate(side.fd(slot), size)


def draw_fallocate(rng):
    return {
        "slot": draw_slot(rng),
        "mode": rng.choice(
            [
                0,
                0,
                KEEP_SIZE,
                PUNCH_HOLE | KEEP_SIZE,
                PUNCH_HOLE | KEEP_SIZE,
                ZERO_RANGE,
                ZERO_RANGE | KEEP_SIZE,
                UNSHARE,
                PUNCH_HOLE,
                COLLAPSE,
                INSERT,
                0x4000,
            ]
        ),
        "offset": draw_offset(rng),
        "length": draw_size(rng),
    }


def do_fallocate(side, number, slot, mode, offset, length):
    check(libc.fallocate(side.fd(slot), mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def draw_copy(rng):
    return {
        "source": draw_slot(rng),
        "target": draw_slot(rng),
        "size": draw_size(rng),
        "from_offset": rng.choice([-1, draw_offset(rng)]),
        "to_offset": rng.choice([-1, draw_offset(rng)]),
    }


def do_copy(side, number, source, target, size, from_offset, to_offset):
    done = 0
    # it may do less than all, as it likes
    while done < size:
        got = os.copy_file_range(
            side.fd(source),
            side.fd(target),
            size - done,
            None if from_offset == -1 else from_offset + done,
            None if to_offset == -1 else to_offset + done,
        )
        if not got:
            break
        done += got
    return done


def draw_sendfile(rng):
    return {
        "source": draw_slot(rng),
        "target": draw_slot(rng),
        "size": draw_size(rng),
        "offset": draw_offset(rng),
    }


def do_sendfile(side, number, source, target, size, offset):
    # what is read may be written over before it is copied, when it is the same file
    if os.path.sameopenfile(side.fd(source), side.fd(target)):
        raise NoSlot
    return os.sendfile(side.fd(target), side.fd(source), offset, size)


def draw_seek(rng):
    return {
        "slot": draw_slot(rng),
        "offset": rng.choice([-1, min(draw_offset(rng), 1 << 20)]),
        "whence": rng.choice(
            [os.SEEK_SET, os.SEEK_CUR, os.SEEK_END, os.SEEK_DATA, os.SEEK_HOLE, 9]
        ),
    }


def do_seek(side, number, slot, offset, whence):
    fd = side.fd(slot)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise NoSlot
    if whence not in (os.SEEK_DATA, os.SEEK_HOLE):
        return os.lseek(fd, offset, whence)
    # Holes are as large as the filesystem likes. What is skipped must be zeros.
    before = os.lseek(fd, 0, os.SEEK_CUR)
    size = os.fstat(fd).st_size
    try:
        found = os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO and 0 <= offset < size and whence == os.SEEK_DATA:
            return "data or hole"
        raise
    finally:
        os.lseek(fd, before, os.SEEK_SET)
    if not offset <= found <= size:
        return f"{found} is not between {offset} and {size}"
    return "data or hole"


def draw_rename(rng):
    return {
        "old": draw_path(rng),
        "new": draw_path(rng),
        "flags": rng.choice([0, 0, 0, 1, 2, 2, 3, 4, 8]),
    }


def do_rename(side, number, old, new, flags):
    check(
        libc.renameat2(AT_FDCWD, side.path(old).encode(), AT_FDCWD, side.path(new).encode(), flags)
    )


def draw_link(rng):
    return {"old": draw_path(rng), "new": draw_path(rng), "follow": rng.random() < 0.3}


def do_link(side, number, old, new, follow):
    check(
        libc.linkat(
            AT_FDCWD,
            side.path(old).encode(),
            AT_FDCWD,
            side.path(new).encode(),
            AT_SYMLINK_FOLLOW if follow else 0,
        )
    )


def draw_link_open(rng):
    return {"slot": draw_slot(rng), "new": draw_path(rng)}


def do_link_open(side, number, slot, new):
    check(
        libc.linkat(
            AT_FDCWD,
            f"/proc/self/fd/{side.fd(slot)}".encode(),
            AT_FDCWD,
            side.path(new).encode(),
            AT_SYMLINK_FOLLOW,
        )
    )


def draw_symlink(rng):
    return {
        "target": rng.choice(
            ["a", "b", "../a", "d1", "d1/a", "nowhere", "s", "x" * 60, "y" * 300, "../d2/b"]
        ),
        "new": draw_path(rng),
    }


def do_symlink(side, number, target, new):
    os.symlink(target, side.path(new))


def draw_readlink(rng):
    return {"path": draw_path(rng)}


def do_readlink(side, number, path):
    return os.readlink(side.path(path))


def draw_unlink(rng):
    return {"path": draw_path(rng)}


def do_unlink(side, number, path):
    os.unlink(side.path(path))


def draw_mkdir(rng):
    return {
        "path": rng.choice([draw_path(rng), "d1", "d2", "d1/s"]),
        "mode": rng.choice([0o755, 0o777, 0o1777, 0o775, 0o700, draw_mode(rng)]),
    }


def do_mkdir(side, number, path, mode):
    os.mkdir(side.path(path), mode)


def draw_rmdir(rng):
    return {"path": draw_path(rng)}


def do_rmdir(side, number, path):
    os.rmdir(side.path(path))


def draw_mknod(rng):
    return {
        "path": draw_path(rng),
        "mode": draw_mode(rng)
        | rng.choice(
            [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, 0]
        ),
        "device": rng.choice([0, 0x103, 0x10203]),
    }


def do_mknod(side, number, path, mode, device):
    os.mknod(side.path(path), mode, device)


def draw_chmod(rng):
    return {
        "path": rng.choice([draw_path(rng)] * 5 + [""]),
        "mode": rng.choice([draw_mode(rng), draw_mode(rng), 0o777]),
    }


def do_chmod(side, number, path, mode):
    os.chmod(side.path(path), mode if path else mode | 0o777)


def draw_fchmod(rng):
    return {"slot": draw_slot(rng), "mode": draw_mode(rng)}


def do_fchmod(side, number, slot, mode):
    os.fchmod(side.fd(slot), mode)


def draw_owner(rng):
    """
    Not -1 for both: of that the server only hears that nothing is to be set, as before a write. It
    does it for owners, and can't refuse it to others (behind.py).
    """
    uid = rng.choice((-1,) + UIDS)
    return {"uid": uid, "gid": rng.choice(GIDS if uid == -1 else (-1,) + GIDS)}


def draw_chown(rng):
    return {"path": draw_path(rng), **draw_owner(rng), "follow": rng.random() < 0.7}


def do_chown(side, number, path, uid, gid, follow):
    os.chown(side.path(path), uid, gid, follow_symlinks=follow)


def draw_fchown(rng):
    return {"slot": draw_slot(rng), **draw_owner(rng)}


def do_fchown(side, number, slot, uid, gid):
    os.fchown(side.fd(slot), uid, gid)


class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_int64), ("nsec", ctypes.c_int64)]


NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2


def draw_times(rng):
    def one():
        return rng.choice(
            [
                (0, NOW),
                (0, OMIT),
                (rng.randrange(1 << 31), rng.randrange(10**9)),
                (-5, 1),
                (1 << 34, 7),
                (1, 10**9),
            ]
        )

    return {
        "path": draw_path(rng),
        "atime": one(),
        "mtime": one(),
        "none": rng.random() < 0.2,
        "follow": rng.random() < 0.7,
    }


def do_times(side, number, path, atime, mtime, none, follow):
    times = (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    check(
        libc.utimensat(
            AT_FDCWD,
            side.path(path).encode(),
            None if none else times,
            0 if follow else AT_SYMLINK_NOFOLLOW,
        )
    )
    status = os.stat(side.path(path), follow_symlinks=follow)
    return [
        value
        for (value, (_, asked)) in ((status.st_atime_ns, atime), (status.st_mtime_ns, mtime))
        if asked < OMIT and not none
    ]


def acl(rng):
    entries = [(1, rng.randrange(8), -1)]
    named = []
    for uid in UIDS[1:]:
        if rng.random() < 0.4:
            named.append((2, rng.randrange(8), uid))
    entries += named + [(4, rng.randrange(8), -1)]
    for gid in GIDS[1:]:
        if rng.random() < 0.3:
            entries.append((8, rng.randrange(8), gid))
            named.append(0)
    if named or rng.random() < 0.3:
        entries.append((16, rng.randrange(8), -1))
    entries.append((32, rng.randrange(8), -1))
    if rng.random() < 0.05:
        entries.pop()
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, perm, qualifier & 0xFFFFFFFF) for tag, perm, qualifier in entries
    )


XATTRS = [
    "user.one",
    "user.two",
    "trusted.one",
    "security.capability",
    "security.other",
    "system.posix_acl_access",
    "system.posix_acl_default",
    "nonsense.one",
    "user.",
    "system.other",
]


def draw_setxattr(rng):
    name = rng.choice(XATTRS + ["system.posix_acl_access", "system.posix_acl_default", "user.one"])
    value = fill(rng.randrange(1000), rng.choice([0, 1, 10, 100, 1000, 3900, 5000]))
    if name.startswith("system.posix"):
        value = acl(rng) if rng.random() < 0.95 else value[:12]
    elif name == "security.capability" and rng.random() < 0.8:
        value = struct.pack("<5I", 0x02000001, 1 << 12, 0, 0, 0)
    return {
        "path": draw_path(rng),
        "name": name,
        "value": value,
        "flags": rng.choice([0, 0, 0, 1, 2, 3, 4]),
        "follow": rng.random() < 0.7,
    }


def do_setxattr(side, number, path, name, value, flags, follow):
    os.setxattr(side.path(path), name, value, flags, follow_symlinks=follow)


def draw_getxattr(rng):
    return {"path": draw_path(rng), "name": rng.choice(XATTRS), "follow": rng.random() < 0.7}


def do_getxattr(side, number, path, name, follow):
    return os.getxattr(side.path(path), name, follow_symlinks=follow)


def draw_listxattr(rng):
    return {"path": draw_path(rng), "follow": rng.random() < 0.7}


def do_listxattr(side, number, path, follow):
    return sorted(os.listxattr(side.path(path), follow_symlinks=follow))


def draw_removexattr(rng):
    return {"path": draw_path(rng), "name": rng.choice(XATTRS), "follow": rng.random() < 0.7}


def do_removexattr(side, number, path, name, follow):
    os.removexattr(side.path(path), name, follow_symlinks=follow)


def draw_list(rng):
    return {"path": rng.choice(DIRS + NAMES)}


def do_list(side, number, path):
    return sorted(
        (entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink())
        for entry in os.scandir(side.path(path))
    )


def draw_map(rng):
    return {
        "slot": draw_slot(rng),
        "map": rng.randrange(3),
        "pages": rng.choice([1, 2, 3, 4, 9]),
        "offset": PAGE * rng.choice([0, 0, 0, 1, 3]),
        "shared": rng.random() < 0.7,
        "prot": rng.choice([1, 2, 3, 3, 3]),
    }


def do_map(side, number, slot, map, pages, offset, shared, prot):
    fd = side.fd(slot)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise NoSlot
    address = libc_mmap(None, pages * PAGE, prot, 1 if shared else 2, fd, offset)
    if address == ctypes.c_void_p(-1).value:
        check(-1)
    if map in side.maps:
        side.maps[map].close()
    side.maps[map] = Mapping(address, pages * PAGE, fd, offset)


libc_mmap = libc.mmap
libc_mmap.restype = ctypes.c_void_p
libc_mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.read.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]


class Mapping:
    """Read and written by way of a pipe: what would be a signal is EFAULT then."""

    def __init__(self, address, size, fd, file_offset):
        self.address, self.size, self.fd, self.file_offset = address, size, os.dup(fd), file_offset

    def close(self):
        libc.munmap(self.address, self.size)
        os.close(self.fd)

    def read(self, offset, size):
        # what the rest of the last page holds depends on whether it was written back
        rest = os.fstat(self.fd).st_size - self.file_offset - offset
        if 0 < rest < size:
            size = rest
        elif -PAGE < rest <= 0:
            raise NoSlot
        with pipe() as (out_of, into):
            check(libc.write(into, self.address + offset, size))
            return os.read(out_of, size)

    def write(self, offset, data):
        with pipe() as (out_of, into):
            os.write(into, data)
            return check(libc.read(out_of, self.address + offset, len(data)))


@contextlib.contextmanager
def pipe():
    ends = os.pipe2(os.O_NONBLOCK)
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def mapping(side, map):
    if map not in side.maps:
        raise NoSlot
    return side.maps[map]


def draw_map_access(rng):
    return {
        "map": rng.randrange(3),
        "offset": rng.randrange(0, 12 * PAGE),
        "size": rng.choice([1, 8, 100, 600, PAGE]),
    }


draw_map_read = draw_map_write = draw_map_access


def do_map_read(side, number, map, offset, size):
    one = mapping(side, map)
    offset %= one.size
    # a page at a time: how much of several is read before an error is nobody's promise
    return one.read(offset, min(size, PAGE - offset % PAGE))


def do_map_write(side, number, map, offset, size):
    one = mapping(side, map)
    offset %= one.size
    return one.write(offset, fill(number, min(size, PAGE - offset % PAGE)))


def draw_msync(rng):
    return {"map": rng.randrange(3), "flags": rng.choice([1, 4, 4, 2])}


def do_msync(side, number, map, flags):
    one = mapping(side, map)
    check(libc.msync(one.address, one.size, flags))


def draw_unmap(rng):
    return {"map": rng.randrange(3)}


def do_unmap(side, number, map):
    mapping(side, map).close()
    del side.maps[map]


def draw_fsync(rng):
    return {"slot": draw_slot(rng), "data": rng.random() < 0.5}


def do_fsync(side, number, slot, data):
    (os.fdatasync if data else os.fsync)(side.fd(slot))


def draw_stat(rng):
    return {"path": draw_path(rng), "follow": rng.random() < 0.5}


def do_stat(side, number, path, follow):
    return show(os.stat(side.path(path), follow_symlinks=follow))


def draw_access(rng):
    return {
        "path": draw_path(rng),
        "mode": rng.randrange(8),
        "flags": rng.choice([0, AT_EACCESS, AT_SYMLINK_NOFOLLOW]),
    }


def do_access(side, number, path, mode, flags):
    check(libc.syscall(SYS_FACCESSAT2, AT_FDCWD, side.path(path).encode(), mode, flags))


def draw_setfl(rng):
    flags = rng.choice([0, os.O_APPEND, os.O_DIRECT, os.O_NOATIME, os.O_APPEND | os.O_DIRECT])
    if BEHIND:
        flags &= ~os.O_APPEND
    return {"slot": draw_slot(rng), "flags": flags | os.O_NONBLOCK}


def do_setfl(side, number, slot, flags):
    fcntl.fcntl(side.fd(slot), fcntl.F_SETFL, flags)
    side.drop_direct(side.fd(slot))


GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND_ONLY = 0x10, 0x20


def draw_chattr(rng):
    return {"slot": draw_slot(rng), "flags": rng.choice([0, 0, 0x20, 0x10, 0x40, 0x80, 8])}


def do_chattr(side, number, slot, flags):
    before = struct.unpack("l", fcntl.ioctl(side.fd(slot), GETFLAGS, bytes(8)))[0] & 0xFFFFFFFF
    fcntl.ioctl(side.fd(slot), SETFLAGS, struct.pack("l", before & ~0xF8 | flags))
    side.has_flagged |= bool(flags & (IMMUTABLE | APPEND_ONLY))


OPERATIONS = {
    "open": 14,
    "close": 2,
    "write": 14,
    "read": 10,
    "truncate": 3,
    "ftruncate": 3,
    "fallocate": 5,
    "copy": 4,
    "sendfile": 2,
    "seek": 4,
    "rename": 5,
    "link": 3,
    "link_open": 1,
    "symlink": 2,
    "readlink": 1,
    "unlink": 4,
    "mkdir": 4,
    "rmdir": 1,
    "mknod": 3,
    "chmod": 6,
    "fchmod": 2,
    "chown": 5,
    "fchown": 2,
    "times": 3,
    "setxattr": 5,
    "getxattr": 2,
    "listxattr": 2,
    "removexattr": 2,
    "list": 2,
    "map": 4,
    "map_read": 4,
    "map_write": 5,
    "msync": 1,
    "unmap": 1,
    "fsync": 3,
    "stat": 4,
    "access": 5,
    "setfl": 2,
    "chattr": 1,
}


# Not done behind the mount: its kernel caches the data of a file as long as somebody has it open.
DATA = ("write", "truncate", "ftruncate", "fallocate", "copy", "sendfile")
if BEHIND:
    # what is mapped may be as old as the cache of the mount
    LEFT_OUT += ["map"]
for word in LEFT_OUT:
    OPERATIONS.pop(word, None)


OPEN_FLAGS = (
    "O_CREAT", "O_EXCL", "O_TRUNC", "O_APPEND", "O_DIRECT", "O_NOATIME", "O_SYNC", "O_DSYNC",
    "O_NOFOLLOW", "O_DIRECTORY", "O_PATH", "O_TMPFILE",
)  # fmt: skip


def has_flag(value, flag):
    return value & flag == flag


class Operation:
    """One operation, drawn. `check` tells what is compared after it: 0 its result only, 1 the files
    that it names as well, 2 the whole trees."""

    def __init__(self, rng, number, name=None, **args):
        self.number = number
        self.name = name or rng.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        self.identity = rng.choices(range(len(IDENTITIES)), WEIGHTS)[0]
        self.umask = rng.choice([0, 0, 0o022, 0o077, 0o027])
        self.args = globals()["draw_" + self.name](rng) | args
        self.check = rng.choices([0, 1, 2], [10, 10, 1])[0]
        self.behind = BEHIND and not args and self.name not in DATA and rng.random() < 0.4
        if self.behind and self.name == "open":
            self.args["flags"] &= ~os.O_TRUNC

    def do(self, side):
        os.umask(self.umask)
        try:
            return globals()["do_" + self.name](side, self.number, **self.args)
        except NoSlot:
            return "no such slot"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error.errno))

    def __str__(self):
        def text(key, value):
            if self.name == "open" and key == "flags":
                names = [name for name in OPEN_FLAGS if has_flag(value, getattr(os, name))]
                return "|".join(names + [("O_RDONLY", "O_WRONLY", "O_RDWR")[value & 3]])
            if key == "mode":
                return oct(value)
            if isinstance(value, bytes) and len(value) > 120:
                return f"{value[:16]!r}...{len(value)}"
            return repr(value)

        arguments = ", ".join(f"{key}={text(key, value)}" for key, value in self.args.items())
        who = "BEHIND " * self.behind + IDENTITIES[self.identity].name
        return f"{self.number:4} {who} umask {self.umask:o}: {self.name}({arguments})"
