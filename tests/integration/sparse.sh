#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With extent_size_hint=, a piece of a sparse file is allocated once a sixteenth of it has been
# written, and not before. Reads return the same bytes. A write still succeeds if there is room for
# it but not for the piece.
#
#@ packages: fio xfsprogs e2fsprogs
#@ transport: one
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"
. "$tests_dir/lib/load.sh"

kib() { echo $(($(blocks "$1") / 2)); }

# write_at FILE KIB...: blocks of 4 KiB, direct as the daemon's own are
write_at() {
	local file=$1 at
	shift
	for at; do
		xfs_io -d -c "pwrite -q -S $((1 + RANDOM % 254)) ${at}k 4k" "$file"
	done
}

# allocated WITH WITHOUT: how much should be, with pieces and without
allocated() { [[ $hint != 0 ]] && echo "$1" || echo "$2"; }

make_backing xfs 512M
# four blocks are a sixteenth of a piece
for hint in 256K 0; do
	options=extent_size_hint=$hint
	say "$options"
	serve "$backing" "$mnt" "$options"
	truncate -s 64M "$mnt/image"
	write_at "$mnt/image" 0 1024 65532
	same "$(kib "$backing/image")" 12 "KiB allocated for lone writes"
	write_at "$mnt/image" 1272 1100
	same "$(kib "$backing/image")" 20 "KiB allocated after a piece's second and third write"
	write_at "$mnt/image" 1200
	same "$(kib "$backing/image")" "$(allocated $((8 + 256)) 24)" "KiB allocated after its fourth"
	same "$(stat -c %s "$backing/image")" $((64 << 20)) "size"

	say "after holes were punched"
	fallocate --punch-hole -o 1M -l 256K "$mnt/image"
	same "$(kib "$backing/image")" 8 "KiB allocated"
	write_at "$mnt/image" 1024
	same "$(kib "$backing/image")" 12 "KiB allocated for a lone write"
	write_at "$mnt/image" 1276 1028 1272
	same "$(kib "$backing/image")" "$(allocated $((8 + 256)) 24)" "KiB allocated after the fourth"

	say "elsewhere after that"
	write_at "$mnt/image" {32768..32780..4}
	same "$(kib "$backing/image")" "$(allocated $((8 + 2 * 256)) 40)" "KiB allocated"

	say "at the end, and beyond it"
	truncate -s 64100K "$mnt/image" # from 65536: what was written last is gone
	write_at "$mnt/image" 64000 64096 64004 64092
	same "$(kib "$backing/image")" "$(allocated $((4 + 2 * 256 + 100)) 52)" "KiB allocated"
	same "$(stat -c %s "$backing/image")" $((64100 << 10)) "size"
	for at in {1..20}; do
		dd if=/dev/zero of="$mnt/grows" bs=4k count=1 seek="$at" oflag=direct conv=notrunc status=none
	done
	less "$(kib "$backing/grows")" 256 "KiB of a file that grows"
	cmp "$mnt/image" "$backing/image"

	say "what was preallocated, and lost a piece"
	fallocate -l 4M "$mnt/full"
	exec {held}<>"$mnt/full"
	fallocate --punch-hole -o 1M -l 1M "$mnt/full"
	write_at "$mnt/full" {1024..1048..8}
	same "$(kib "$backing/full")" "$((3072 + $(allocated 256 16)))" "KiB allocated"
	exec {held}>&-

	say "verified load on holes"
	truncate -s 64M "$mnt/holes"
	load "$mnt" holes 4k 64m
	load "$mnt" holes 4k 64m --verify_only
	unserve
	rm "$backing"/*
done

say "where there is no room to spare"
make_backing ext4 64M "$scratch/full"
truncate -s 256M "$scratch/full/thin"
fallocate -l "$(($(stat -f -c '%a * %S - %b * %S / 20' "$scratch/full")))" "$scratch/full/fat"
serve "$scratch/full" "$mnt" extent_size_hint=64K
write_at "$mnt/thin" 0 4
same "$(kib "$scratch/full/thin")" 8 "KiB allocated"
rm "$mnt/fat"
# the daemon looks how full it is each second
pieces_are_allocated() {
	fallocate --punch-hole -o 1M -l 64K "$mnt/thin"
	write_at "$mnt/thin" 1024 1028
	(($(kib "$scratch/full/thin") == 8 + 64))
}
wait_until 30 pieces_are_allocated || fail "no piece is allocated although there is room again"
cmp "$mnt/thin" "$scratch/full/thin"
unserve

say "on a filesystem mounted below"
make_backing ext4 64M "$backing/below"
serve "$backing" "$mnt" extent_size_hint=64K
for dir in '' below/; do
	truncate -s 32M "$mnt/${dir}thin"
	write_at "$mnt/${dir}thin" {0..12..4}
done
same "$(kib "$backing/below/thin")" 16 "KiB allocated below"
same "$(kib "$backing/thin")" 64 "KiB allocated beside it"
unserve

say "on a filesystem that can't allocate ahead"
mkfs_options[ext4]+=' -O ^extents,^64bit'
make_backing ext4 64M "$scratch/mapped"
serve "$scratch/mapped" "$mnt" extent_size_hint=64K
truncate -s 32M "$mnt/holes"
load "$mnt" holes 4k 32m
load "$mnt" holes 4k 32m --verify_only
unserve
