#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# While the backing filesystem is frozen, as for a snapshot, those who change it wait; those who only look
# and read are served (S7). After the thaw all goes on, and nothing has failed.
#
#@ packages: e2fsprogs xfsprogs python3 util-linux
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

thaw() { fsfreeze --unfreeze "$1" 2>/dev/null || true; }

# by a ring each request that waits keeps its entry, of which a CPU has 24: so many can wait that some
# remain, wherever the clients run. /dev/fuse has slots for more.
has_uring() { [[ $("$CAISSON" status --json "$mnt" | python3 -c 'import json, sys; print(json.load(sys.stdin)["transport"])') == uring ]]; }

for type in ext4 xfs; do
	store=$scratch/$type
	truncate -s 320M "$store.image"
	attach "$store.image"
	make_filesystem "$type" "$loop"
	mount_loop "$loop" "$store"
	serve "$store" "$mnt"
	waiters=40
	! has_uring || waiters=6

	mkdir "$mnt/look"
	head -c 1M /dev/urandom >"$mnt/look/data"
	for ((i = 0; i < waiters; i++)); do
		mkdir "$mnt/$i"
		head -c 64k /dev/zero >"$mnt/$i/file"
	done
	sum=$(sha256sum <"$mnt/look/data")
	sync -f "$store"
	defer thaw "$store"
	fsfreeze --freeze "$store"

	say "$type: $((2 * waiters)) requests wait"
	changers=()
	for ((i = 0; i < waiters; i++)); do
		{
			dd if=/dev/zero of="$mnt/$i/file" bs=4k count=16 conv=notrunc oflag=direct status=none
			mkdir "$mnt/$i/directory"
		} &
		changers+=($!)
		{ : >"$mnt/$i/new" && mv "$mnt/$i/new" "$mnt/$i/renamed"; } &
		changers+=($!)
	done
	sleep 1 # by now they do, most likely; whoever comes later proves less
	looked() {
		df "$mnt" && ls -l "$mnt/look" && stat "$mnt/look/data" && "$CAISSON" status "$mnt" &&
			dd if="$mnt/look/data" of="$scratch/copy" iflag=direct bs=64k status=none
	} >/dev/null
	looked &
	looker=$!
	wait_until 20 process_is_gone "$looker"
	wait "$looker"
	same "$(sha256sum <"$scratch/copy")" "$sum" "what is read meanwhile"
	for pid in "${changers[@]}"; do
		kill -0 "$pid"
	done

	thaw "$store"
	for pid in "${changers[@]}"; do
		wait "$pid"
	done
	same "$(find "$store" -name directory -o -name renamed | wc -l)" "$((2 * waiters))" "number of changes made"
	unserve
done
