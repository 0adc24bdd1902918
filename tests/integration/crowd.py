#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""crowd.py DIR BELOW SECONDS: several processes at a time on one set of files.

What one of them sees depends on the others, so the end is judged by rules:
  - each record that was appended is there once, in one piece, in its writer's order;
  - each byte is of somebody who wrote there;
  - of those who make one name with O_EXCL, mkdir, link, or a rename with NOREPLACE, one wins;
  - a file's number of links is its number of names;
  - fsync and close never fail;
  - DIR and BELOW, which is the same directory below the mount, hold the same.
"""

import ctypes
import errno
import json
import os
import random
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
PROCESSES, RACES, BLOCK, BLOCKS = 4, 300, 700, 150
RWF_APPEND, RENAME_NOREPLACE = 16, 1
faults = 0


def fault(text):
    global faults
    faults += 1
    if faults <= 10:
        print(f"crowd: {text}", flush=True)


def record(who, number, rng):
    return b"<%d:%d:" % (who, number) + b"abcdefghij" * rng.choice([0, 1, 40, 410, 900]) + b">\n"


def append(directory, who, end, rng):
    """returns how many records were acknowledged"""
    flags = rng.choice([0, 0, os.O_DSYNC])
    fd = os.open(f"{directory}/log", os.O_RDWR | os.O_APPEND | os.O_CREAT | flags, 0o666)
    plain = os.open(f"{directory}/log", os.O_RDWR)
    number = 0
    while time.monotonic() < end:
        data = record(who, number, rng)
        if rng.random() < 0.3:
            done = os.pwritev(plain, [data], 0, RWF_APPEND)
        else:
            done = os.write(fd, data)
        if done != len(data):
            fault(f"an append of {len(data)} bytes wrote {done}")
        number += 1
        if number % 50 == 0:
            os.fsync(fd)
    os.close(plain)
    os.close(fd)
    return number


def overwrite(directory, who, end, rng):
    """returns the blocks that it wrote to"""
    fd = os.open(f"{directory}/bytes", os.O_RDWR | os.O_CREAT, 0o666)
    written = set()
    while time.monotonic() < end:
        first, count = rng.randrange(BLOCKS), rng.choice([1, 1, 2, 9])
        count = min(count, BLOCKS - first)
        os.pwrite(fd, bytes([who + 1]) * (BLOCK * count), first * BLOCK)
        written.update(range(first, first + count))
        if rng.random() < 0.05:
            os.fsync(fd)
    os.close(fd)
    return sorted(written)


def names(directory, who, end, rng):
    """links, renames and removes, until its time is over"""

    def path():
        return f"{directory}/names/{rng.choice(['', 'd1/', 'd2/'])}{rng.choice('abcde')}"

    for sub in ("names", "names/d1", "names/d2"):
        try:
            os.mkdir(f"{directory}/{sub}")
        except FileExistsError:
            pass
    while time.monotonic() < end:
        try:
            kind = rng.randrange(6)
            if kind == 0:
                os.close(os.open(path(), os.O_CREAT | os.O_RDWR, 0o666))
            elif kind == 1:
                os.unlink(path())
            elif kind == 2:
                os.link(path(), path())
            elif kind == 3:
                os.rename(path(), path())
            elif kind == 4:
                libc.renameat2(-100, path().encode(), -100, path().encode(), 2)
            else:
                os.stat(path())
        except (FileNotFoundError, FileExistsError):
            pass
    return None


def races(directory, who, end, rng):
    """returns which it won; all go through the same names in the same order"""
    won = []
    base = f"{directory}/races"
    os.makedirs(base, exist_ok=True)
    mine = f"{base}/mine{who}"
    os.close(os.open(mine, os.O_CREAT | os.O_WRONLY, 0o666))
    for i in range(RACES):
        path = f"{base}/{i}"
        try:
            if i % 4 == 0:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            elif i % 4 == 1:
                os.mkdir(path)
            elif i % 4 == 2:
                os.link(mine, path)
            else:
                temporary = f"{base}/temporary{who}"
                os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o666))
                if libc.renameat2(-100, temporary.encode(), -100, path.encode(), RENAME_NOREPLACE):
                    os.unlink(temporary)
                    raise OSError(ctypes.get_errno() or errno.EEXIST, "renameat2")
            won.append(i)
        except FileExistsError:
            pass
    os.unlink(mine)
    return won


# --- the rules ---


def check_log(directory, acknowledged):
    with open(f"{directory}/log", "rb") as file:
        lines = file.read().split(b"\n")
    if lines.pop() != b"":
        fault("the log does not end with a whole record")
    following = dict.fromkeys(acknowledged, 0)
    for line in lines:
        try:
            who, number, text = line[1:-1].split(b":")
            who, number = int(who), int(number)
            whole = line[:1] == b"<" and line[-1:] == b">" and not text.replace(b"abcdefghij", b"")
        except ValueError:
            whole = False
        if not whole:
            fault(f"a record is torn: {line[:60]!r}...")
        elif following[who] != number:
            fault(f"after record {following[who] - 1} of {who} comes {number}")
            following[who] = number + 1
        else:
            following[who] += 1
    for who, count in acknowledged.items():
        if following[who] != count:
            fault(f"{who} appended {count} records; {following[who]} are there")


def check_bytes(directory, written):
    with open(f"{directory}/bytes", "rb") as file:
        content = file.read()
    for block in range(BLOCKS):
        writers = {who + 1 for who, blocks in written.items() if block in blocks} or {0}
        found = set(content[block * BLOCK : (block + 1) * BLOCK])
        # each write was of whole blocks, but no write promises to be in one piece
        if not found <= writers:
            fault(f"block {block} has bytes of {sorted(found)}; its writers are {sorted(writers)}")


def check_races(won):
    for i in range(RACES):
        winners = [who for who, races_won in won.items() if i in races_won]
        if len(winners) != 1:
            fault(f"race {i} ({('O_EXCL', 'mkdir', 'link', 'NOREPLACE')[i % 4]}): won by {winners}")


def walk(directory):
    """path -> kind, mode, size, links; and whether links and names are as many"""
    found, links = {}, {}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = f"{parent}/{name}"
            status = os.lstat(path)
            found[path[len(directory) :]] = (oct(status.st_mode), status.st_size, status.st_nlink)
            if stat.S_ISREG(status.st_mode):
                links.setdefault(status.st_ino, [status.st_nlink, []])[1].append(path)
    for number, paths in links.values():
        if number != len(paths):
            fault(f"{number} links, but {len(paths)} names: {paths}")
    return found


def check_tree(directory, below):
    # sizes of directories are the filesystem's own affair, and the same on both
    seen, real = walk(directory), walk(below)
    for path in sorted(set(seen) | set(real)):
        if seen.get(path) != real.get(path):
            fault(f"{path}: {seen.get(path)} here, {real.get(path)} below")
    for name in ("log", "bytes"):
        with open(f"{directory}/{name}", "rb") as one, open(f"{below}/{name}", "rb") as other:
            if one.read() != other.read():
                fault(f"{name} has other bytes below")


def run(job, directory, end, seed):
    """who -> what the job returned there; an error is a fault"""
    children = []
    for who in range(PROCESSES):
        out_of, into = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(out_of)
            try:
                said = json.dumps(job(directory, who, end, random.Random(seed * 100 + who)))
            except OSError as error:
                said = json.dumps(f"{job.__name__}: {error}")
            with os.fdopen(into, "w") as file:
                file.write(said)
            os._exit(1 if faults else 0)
        os.close(into)
        children.append((who, pid, out_of))
    return children


def gather(children):
    results = {}
    for who, pid, out_of in children:
        with os.fdopen(out_of) as file:
            results[who] = json.load(file)
        if isinstance(results[who], str):
            fault(results[who])
        if os.waitpid(pid, 0)[1]:
            fault(f"process {who} saw faults")
    return results


def main():
    directory, below, seconds = sys.argv[1] + "/crowd", sys.argv[2] + "/crowd", float(sys.argv[3])
    seed = int(os.environ.get("STORM_SEED") or random.randrange(1 << 30))
    print(f"STORM_SEED={seed}", flush=True)
    os.mkdir(directory)
    end = time.monotonic() + seconds
    jobs = {job: run(job, directory, end, seed) for job in (append, overwrite, names, races)}
    results = {job: gather(children) for job, children in jobs.items()}
    if not faults:
        check_log(directory, results[append])
        check_bytes(directory, results[overwrite])
        check_races(results[races])
        check_tree(directory, below)
    records = sum(count for count in results[append].values() if isinstance(count, int))
    print(f"crowd: {records} records, {faults} faults")
    if not records:
        sys.exit(1)
    os.system(f"rm -rf {directory}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
