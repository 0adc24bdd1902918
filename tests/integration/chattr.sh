#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# lsattr and chattr, which use ioctls, work through the mount.
#
#@ packages: e2fsprogs
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

flags() { lsattr -d "$1" | cut -d ' ' -f 1; }

make_backing ext4 256M
serve
touch "$mnt/file"
mkdir "$mnt/dir"
same "$(flags "$mnt/file")" "$(flags "$backing/file")" flags
chattr +dA "$mnt/file"
same "$(flags "$mnt/file")" "$(flags "$backing/file")" "flags after chattr"
matches "$(flags "$backing/file")" 'd.*A' "flags below"
chattr +d "$mnt/dir"
matches "$(flags "$backing/dir")" d "flags of a directory"

say "flags that forbid"
chattr +i "$backing/file"
defer chattr -f -i "$backing/file"
refused 'Operation not permitted' tee -a "$mnt/file" </dev/null
refused 'Operation not permitted' rm "$mnt/file"
chattr -i "$backing/file"
chattr +a "$backing/file"
defer chattr -f -a "$backing/file"
echo appended >>"$mnt/file"
refused 'Operation not permitted' dd if=/dev/zero of="$mnt/file" count=1 conv=notrunc
chattr -a "$backing/file"
same "$(<"$mnt/file")" appended content
unserve
