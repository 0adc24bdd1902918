#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The server dies during an fsync that then fails. The kernel tells that to the dead server's ring
# and to nobody else, so its heir must find it there: each opener is told once (S11). The disk is
# a loop device on a sparse file on a filesystem that is full, and frozen until the server is dead.
# The data is in the page cache when the disk fails, so the case uses cache=writeback.
#
#@ packages: python3 e2fsprogs util-linux
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

thaw() { fsfreeze --unfreeze "$below" 2>/dev/null || true; }

below=$scratch/below
make_backing ext4 64M "$below"
# one block group without a journal: after the first write, only data needs space below
truncate -s 100M "$below/image"
mkfs.ext4 -q -F -b 4096 -O ^has_journal -E lazy_itable_init=0,nodiscard "$below/image"
attach "$below/image" --direct-io=off
mount_loop "$loop" "$backing" -t ext4
serve "$backing" "$mnt" transport=dev,recovery=on,cache=writeback

python3 - "$mnt/file" "$below" "$scratch/synced" <<'END' &
import errno, os, subprocess, sys

path, below, synced = sys.argv[1:]


def sync_fails(fd):
    try:
        os.fsync(fd)
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOSPC), error
        return True
    return False


def fill(path):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    for size in 1 << 20, 512:
        try:
            while True:
                os.write(fd, bytes(size))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
    os.fsync(fd)
    os.close(fd)


writer = os.open(path, os.O_CREAT | os.O_RDWR)
other = os.open(path, os.O_RDWR)
os.write(writer, os.urandom(1 << 20))
assert not sync_fails(writer) and not sync_fails(other)
fill(os.path.join(below, "filler"))
os.pwrite(writer, os.urandom(8 << 20), 16 << 20)
subprocess.run(["fsfreeze", "--freeze", below], check=True)
open(synced, "w").close()
assert sync_fails(writer), "the writer is not told"
assert not sync_fails(writer), "the writer is told twice"
assert sync_fails(other), "the other opener is not told"
assert not sync_fails(other), "the other opener is told twice"
END
client=$!
defer thaw
wait_until 30 test -e "$scratch/synced"
server=$(server_pid)
syncs() { (($(status_total syncs) >= 3)); }
wait_until 30 syncs
say "the server dies, and the disk can fail now"
kill -KILL "$server"
is_dying() { grep -q '^State:.*Z' "/proc/$server/status" 2>/dev/null || process_is_gone "$server"; }
wait_until 30 is_dying
thaw
wait "$client"
more "$(status_total takeovers)" 0 "takeovers"
unserve
