#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Requests are served in parallel even if the backing filesystem can't do non-blocking I/O. FUSE
# can't, and overlayfs on FUSE keeps an io_uring worker waiting for each read through the page
# cache. The same holds if only a filesystem that is mounted below BACKING is of this kind. Each
# read takes two seconds (slow-look-ups.c).
#
#@ packages: fuse3 python3 util-linux
#@ timeout: 120
#@ chaos: it watches one server, by its PID
. "$(dirname "$0")/../lib/mount.sh"

reads=32

# slow_filesystem DIR
slow_filesystem() {
	mkdir -p "$1"
	"$build_dir/tests/slow-look-ups" "$1" -o allow_other,max_threads=64,max_idle_threads=64 \
		2>/dev/null || skip "slow-look-ups can't be mounted: no /dev/fuse?"
	defer unmount "$1"
}

# reads_at_depth DIR: all at the same time, each of a file of its own
reads_at_depth() {
	local seconds
	seconds=$(
		python3 - "$1" "$reads" <<'END'
import concurrent.futures, mmap, os, sys, time

path, reads = sys.argv[1], int(sys.argv[2])
fds = [os.open(f"{path}/late-{i}", os.O_RDONLY | os.O_DIRECT) for i in range(reads)]
pages = [mmap.mmap(-1, 4096) for _ in range(reads)]
begin = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(reads) as pool:
    for _ in pool.map(lambda i: os.preadv(fds[i], [pages[i]], 0), range(reads)):
        pass
if any(page[0] != ord("z") for page in pages):
    sys.exit("wrong data")
print(int(time.monotonic() - begin))
END
	)
	less "$seconds" 5 "seconds for $reads reads of two each"
}

slow=$scratch/slow
slow_filesystem "$slow"

say "BACKING is one"
for cache in none writeback; do
	serve "$slow" "$mnt" "cache=$cache"
	reads_at_depth "$mnt"
	unserve
done

store=$scratch/store
mkdir "$store"
mount -t tmpfs tmpfs "$store"
defer unmount "$store"
slow_filesystem "$store/below"
mkdir "$store/overlay" "$scratch/empty"
mount -t overlay overlay -o "lowerdir=$slow:$scratch/empty" "$store/overlay" || skip "no overlayfs"
defer unmount "$store/overlay"

say "one is mounted below BACKING"
for cache in none writeback; do
	serve "$store" "$mnt" "cache=$cache"
	reads_at_depth "$mnt/below"
	reads_at_depth "$mnt/overlay"
	unserve
done
