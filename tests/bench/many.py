#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many files at once: what they cost when there are ever more of them.

	many.py make DIR COUNT BYTES		makes them, 1000 a directory
	many.py open DIR COUNT SECONDS PID	opens them all; then 4 KiB O_DIRECT reads of any, one at a time
	many.py stat DIR FROM TO PID		the attributes of those, for the first time, which the
						kernel then goes on knowing

Prints a JSON list of samples, as sample.py reads them, with the memory that the server (PID, and
all below it; 0: none) had at the end. A server that refuses one more is no failure: it is noted
with the number there were.
"""
import errno
import json
import mmap
import os
import random
import sys
import time

from sample import status_of, tree

FILES_A_DIRECTORY = 1000


def path_of(top, number):
    """The file of that number."""
    return "%s/%04d/%07d" % (top, number // FILES_A_DIRECTORY, number)


def make(top, count, size):
    """All of them."""
    content = b"x" * size
    for number in range(count):
        if number % FILES_A_DIRECTORY == 0:
            os.mkdir(os.path.dirname(path_of(top, number)))
        if content:
            with open(path_of(top, number), "wb") as file:
                file.write(content)
        else:
            os.mknod(path_of(top, number))
    os.sync()


def memory_of(pid):
    """Of the largest process."""
    all_of = [status_of(one) for one in tree(pid)] if pid else []
    largest = max(all_of, key=lambda status: status.get("VmRSS", 0), default={})
    return {name: largest.get(key, 0) for name, key in
            (("peak_kib", "VmHWM"), ("resident_kib", "VmRSS"), ("locked_kib", "VmLck"))}


def each(numbers, call):
    """(how many went well, seconds, name of the error that ended it)"""
    start, done = time.perf_counter(), 0
    for number in numbers:
        try:
            call(number)
        except OSError as error:
            return done, time.perf_counter() - start, errno.errorcode[error.errno]
        done += 1
    return done, time.perf_counter() - start, ""


def open_many(top, count, seconds, pid):
    """Samples of opening and of reading."""
    fds = []
    done, took, refused = each(range(count), lambda number: fds.append(
        os.open(path_of(top, number), os.O_RDWR | os.O_DIRECT)))
    samples = [{"job": "open", "iops": done / took, "count": done, "refused": refused}]
    block, reads, latencies = mmap.mmap(-1, 4096), 0, []
    begin = time.perf_counter()
    while fds and time.perf_counter() < begin + seconds:
        start = time.perf_counter()
        if os.preadv(random.choice(fds), [block], 0) != 4096:
            raise ValueError("a short read")
        latencies.append((time.perf_counter() - start) * 1e6)
        reads += 1
    latencies.sort()
    samples.append({"job": "read", "iops": reads / (time.perf_counter() - begin), "count": done,
                    "p50_us": latencies[len(latencies) // 2] if latencies else 0, **memory_of(pid)})
    return samples


def stat_many(top, first, end, pid):
    """A sample of looking up."""
    done, took, refused = each(range(first, end), lambda number: os.stat(path_of(top, number)))
    return [{"job": "stat", "iops": done / took, "count": first + done, "refused": refused,
             **memory_of(pid)}]


def main():
    """The command line."""
    command, top, *numbers = sys.argv[1:]
    if command == "make":
        make(top, *map(int, numbers))
        return 0
    samples = {"open": open_many, "stat": stat_many}[command](top, *map(int, numbers))
    print(json.dumps(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main())
