#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# git works inside the mount: it makes thousands of small files, renames, hard links and mappings of
# packs.
#
#@ packages: git e2fsprogs
#@ transport: one
#@ timeout: 120
. "$(dirname "$0")/../lib/mount.sh"

export HOME=$scratch GIT_CONFIG_NOSYSTEM=1
git config --global user.name tester
git config --global user.email tester@localhost
git config --global init.defaultBranch main
git config --global gc.auto 0

make_backing ext4 1G
serve
git init -q "$mnt/repository"
cd "$mnt/repository"
for dir in {1..40}; do
	mkdir "dir$dir"
	for file in {1..60}; do
		echo "file $file of directory $dir, $RANDOM" >"dir$dir/file$file"
	done
done
git add .
git commit -q -m "Add 2400 files"
git mv dir1 moved
git rm -q dir2/file1
git commit -q -am "Move and remove"
git clone -q --no-local . "$mnt/clone"
git clone -q . "$mnt/linked"
git repack -q -a -d
for copy in repository clone linked; do
	say "checking $copy"
	git -C "$mnt/$copy" fsck --full --strict
	same "$(git -C "$mnt/$copy" status --porcelain)" "" "git status of $copy"
	same "$(git -C "$mnt/$copy" rev-parse HEAD)" "$(git rev-parse HEAD)" "HEAD of $copy"
done
diff -r --exclude .git "$mnt/repository" "$mnt/clone"
cd /
unserve
git -C "$backing/clone" fsck --full --strict
