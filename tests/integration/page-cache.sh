#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The page cache of the mount is never stale. It shows changes made in the backing directory before
# a file was opened, direct writes of other clients, and direct writes of a loop device, to readers
# that keep the file open.
#
#@ packages: e2fsprogs python3
#@ timeout: 90
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve
head -c 64k /dev/zero >"$mnt/file"
head -c 8M /dev/zero >"$mnt/disk"
attach "$mnt/disk" --direct-io=on --sector-size 4096

python3 - "$mnt/file" "$backing/file" "$mnt/disk" "$loop" <<'END'
import mmap, multiprocessing, os, sys, threading, time

path, behind, disk, loop = sys.argv[1:]
page = mmap.mmap(-1, 4096)


def direct(fd, value):
    page[:] = bytes([value]) * 4096
    os.pwrite(fd, page, 4096)


def check(what, fd, value):
    seen = os.pread(fd, 4096, 4096)
    if seen != bytes([value]) * 4096:
        sys.exit(f"{what}: byte is {seen[0]}, not {value}")


# same length each time, within one tick of the clock
for value in range(1, 200):
    with open(behind, "r+b", buffering=0) as file:
        file.seek(4096)
        file.write(bytes([value]) * 4096)
    fd = os.open(path, os.O_RDONLY)
    check("changed behind the mount", fd, value)
    os.close(fd)

def repeat(step):
    while True:
        step()


def in_background(step):
    """Calls step() again and again, in a process that ends with this one if not before."""
    process = multiprocessing.Process(target=repeat, args=(step,), daemon=True)
    process.start()
    return process


def end(process):
    process.kill()
    process.join()


# an open with O_TRUNC: no page of before may be written to the file afterwards
fd = os.open(path, os.O_RDWR)
background = in_background(lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED))
with mmap.mmap(fd, 65536) as mapping:
    for _ in range(150):
        os.ftruncate(fd, 65536)
        mapping[:] = b"x" * 65536
        emptied = os.open(path, os.O_RDWR | os.O_TRUNC)
        time.sleep(0.001)
        if os.stat(behind).st_size or os.fstat(emptied).st_size:
            sys.exit(f"emptied as it was opened: {os.stat(behind).st_size} bytes")
        os.ftruncate(emptied, 65536)
        if os.pread(emptied, 65536, 0).strip(b"\0"):
            sys.exit("emptied as it was opened: old bytes have come back")
        os.close(emptied)
end(background)

# … and no append that follows it may be written over
log = os.open(path, os.O_RDWR | os.O_APPEND)
for _ in range(20):
    os.ftruncate(log, 0)
    background = in_background(lambda: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC)))
    for number in range(300):
        os.write(log, b"%8d" % number)
    end(background)
    os.write(log, b"%8d" % 300)
    got = os.pread(log, 65536, 0)
    if got != b"".join(b"%8d" % n for n in range(301))[-len(got):]:
        sys.exit(f"appended while others emptied the file: {got}")
os.close(log)
os.ftruncate(fd, 65536)
os.close(fd)

reader = os.open(path, os.O_RDONLY)
writer = os.open(path, os.O_RDWR | os.O_DIRECT)
for value in range(1, 200):
    direct(writer, value)
    check("written with O_DIRECT", reader, value)
os.close(writer)

# a descriptor that writes through the cache sees its own, whoever opens the file meanwhile
own = os.open(path, os.O_RDWR)
for value in range(1, 200):
    os.pwrite(own, bytes([value]) * 4096, 4096)
    os.close(os.open(path, os.O_RDONLY))
    check("written by itself", own, value)
    check("written by another", reader, value)
os.close(own)

# others read all the time, and so may cache what is just being replaced
reader = os.open(disk, os.O_RDONLY)
device = os.open(loop, os.O_RDWR | os.O_DIRECT)
done = threading.Event()


def read_on():
    while not done.is_set():
        os.pread(reader, 4096, 4096)


threads = [threading.Thread(target=read_on, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for value in range(2000):
    direct(device, value % 256)
    check("written by a loop device", reader, value % 256)
done.set()
for thread in threads:
    thread.join()

# many writes at the same time, and a mapping that has all their pages
views = mmap.mmap(reader, 17 * 4096, prot=mmap.PROT_READ)
wrong = []


def write_own(number):
    mine, at = mmap.mmap(-1, 4096), number * 4096
    for value in range(1, 250):
        mine[:] = bytes([value]) * 4096
        os.pwrite(device, mine, at)
        if views[at] != value:
            wrong.append(f"written by one of many: byte is {views[at]}, not {value}")
            break


threads = [threading.Thread(target=write_own, args=(number,)) for number in range(1, 17)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if wrong:
    sys.exit(wrong[0])
END
detach "$loop"
unserve
