#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# With noatime, no read, execution or listing through the mount changes an access time in the
# backing directory, whoever owns the file. Without it, each of them does.
#
#@ packages: util-linux e2fsprogs
#@ timeout: 60
#@ sanitize: asan
. "$(dirname "$0")/../lib/mount.sh"

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
access_times() { (cd "$backing" && stat -c '%n %x' file copied program dir); }

use_all() {
	as_nobody cat "$mnt/file" >"$scratch/ignored"
	dd if="$mnt/file" of="$scratch/ignored" iflag=direct bs=4096 status=none
	as_nobody "$mnt/program"
	as_nobody ls "$mnt/dir" >"$scratch/ignored"
	cp "$mnt/copied" "$mnt/copy"
}

make_backing ext4 256M
mount -o remount,strictatime "$backing"
mkdir "$backing/dir"
head -c 64K /dev/urandom | tee "$backing"/{file,copied,dir/entry} >"$scratch/ignored"
cp /bin/true "$backing/program"
touch -a -d '2001-01-01' "$backing"/{file,copied,program,dir}

before=$(access_times)
serve "$backing" "$mnt" allow_other,noatime
matches "$(findmnt -no OPTIONS "$mnt")" noatime "options of the mount"
use_all
same "$(access_times)" "$before" "access times with noatime"
unserve

serve "$backing" "$mnt" allow_other
use_all
unserve
same "$(access_times | sed -n '/ 2001-01-01/p')" "" "times that were kept without noatime"

# the kernel would read as the client has opened
serve "$backing" "$mnt" allow_other,noatime,passthrough=auto
touch -a -d '2001-01-01' "$backing"/{file,copied,program,dir}
use_all
same "$(access_times)" "$before" "access times with noatime and passthrough=auto"
unserve
