#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Names can be removed and renamed while files are open and directories are being listed (names.py).
# The case also covers the border between two filesystems below the backing directory.
#
#@ packages: python3 e2fsprogs
#@ timeout: 90
#@ sanitize: asan
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
mkdir "$backing/other"
make_backing ext4 256M "$scratch/second"
mount --bind "$scratch/second" "$backing/other"
defer unmount "$backing/other"
serve

mkdir "$mnt/dir"
python3 "$tests_dir/integration/names.py" "$mnt/dir"

say "two filesystems with the same inode numbers"
echo one >"$mnt/file"
number=$(stat -c %i "$backing/file")
for twin in "$mnt"/other/file{1..100}; do
	echo two >"$twin"
	[[ $(stat -c %i "$backing/other/${twin##*/}") != "$number" ]] || break
done
same "$(stat -c %i "$backing/other/${twin##*/}")" "$number" "inode number of the twin"
same "$(<"$mnt/file") $(<"$twin")" "one two" "contents"
refused 'Invalid cross-device link' ln "$mnt/file" "$mnt/other/link"
mv "$mnt/file" "$mnt/other/moved"
same "$(<"$backing/other/moved")" one "a file moved across"
same "$(ls "$mnt/other")" "$(ls "$scratch/second")" "listing of the other"

say "a symlink is followed by the client, not by the server: nothing leads out of the backing"
ln -s /etc/passwd "$backing/absolute"
ln -s ../../../../../../etc/passwd "$mnt/relative"
same "$(readlink "$mnt/absolute")" /etc/passwd symlink
same "$(<"$mnt/absolute")" "$(</etc/passwd)" "the client's own file"
mkdir "$mnt/swapped"
mv "$backing/swapped" "$scratch/second/elsewhere"
ln -s /etc "$backing/swapped"
wait_until 10 test -e "$mnt/swapped/passwd"
same "$(stat -c %m "$mnt/swapped/passwd")" "$(stat -c %m /etc/passwd)" "whose file it is"
unserve
