#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fsync-error.py FILE FILLER [FROZEN]: FILLER is a file on the filesystem under FILE's disk; when it
has taken all the space, new blocks of FILE can't be written out. With FROZEN, that filesystem is
frozen before the fsync that will fail, and the file FROZEN is made: whoever waits for it thaws."""

import errno
import os
import subprocess
import sys

path, filler = sys.argv[1:3]
frozen = sys.argv[3:]


def sync_fails(fd):
    try:
        os.fsync(fd)
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOSPC), error
        return True
    return False


def fill():
    fd = os.open(filler, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(fd, bytes(1 << 20))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    try:
        while True:
            os.write(fd, bytes(512))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    os.fsync(fd)
    os.close(fd)


writer = os.open(path, os.O_CREAT | os.O_RDWR)
other = os.open(path, os.O_RDWR)
os.write(writer, os.urandom(1 << 20))
assert not sync_fails(writer) and not sync_fails(other)
fill()

os.pwrite(writer, os.urandom(8 << 20), 16 << 20)
if frozen:
    subprocess.run(["fsfreeze", "--freeze", os.path.dirname(filler)], check=True)
    open(frozen[0], "w").close()
assert sync_fails(writer), "the writer is not told"
assert not sync_fails(writer), "the writer is told twice"
assert sync_fails(other), "the other opener is not told"
assert not sync_fails(other), "the other opener is told twice"
late = os.open(path, os.O_RDWR)
assert not sync_fails(late), "one who came later is told of what was told to all"

# with space again, all is well
os.unlink(filler)
os.pwrite(writer, os.urandom(1 << 20), 16 << 20)
for fd in (writer, other, late):
    assert not sync_fails(fd)
    os.close(fd)
