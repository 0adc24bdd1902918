#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many small files in DIR: how many a second are made, looked up, listed and removed.

	metadata.py DIR COUNT [--bytes N] [--sync]

create		open(O_CREAT | O_EXCL), N bytes written, close; with --sync until all of it is on the disk
stat		each for the first time, as the kernel's caches of names and inodes were dropped
restat		once more, from whatever cache there is
list		names and attributes of whole directories, as `ls -l` wants them; files a second
unlink

Prints a JSON list of samples, as sample.py reads them. One client, one call at a time; a directory
has 500 files and a name that no other run has: where DIR has the attribute T, ext4 puts each in a block
group by its name. In one where files were removed in the last minutes an ext4 without a journal passes
over their inodes one by one, for 300 us a file (recently_deleted() in fs/ext4/ialloc.c).
"""
import ctypes
import json
import os
import random
import secrets
import sys
import time

FILES_A_DIRECTORY = 500


def timed(job, calls):
    """A sample of the calls, each timed."""
    took = []
    begin = time.perf_counter_ns()
    for call in calls:
        start = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - start)
    seconds = (time.perf_counter_ns() - begin) / 1e9
    took.sort()
    sample = {"job": job, "iops": len(took) / seconds, "seconds": seconds}
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
        sample[name] = took[min(int(share * len(took)), len(took) - 1)] / 1000
    return sample


def drop_names():
    """Unused dentries and inodes of the whole machine; those of caches of data stay."""
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2\n")


def create(path, content):
    """A file with content."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    if content:
        os.write(fd, content)
    os.close(fd)


def list_directory(path, wanted):
    """ls -l of it."""
    with os.scandir(path) as entries:
        seen = sum(1 for entry in entries if entry.stat(follow_symlinks=False).st_ino)
    if seen != wanted:
        raise ValueError("%s: %d files, not %d" % (path, seen, wanted))


def sync_filesystem(path):
    """syncfs(2) of the filesystem that has path."""
    fd = os.open(path, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).syncfs(fd):
        raise OSError(ctypes.get_errno(), "syncfs", path)
    os.close(fd)


def main():
    """The command line."""
    top, count = sys.argv[1], int(sys.argv[2])
    size = int(sys.argv[sys.argv.index("--bytes") + 1]) if "--bytes" in sys.argv else 0
    content = b"x" * size
    directories = ["%s/%s" % (top, secrets.token_hex(8)) for _ in range(-(-count // FILES_A_DIRECTORY))]
    paths = ["%s/%06d" % (directories[n // FILES_A_DIRECTORY], n) for n in range(count)]
    for directory in directories:
        os.mkdir(directory)
    samples = [timed("create", [lambda p=p: create(p, content) for p in paths])]
    if "--sync" in sys.argv:
        start = time.perf_counter()
        sync_filesystem(top)
        samples[0]["seconds"] += time.perf_counter() - start
        samples[0]["iops"] = count / samples[0]["seconds"]

    # in another order than they were made in
    random.Random(7).shuffle(paths)
    os.sync()
    drop_names()
    samples.append(timed("stat", [lambda p=p: os.stat(p) for p in paths]))
    samples.append(timed("restat", [lambda p=p: os.stat(p) for p in paths]))
    drop_names()
    listed = timed("list", [lambda d=d, n=n: list_directory(
        d, min(FILES_A_DIRECTORY, count - n * FILES_A_DIRECTORY)) for n, d in enumerate(directories)])
    # a call was for a directory
    samples.append({"job": "list", "seconds": listed["seconds"], "iops": count / listed["seconds"]})
    samples.append(timed("unlink", [lambda p=p: os.unlink(p) for p in paths]))
    for directory in directories:
        os.rmdir(directory)
    print(json.dumps(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
