#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Private and shared mappings agree with reads and writes through descriptors, and programs run from
# the mount. Stores to a mapping and write(2) to the same pages lose nothing of each other.
#
#@ packages: xfsprogs e2fsprogs
. "$(dirname "$0")/../lib/mount.sh"

# The same steps on a plain directory say what is to come out.
store_through_mapping() {
	xfs_io -f -c "truncate 256k" -c "pwrite -q -S 0x11 0 256k" -c "mmap -rw 0 256k" \
		-c "mwrite -S 0x61 4096 8192" -c "mwrite -S 0x62 70000 333" -c "msync -s 0 256k" "$1"
}
read_through_mapping() { xfs_io -r -c "mmap -r 0 256k" -c "mread -v 0 256k" "$1"; }

make_backing ext4 256M
serve
store_through_mapping "$scratch/expected"

cp "$(type -P cat)" "$mnt/cat"
same "$("$mnt/cat" "$mnt/cat" | sha256sum)" "$(sha256sum <"$mnt/cat")" "what a program on the mount reads"
printf '#!%s/cat\nhello\n' "$mnt" >"$mnt/script"
chmod +x "$mnt/script"
same "$("$mnt/script" | tail -n 1)" hello "a script whose interpreter is on the mount"

store_through_mapping "$mnt/file"
cmp "$scratch/expected" "$mnt/file"
cmp "$scratch/expected" "$backing/file"
say "a mapping sees what was written through a descriptor"
xfs_io -c "pwrite -q -S 0x77 12288 4096" "$scratch/expected"
xfs_io -c "pwrite -q -S 0x77 12288 4096" "$mnt/file"
same "$(read_through_mapping "$mnt/file")" "$(read_through_mapping "$scratch/expected")" mapping
say "a live mapping, while another descriptor writes and reads"
xfs_io -c "mmap -rw 0 64k" -c "mread 0 64k" -c "open $mnt/file" -c "pwrite -q -S 0x78 0 4096" \
	-c "file 0" -c "mwrite -S 0x79 8192 4096" -c "msync -s 0 64k" "$mnt/file" >/dev/null
xfs_io -c "pwrite -q -S 0x78 0 4096" -c "pwrite -q -S 0x79 8192 4096" "$scratch/expected"
cmp "$scratch/expected" "$mnt/file"
unserve
cmp "$scratch/expected" "$backing/file"
