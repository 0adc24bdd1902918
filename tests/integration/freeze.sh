#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While the backing filesystem is frozen, as for a snapshot, clients that change it wait, and
# clients that only look up and read are served (S7). After the thaw all of them go on, and no
# request has failed.
#
#@ packages: e2fsprogs fio python3 util-linux xfsprogs
#@ timeout: 120
#@ chaos: while the backing store is frozen, a dead server can't end
. "$(dirname "$0")/../lib/mount.sh"

thaw() { fsfreeze --unfreeze "$1" 2>/dev/null || true; }

# freeze: and later thaws it at the latest. What was written last may be cached, and has to be dropped
freeze() {
	echo recent >"$mnt/look/recent"
	sync -f "$store"
	defer thaw "$store"
	fsfreeze --freeze "$store"
}

# look FILE: on the flood's CPU, because by io_uring a CPU's requests keep to its own entries
look() {
	taskset --cpu-list --pid 0 "$BASHPID"
	df "$mnt" && ls -l "$mnt/look" && stat "$mnt/look/$1" && "$CAISSON" status "$mnt" &&
		cat "$mnt/look/recent" &&
		dd if="$mnt/look/$1" iflag=direct bs=64k status=none | cmp - "$scratch/data"
} >/dev/null

# can_look FILE: while those of $changers wait
can_look() {
	local pid looker
	sleep 1 # by now they do, most likely; whoever comes later proves less
	look "$1" &
	looker=$!
	ends_within 20 "$looker"
	wait "$looker"
	for pid in "${changers[@]}"; do
		kill -0 "$pid"
	done
}

await_changers() {
	local pid
	for pid in "${changers[@]}"; do
		wait "$pid"
	done
}

# pinned NUMBER: of those who wait, each CPU gets its share. Together they are more than /dev/fuse has
# slots; by io_uring more than its entries of one CPU would keep everybody out who is on that CPU.
cpus=$(nproc)
pinned() { taskset --cpu-list --pid $(($1 % cpus)) "$BASHPID" >/dev/null; }

waiters=$((cpus > 1 ? 40 : 24))

# every other block is a hole in the copies: XFS can't begin to read a file of so many extents without
# waiting, unless it was read since the mount
python3 -c '
import os, sys
for _ in range(128):
    sys.stdout.buffer.write(os.urandom(4096) + bytes(4096))
' >"$scratch/data"

for type in ext4 xfs; do
	store=$scratch/$type
	truncate -s 320M "$store.image"
	attach "$store.image"
	make_filesystem "$type" "$loop"
	mount_loop "$loop" "$store"
	mkdir "$store/look"
	for ((i = 0; i < 3; i++)); do
		cp --sparse=always "$scratch/data" "$store/look/$i"
	done
	umount_idle "$store"
	mount_loop "$loop" "$store"
	serve "$store" "$mnt"

	head -c 4M /dev/zero >"$mnt/image"
	for ((i = 0; i < waiters; i++)); do
		mkdir "$mnt/$i"
		head -c 64k /dev/zero >"$mnt/$i/file"
	done

	say "$type: $((2 * waiters)) requests wait"
	freeze
	changers=()
	for ((i = 0; i < waiters; i++)); do
		{
			pinned "$i"
			dd if=/dev/zero of="$mnt/$i/file" bs=4k count=16 conv=notrunc oflag=direct status=none
			mkdir "$mnt/$i/directory"
		} &
		changers+=($!)
		{ pinned "$i" && : >"$mnt/$i/new" && mv "$mnt/$i/new" "$mnt/$i/renamed"; } &
		changers+=($!)
	done
	can_look 0
	thaw "$store"
	await_changers
	same "$(find "$store" -name directory -o -name renamed | wc -l)" "$((2 * waiters))" "number of changes made"

	# as of a loop device, whose requests nobody waits for: of these the kernel sends only as many as
	# leave room for others
	say "$type: asynchronous writes wait, as many as there may be"
	freeze
	taskset --cpu-list 0 fio --name=flood --filename="$mnt/image" --rw=randwrite --bs=4k --size=4M --direct=1 \
		--ioengine=libaio --iodepth=1024 --output="$scratch/flood" &
	changers=($!)
	can_look 1
	thaw "$store"
	await_changers

	# whoever opens a file whose cached pages aren't true any more waits until those that a mapping has
	# changed are written: nobody else does
	say "$type: an open waits for a mapping's page to be written"
	head -c 4k /dev/zero >"$mnt/mapped"
	mkfifo "$scratch/frozen" "$scratch/done"
	python3 -c '
import mmap, os, sys
path, frozen, done = sys.argv[1:]
fd = os.open(path, os.O_RDWR)
mapping = mmap.mmap(fd, 4096)
os.utime(path, (1, 1)) # it looks like changed behind the mount
open(done, "w").close()
open(frozen).read()
mapping[0] = 1
open(done, "w").close()
os.open(path, os.O_RDONLY)
' "$mnt/mapped" "$scratch/frozen" "$scratch/done" &
	changers=($!)
	: <"$scratch/done"
	freeze
	: >"$scratch/frozen"
	: <"$scratch/done"
	can_look 2
	thaw "$store"
	await_changers
	rm "$scratch/frozen" "$scratch/done"
	unserve
done
