#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# All modes of fallocate(2) that FUSE forwards work, SEEK_HOLE and SEEK_DATA find holes and data,
# and copy_file_range(2) copies.
#
#@ packages: xfsprogs e2fsprogs
#@ timeout: 90
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"

# The same steps on the backing filesystem itself say what is to come out.
steps() {
	local file=$1
	rm -f "$file"
	# direct, as buffered writes leave the filesystem's guesses at what comes next behind
	xfs_io -f -d -c "pwrite -q -S 0x41 0 1m" -c "falloc 2m 1m" -c "falloc -k 8m 1m" \
		-c "fpunch 64k 128k" -c "fpunch 300001 5000" -c "fzero 256k 64k" -c "fzero -k 4m 64k" \
		-c "pwrite -q -S 0x42 3m 4k" -c "truncate 5000001" -c "fsync" "$file"
}
shape() {
	# where data and holes are; xfs_io tells offsets only
	xfs_io -r -c "seek -a -r 0" "$1"
}

make_backing xfs 512M
serve
steps "$backing/expected"
steps "$mnt/file"
# before anything reads them: cached zeroes of what was never written count as data
same "$(shape "$mnt/file")" "$(shape "$backing/expected")" "data and holes"
cmp "$backing/expected" "$mnt/file"
same "$(blocks "$mnt/file")" "$(blocks "$backing/expected")" "blocks"
# what FUSE does not forward
refused 'Operation not supported' fallocate --collapse-range -o 0 -l 64K "$mnt/file"
refused 'Operation not supported' fallocate --insert-range -o 0 -l 64K "$mnt/file"

say "beyond the limits"
# without the signal that would end it
trap '' XFSZ
refused 'File too large' prlimit --fsize=1000000 fallocate -l 10M "$mnt/limited"
refused 'No space left' fallocate -l 10G "$mnt/big"

say "copying"
xfs_io -f -c "copy_range -s 0 -d 0 -l 1000000 $mnt/file" "$mnt/copy"
cmp -n 1000000 "$mnt/file" "$mnt/copy"
xfs_io -c "copy_range -s 4096 -d 100 -l 65537 $mnt/file" "$mnt/copy"
cmp -i 4096:100 -n 65537 "$mnt/file" "$mnt/copy"
cp --reflink=auto --sparse=always "$mnt/file" "$mnt/sparse"
cmp "$mnt/file" "$mnt/sparse"
unserve
cmp "$backing/expected" "$backing/file"
