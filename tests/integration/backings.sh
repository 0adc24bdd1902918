#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The basic operations on files and directories work on ext4, XFS and btrfs as the backing
# filesystem.
#
#@ packages: fio xfsprogs btrfs-progs e2fsprogs attr
#@ transport: one
#@ timeout: 240
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

core() {
	load "$mnt" small 4k 16m
	load "$mnt" large 1m 64m
	load "$mnt" odd 1000 1000k --direct=0
	mkdir -p "$mnt/a/b"
	echo one >"$mnt/a/file"
	ln "$mnt/a/file" "$mnt/a/b/link"
	ln -s ../file "$mnt/a/b/symlink"
	mv "$mnt/a/b" "$mnt/c"
	echo two >>"$mnt/a/file"
	same "$(<"$mnt/c/link")" $'one\ntwo' "the other name of a file"
	same "$(stat -c %h "$mnt/c/link")" 2 links
	refused 'No such file' cat "$mnt/c/symlink"
	setfattr -n user.colour -v blue "$mnt/a/file"
	same "$(getfattr --only-values -n user.colour "$mnt/c/link")" blue xattr
	truncate -s 1234567 "$mnt/a/file"
	same "$(stat -c %s "$backing/a/file")" 1234567 size
	fallocate -l 1M "$mnt/space"
	more "$(blocks "$backing/space")" 2047 "allocated blocks"
	fallocate -p -o 0 -l 512K "$mnt/space"
	less "$(blocks "$backing/space")" 1100 "blocks left after punching"
	chmod 640 "$mnt/space"
	touch -d '2001-02-03 04:05:06.789' "$mnt/space"
	same "$(stat -c '%a %Y' "$backing/space")" "640 $(date -d '2001-02-03 04:05:06' +%s)" attributes
	mkfifo "$mnt/fifo"
	mknod "$mnt/null" c 1 3
	same "$(stat -c '%F' "$backing/fifo")" fifo "type of a fifo"
}

for type in ext4 xfs btrfs; do
	say "$type"
	make_backing "$type" 1G "$scratch/$type"
	backing=$scratch/$type
	serve "$backing"
	core
	before=$(sums "$mnt")
	unserve
	same "$(sums "$backing")" "$before" "checksums below"
done
