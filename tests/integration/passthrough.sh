#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With FUSE passthrough, a client that only reads bypasses the daemon, and all other clients don't.
# All of them see the same bytes, in whatever order they open the file. Shared mappings map the
# backing file.
#
#@ packages: python3 e2fsprogs
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve "$backing" "$mnt" passthrough=auto
need_feature passthrough
unserve
serve "$backing" "$mnt" passthrough=on

say "reading and writing"
dd if=/dev/urandom of="$mnt/file" bs=64K count=64 status=none
same "$(status_total writes)" 64 "writes that came by the daemon"
before=$(status_total reads)
cmp "$mnt/file" "$backing/file"
dd if="$mnt/file" of=/dev/null bs=64K iflag=direct status=none
same "$(status_total reads)" "$before" "reads that came by the daemon"

say "readers, writers and mappings at once"
python3 - "$mnt/file" "$backing/file" <<'END'
import mmap, os, sys
path, below = sys.argv[1:]
reader = os.open(path, os.O_RDONLY)
both = os.open(path, os.O_RDWR)
again = os.open(path, os.O_RDONLY)
data = os.urandom(8192)
assert os.pwrite(both, data, 4096) == 8192
os.fsync(both)
for fd in (reader, both, again):
    assert os.pread(fd, 8192, 4096) == data
with mmap.mmap(both, 65536) as shared, mmap.mmap(reader, 65536, prot=mmap.PROT_READ) as view:
    assert view[4096:12288] == data
    shared[0:5] = b"above"
    assert view[0:5] == b"above"
    shared.flush()
assert os.pread(both, 5, 0) == b"above"
assert open(below, "rb").read(5) == b"above"
# the backing file is the openers' until the last has gone, and then another's
os.close(both)
os.unlink(path)
assert os.pread(reader, 5, 0) == b"above"
os.close(reader)
assert os.pread(again, 5, 0) == b"above"
os.close(again)
for _ in range(50):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"new")
    other = os.open(path, os.O_RDONLY)
    os.close(fd)
    assert os.read(other, 9) == b"new"
    os.close(other)
    os.unlink(path)
END

say "zones"
"$CAISSON" zoned create "$backing/zones" --size 4M --zone-size 1M --conventional 1
dd if=/dev/zero of="$mnt/zones/seq-000001" bs=64K count=1 oflag=direct conv=notrunc status=none
before=$(status_total reads)
dd if="$mnt/zones/seq-000001" of=/dev/null bs=64K iflag=direct status=none
more "$(status_total reads)" "$before" "reads of a zone that came by the daemon"
unserve
