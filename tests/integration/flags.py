#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""flags.py MOUNT MOUNT-DISK PLAIN PLAIN-DISK: what the flags of reads, writes and opens ask for.

The same calls are made on the mount and on a plain ext4 filesystem. Results, errors and contents
must be the same. Where a call on ext4 makes its disk flush its cache before it returns, so must
the call on the mount: flushes are counted by the disks (/sys/block/DISK/stat), which have a cache
and no FUA. MOUNT-DISK is what the backing directory is on.
"""

import ctypes
import errno
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
RWF = {
    "HIPRI": 0x1,
    "DSYNC": 0x2,
    "SYNC": 0x4,
    "NOWAIT": 0x8,
    "APPEND": 0x10,
    "NOAPPEND": 0x20,
    "ATOMIC": 0x40,
    "DONTCACHE": 0x80,
    "NOSIGNAL": 0x100,
    "no such flag": 1 << 30,
}
PAGE, CALLS = 4096, 16
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16

# What FUSE itself refuses, whatever its server does: the daemon never sees these.
FUSE_REFUSES = {
    "NOWAIT": "FUSE files don't claim non-blocking I/O (FMODE_NOWAIT)",
    "DONTCACHE": "FUSE files don't claim uncached I/O (FOP_DONTCACHE)",
}

buffer = mmap.mmap(-1, 16 * PAGE)
faults = []


def fault(text):
    print("flags: " + text, flush=True)
    faults.append(text)


def result_of(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def content(path):
    with open(path, "rb") as file:
        return file.read()


# --- results and errors ---


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def vector(call, fd, size, offset, flags):
    """pwritev2 or preadv2, which os has only without the file's own position"""
    iovec = Iovec(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), size)
    got = call(fd, ctypes.byref(iovec), 1, ctypes.c_long(offset), flags)
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return got


def write_with(directory, open_flags, flags, size, offset):
    """what becomes of a file of three pages"""
    path = directory + "/results"
    with open(path, "wb") as file:
        file.write(b"old." * (3 * PAGE // 4))
    fd = os.open(path, os.O_RDWR | open_flags)
    os.lseek(fd, 100, os.SEEK_SET)
    buffer[:size] = b"N" * size
    seen = (result_of(vector, libc.pwritev2, fd, size, offset, flags), os.lseek(fd, 0, os.SEEK_CUR))
    os.close(fd)
    return seen + (content(path),)


def read_with(directory, open_flags, flags, size, offset):
    path = directory + "/results"
    with open(path, "wb") as file:
        file.write(bytes(range(256)) * (3 * PAGE // 256))
    fd = os.open(path, os.O_RDONLY | open_flags)
    os.lseek(fd, 100, os.SEEK_SET)
    got = result_of(vector, libc.preadv2, fd, size, offset, flags)
    seen = (got, os.lseek(fd, 0, os.SEEK_CUR), buffer[:got] if isinstance(got, int) else None)
    os.close(fd)
    return seen


def compare_results(mount, plain):
    opens = {
        "no flag": 0,
        "O_APPEND": os.O_APPEND,
        "O_DIRECT": os.O_DIRECT,
        "O_SYNC": os.O_SYNC,
        "O_DIRECT|O_APPEND": os.O_DIRECT | os.O_APPEND,
    }
    sets = [(name,) for name in RWF]
    sets += [
        ("APPEND", "NOAPPEND"),
        ("DSYNC", "APPEND"),
        ("SYNC", "NOAPPEND"),
        ("DSYNC", "SYNC"),
        ("HIPRI", "DSYNC"),
    ]
    compared = 0
    for open_name, open_flags in opens.items():
        for names in sets:
            flags = sum(RWF[name] for name in names)
            for size, offset in ((PAGE, PAGE), (PAGE, -1), (700, 50)):
                # ext4 refuses what isn't aligned for O_DIRECT; the mount doesn't
                if open_flags & os.O_DIRECT and (size % PAGE or offset == -1):
                    continue
                for what in (write_with, read_with):
                    on_plain = what(plain, open_flags, flags, size, offset)
                    on_mount = what(mount, open_flags, flags, size, offset)
                    compared += 1
                    if on_mount == on_plain:
                        continue
                    if on_mount[0] == "ENOTSUP" and any(name in FUSE_REFUSES for name in names):
                        continue
                    bytes_only = ", other bytes" if on_plain[:2] == on_mount[:2] else ""
                    fault(
                        f"{what.__name__} RWF {' '.join(names)}, open with {open_name}, "
                        f"{size} bytes at {offset}: ext4 {on_plain[:2]}, "
                        f"mount {on_mount[:2]}{bytes_only}"
                    )
    print(f"flags: {compared} results compared")


# --- durability ---


class Disk:
    def __init__(self, name):
        self.path = f"/sys/block/{name}/stat"

    def flushes(self):
        with open(self.path) as file:
            return int(file.read().split()[15])


def rewritten(size=PAGE, flags=0):
    def call(fd, i):
        assert os.pwritev(fd, [memoryview(buffer)[:size]], i * PAGE, flags) == size

    return call


def appended(size, flags=RWF["APPEND"]):
    def call(fd, i):
        assert os.pwritev(fd, [memoryview(buffer)[:size]], 0, flags) == size

    return call


def allocated(mode):
    def call(fd, i):
        if libc.fallocate(fd, mode, ctypes.c_long(i * PAGE + 100), ctypes.c_long(PAGE)):
            raise OSError(ctypes.get_errno(), "fallocate")

    return call


def copied(fd, i):
    assert os.copy_file_range(fd, fd, PAGE, i * PAGE, (CALLS + i) * PAGE) == PAGE


def sent(fd, i):
    source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert os.sendfile(fd, source, i * PAGE, PAGE) == PAGE
    os.close(source)


def mapped(fd, i):
    with mmap.mmap(fd, CALLS * PAGE) as map:
        map[i * PAGE : i * PAGE + 8] = b"mapped%02d" % i
        map.flush(i * PAGE, PAGE)


def written_then(sync):
    def call(fd, i):
        os.pwrite(fd, buffer[:PAGE], i * PAGE)
        sync(fd)

    return call


def directory_synced(fd, i):
    directory = os.path.dirname(os.readlink(f"/proc/self/fd/{fd}"))
    os.close(os.open(f"{directory}/new{i}", os.O_CREAT | os.O_WRONLY))
    at = os.open(directory, os.O_RDONLY)
    os.fsync(at)
    os.close(at)


def truncated_then_synced(fd, i):
    os.ftruncate(fd, (3 * CALLS - i) * PAGE - 5)
    os.fsync(fd)


CASES = {
    "nothing asked for": (0, rewritten()),
    "RWF_DSYNC": (0, rewritten(flags=RWF["DSYNC"])),
    "RWF_SYNC": (0, rewritten(flags=RWF["SYNC"])),
    "RWF_DSYNC, 100 bytes": (0, rewritten(100, RWF["DSYNC"])),
    "RWF_SYNC, 100 bytes": (0, rewritten(100, RWF["SYNC"])),
    "RWF_DSYNC, O_DIRECT": (os.O_DIRECT, rewritten(flags=RWF["DSYNC"])),
    "RWF_SYNC, O_DIRECT": (os.O_DIRECT, rewritten(flags=RWF["SYNC"])),
    "RWF_DSYNC|RWF_APPEND": (0, appended(PAGE, RWF["DSYNC"] | RWF["APPEND"])),
    "RWF_DSYNC|RWF_APPEND, 100 bytes": (0, appended(100, RWF["DSYNC"] | RWF["APPEND"])),
    "O_DSYNC": (os.O_DSYNC, rewritten()),
    "O_SYNC": (os.O_SYNC, rewritten()),
    "O_DSYNC, 100 bytes": (os.O_DSYNC, rewritten(100)),
    "O_SYNC, 100 bytes": (os.O_SYNC, rewritten(100)),
    "O_DSYNC|O_DIRECT": (os.O_DSYNC | os.O_DIRECT, rewritten()),
    "O_DSYNC|O_APPEND": (os.O_DSYNC | os.O_APPEND, appended(PAGE, 0)),
    "O_DSYNC|O_APPEND, 100 bytes": (os.O_DSYNC | os.O_APPEND, appended(100, 0)),
    "O_SYNC, fallocate": (os.O_SYNC, allocated(0)),
    "O_SYNC, punch hole": (os.O_SYNC, allocated(PUNCH_HOLE | KEEP_SIZE)),
    "O_SYNC, zero range": (os.O_SYNC, allocated(ZERO_RANGE)),
    "O_DSYNC, copy_file_range": (os.O_DSYNC, copied),
    "O_DSYNC, sendfile": (os.O_DSYNC, sent),
    "msync": (0, mapped),
    "fsync": (0, written_then(os.fsync)),
    "fdatasync": (0, written_then(os.fdatasync)),
    "fsync of a directory": (0, directory_synced),
    "fsync of a truncate": (0, truncated_then_synced),
}


def count_flushes(directory, disk, open_flags, call):
    """Of two rounds the one with fewer: others may flush the disk, too."""
    path, counts = directory + "/durable", []
    for _ in range(2):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.pwrite(fd, b"first" * (3 * CALLS * PAGE // 5), 0)
        os.fsync(fd)
        os.close(fd)
        fd = os.open(path, os.O_RDWR | open_flags)
        before = disk.flushes()
        for i in range(CALLS):
            call(fd, i)
        counts.append(disk.flushes() - before)
        os.close(fd)
        for i in range(CALLS):
            if os.path.exists(f"{directory}/new{i}"):
                os.unlink(f"{directory}/new{i}")
    return min(counts)


def compare_flushes(mount, mount_disk, plain, plain_disk):
    for name, (open_flags, call) in CASES.items():
        wanted = count_flushes(plain, plain_disk, open_flags, call)
        got = count_flushes(mount, mount_disk, open_flags, call)
        print(f"flags: {name}: {CALLS} calls, flushes on ext4 {wanted}, below the mount {got}")
        # the journal may flush once more here or there
        if wanted >= CALLS - 2 > got:
            fault(f"{name}: {got} flushes for {CALLS} calls")


def main():
    mount, mount_disk, plain, plain_disk = sys.argv[1:]
    compare_results(mount, plain)
    compare_flushes(mount, Disk(mount_disk), plain, Disk(plain_disk))
    print(f"flags: {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
