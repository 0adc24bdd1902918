#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""storm.py aside|behind MOUNT BACKING PLAIN: random operations, on a mount and on plain ext4.

A storm is a sequence of episodes. Each begins with two empty directories, one on the mount and one
on the plain filesystem, and does the same operations in both, by several identities. After each
operation results and errors are compared, every few operations whole trees are: the mount with the
plain filesystem, and the mount with its backing directory.

Everything is drawn from the seed, so an episode can be repeated. One with a difference is
repeated with ever fewer operations until none can be left out.

Environment:
  STORM_SEED      number of the first episode
  STORM_SECONDS   how long new episodes are begun
  STORM_OPS       operations of an episode
  STORM_REPORTS   end after so many different differences (1)
  STORM_WITHOUT   words: setid (no such bits), or names of operations
"""

import errno
import os
import random
import shutil
import signal
import stat
import sys
import time
import traceback

from storm_operations import (
    BEHIND,
    COLLAPSE,
    DIRS,
    INSERT,
    LARGEST,
    Operation,
    Side,
    UNSHARE,
    become,
    show,
)

# --- trees ---


def tree(root):
    """path -> what must be the same about it; by root"""
    result = {}

    def look(path, name):
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        content = None
        if kind == stat.S_IFLNK:
            content = os.readlink(path)
        elif kind == stat.S_IFREG:
            fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
            try:
                content = b""
                while part := os.read(fd, LARGEST):
                    content += part
            finally:
                os.close(fd)
        xattrs = {}
        for key in os.listxattr(path, follow_symlinks=False):
            try:
                xattrs[key] = os.getxattr(path, key, follow_symlinks=False)
            except OSError as error:
                # such as what was set as security.capability, and is none
                xattrs[key] = errno.errorcode[error.errno]
        result[name] = {"stat": show(status), "content": content, "xattrs": xattrs}
        if kind == stat.S_IFDIR:
            for entry in sorted(os.listdir(path)):
                look(path + "/" + entry, name + "/" + entry)

    look(root, ".")
    return result


def tree_difference(one, other, names):
    """a line about the first difference, or None"""
    for path in sorted(set(one) | set(other)):
        if path not in one or path not in other:
            return f"{path} is only on {names[0] if path in one else names[1]}"
        for key in one[path]:
            if one[path][key] != other[path][key]:
                first, second = one[path][key], other[path][key]
                return (
                    f"{key} of {path}: {names[0]} {brief(first, second)}, "
                    f"{names[1]} {brief(second, first)}"
                )
    return None


def brief(value, other=None):
    """VALUE as text; of long bytes, where they begin to differ from OTHER"""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], bytes):
        rest = other[1] if isinstance(other, tuple) and len(other) == 2 else None
        return f"{value[0]}, {brief(value[1], rest)}"
    if isinstance(value, bytes) and len(value) > 64:
        at = 0
        if isinstance(other, bytes):
            pairs = enumerate(zip(value, other))
            at = next((i for i, (a, b) in pairs if a != b), min(len(value), len(other)))
        return f"{len(value)} bytes, at {at} {value[at:at + 24]!r}"
    return repr(value)


# --- known and accepted differences ---


def is_far(operation):
    return max((v for k, v in operation.args.items() if "offset" in k), default=0) > 1 << 43


def is_too_far(operation, plain, mount, flagged):
    """Files may be larger on FUSE than on ext4, and an empty copy may be found out first."""
    return (
        operation.name in ("seek", "copy", "sendfile")
        and is_far(operation)
        and plain in ("EINVAL", "EFBIG", "EOVERFLOW")
    )


def is_of_an_open(operation, plain, mount, flagged):
    """The kernel opens a file before it sends chattr's ioctl (fuse_fileattr_set()), and says so where the
    caller may not."""
    return operation.name == "chattr" and plain == "EPERM" and mount == "EACCES"


def is_of_flags(operation, plain, mount, flagged):
    """The mount's kernel isn't told which files are immutable or append-only. So other errors come
    first, and access(2) and a mapping find nothing wrong. The backing filesystem has the last word
    about everything that changes a file."""
    if not flagged:
        return False
    if mount is None:
        return (operation.name, plain) in (("map", "EACCES"), ("access", "EPERM"))
    return plain == "EPERM" and mount in ("EACCES", "EISDIR", "ENOTDIR", "ENOTEMPTY", "EEXIST")


KNOWN = [is_too_far, is_of_an_open, is_of_flags]


def is_known(operation, plain, mount, flagged):
    return any(known(operation, plain, mount, flagged) for known in KNOWN)


def is_left_out(operation, mount):
    """FUSE has no message for these; they are left out on the other side as well."""
    return (
        operation.name == "fallocate"
        and mount == "ENOTSUP"
        and operation.args["mode"] & (COLLAPSE | INSERT | UNSHARE)
    )


# --- episodes ---


class Difference(Exception):
    def __init__(self, operation, kind, text):
        self.operation, self.kind, self.text = operation, kind, text


counter = 0


def watch(operation):
    def hangs(*_):
        print(f"episode {counter} hangs in: {operation}", flush=True)
        traceback.print_stack()
        os._exit(2)

    signal.signal(signal.SIGALRM, hangs)
    signal.alarm(30)


def episode(mount, backing, plain, operations):
    """Raises Difference for the first."""
    global counter
    counter += 1
    become(0)
    os.umask(0)
    name = f"e{os.getpid()}.{counter}"
    sides = [Side(f"{plain}/{name}", True), Side(f"{mount}/{name}", False)]
    below = f"{backing}/{name}"
    # who works behind the mount has descriptors of its own, on both sides
    behind = [Side(f"{plain}/{name}", True), Side(below, True)]
    for side in sides:
        os.mkdir(side.root)
        os.chmod(side.root, 0o777)
    try:
        for operation in operations:
            watch(operation)
            become(operation.identity)
            pair = behind if operation.behind else sides
            on_mount = operation.do(pair[1])
            if is_left_out(operation, on_mount):
                continue
            on_plain = operation.do(pair[0])
            flagged = any(side.has_flagged for side in sides + behind)
            if on_plain != on_mount and not is_known(operation, on_plain, on_mount, flagged):
                kind = f"{operation.name} {kind_of(on_plain, on_mount)}"
                text = f"plain {brief(on_plain, on_mount)}, mount {brief(on_mount, on_plain)}"
                raise Difference(operation, kind, text)
            if operation.check:
                become(0)
                after(operation, pair, sides)
            if operation.check == 2:
                whole(operation, sides, below)
        become(0)
        whole(operations[-1], sides, below)
    finally:
        become(0)
        for side in sides + behind:
            side.close_all()
        if any(one.name == "chattr" for one in operations):
            os.system(f"chattr -R -f -i -a {sides[0].root} {sides[1].root}")
        shutil.rmtree(sides[1].root)
        shutil.rmtree(sides[0].root)


def kind_of(plain, mount):
    if isinstance(plain, str) and isinstance(mount, str):
        return f"{plain} {mount}"
    if isinstance(plain, str):
        return f"{plain} success"
    if isinstance(mount, str):
        return f"success {mount}"
    return "result"


def differ(operation, kind, what, seen):
    text = f"status of {what}: plain {seen[0]}, mount {seen[1]}"
    raise Difference(operation, f"{operation.name} {kind}", text)


def after(operation, pair, sides):
    for key in ("path", "old", "new"):
        if key in operation.args:
            seen = []
            for side in sides:
                try:
                    seen.append(show(os.lstat(side.path(operation.args[key]))))
                except OSError as error:
                    seen.append(errno.errorcode[error.errno])
            if seen[0] != seen[1]:
                differ(operation, "stat after", operation.args[key], seen)
    for key in ("slot", "target"):
        if operation.args.get(key) in pair[0].fds and operation.args[key] in pair[1].fds:
            seen = [show(os.fstat(side.fds[operation.args[key]])) for side in pair]
            if seen[0] != seen[1]:
                differ(operation, "fstat after", f"{key} {operation.args[key]}", seen)


def whole(operation, sides, below):
    trees = [tree(side.root) for side in sides]
    if text := tree_difference(trees[0], trees[1], ("plain", "mount")):
        raise Difference(operation, "tree " + text.split(" ")[0], text)
    if text := tree_difference(trees[1], tree(below), ("mount", "backing")):
        raise Difference(operation, "backing " + text.split(" ")[0], text)


def draw_episode(seed, count):
    rng = random.Random(seed)
    operations = [Operation(rng, i, "mkdir", path=path) for i, path in enumerate(DIRS[1:])]
    for slot, path in enumerate(("a", "b", "d1/a", "d2/a")):
        flags = os.O_CREAT | os.O_RDWR
        flags |= rng.choice([0, 0, os.O_DIRECT, 0 if BEHIND else os.O_APPEND])
        operations.append(
            Operation(rng, len(operations), "open", slot=slot, path=path, flags=flags)
        )
    return operations + [Operation(rng, i) for i in range(len(operations), count)]


def shrink(run, operations, kind, seconds):
    """fewer operations with the same kind of difference"""
    end = time.monotonic() + seconds

    def fails(some):
        try:
            run(some)
        except Difference as difference:
            return difference.kind == kind
        return False

    size = len(operations) // 2
    while size and time.monotonic() < end:
        start, shorter = 0, False
        while start < len(operations) and time.monotonic() < end:
            rest = operations[:start] + operations[start + size :]
            if rest and fails(rest):
                operations, shorter = rest, True
            else:
                start += size
        if not shorter or size > 1:
            size //= 2
    return operations


def main():
    mount, backing, plain = sys.argv[2:]
    seed = int(os.environ.get("STORM_SEED") or random.randrange(1 << 30))
    seconds = float(os.environ.get("STORM_SECONDS") or 15)
    count = int(os.environ.get("STORM_OPS") or 200)
    wanted = int(os.environ.get("STORM_REPORTS") or 1)
    print(f"STORM_SEED={seed}", flush=True)
    end = time.monotonic() + seconds
    kinds, episodes, first = {}, 0, seed

    def run(operations):
        episode(mount, backing, plain, operations)

    while time.monotonic() < end and len(kinds) < wanted:
        operations = draw_episode(seed, count)
        try:
            run(operations)
        except Difference as difference:
            kind = difference.kind
            kinds[kind] = kinds.get(kind, 0) + 1
            if kinds[kind] == 1:
                number = difference.operation.number
                print(f"seed {seed}: operation {number}: {kind}: {difference.text}")
                history = operations[: operations.index(difference.operation) + 1]
                history = shrink(run, history, kind, 20)
                try:
                    run(history)
                except Difference as again:
                    difference = again
                for one in history:
                    print("   ", one)
                print(f"    -> {difference.text}", flush=True)
        seed += 1
        episodes += 1
    print(f"{episodes} episodes of {count} operations from seed {first}")
    print(f"{sum(kinds.values())} differences of {len(kinds)} kinds")
    for kind, number in sorted(kinds.items()):
        print(f"    {number:4} {kind}")
    sys.exit(1 if kinds else 0)


if __name__ == "__main__":
    main()
