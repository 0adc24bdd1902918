#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# transport=auto chooses between /dev/fuse and, without recovery, FUSE-over-io_uring. Another value insists on one of
# them, and caissond refuses to start if that one can't be had. With FUSE-over-io_uring, FORGET and
# INTERRUPT still come through /dev/fuse.
#
#@ packages: python3 util-linux e2fsprogs
#@ alone: yes
#@ sanitize: yes
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

CAISSON_TEST_OPTIONS= # it says itself which one

parameter=/sys/module/fuse/parameters/enable_uring
[[ -w $parameter ]] || skip "FUSE-over-io_uring: this kernel has none (Linux 6.14)"
was=$(<"$parameter")
defer eval "echo $was >$parameter"

transport() { "$CAISSON" status "$mnt" --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["transport"])'; }

make_backing ext4 256M
mkdir "$backing/dir"
(cd "$backing/dir" && seq -f 'file-%03g' 200 | xargs touch)

# chosen OPTIONS EXPECTED
chosen() {
	serve "$backing" "$mnt" "$1"
	same "$(transport)" "$2" "the transport with $1"
	dd if=/dev/urandom of="$mnt/data" bs=64K count=40 status=none
	cmp "$mnt/data" "$backing/data"
	unserve
}

# insist OPTION: nothing may be mounted
insist() {
	local options
	options=$(daemon_options "$1")
	exits 2 "$CAISSOND" -o "$options" "$backing" "$mnt" 2>"$scratch/said"
	grep -q "caissond: ${1%%,*}: serve with it: $2" "$scratch/said" || fail "$1: $(<"$scratch/said")"
	! is_in_mountinfo "$mnt" || fail "$1: it is mounted"
}

say "which one"
echo N >"$parameter"
chosen transport=auto,recovery=off dev
insist transport=uring "not to be had"
echo Y >"$parameter"
chosen transport=auto dev # there is recovery
chosen transport=auto,recovery=off uring
chosen transport=uring uring
chosen transport=dev dev
chosen transport=auto,recovery=off,max_write=32K dev
insist transport=uring,max_write=32K "not to be had"
# tables for 300 files take a few MiB, and slots of 4 MiB the rest: as many as for /dev/fuse, no more
chosen transport=auto,recovery=off,max_write=4M,queues=1,queue_depth=4,inodes=300,files=100,memory=29M dev
insist transport=uring,max_write=4M,queues=1,queue_depth=4,inodes=300,files=100,memory=29M \
	"memory= is too small"

say "FORGET comes by /dev/fuse"
serve "$backing" "$mnt" transport=uring
ls -l "$mnt/dir" >/dev/null
more "$(status_total inodes_used)" 200 "inodes in use"
forgotten() {
	echo 2 >/proc/sys/vm/drop_caches
	(($(status_total inodes_used) < 100))
}
wait_until 30 forgotten
unserve

say "what waits for nothing is run inline"
serve "$backing" "$mnt" transport=uring,workers=1,attr_timeout=0,entry_timeout=0
ls -l "$mnt/dir" >/dev/null
before=$(status_total inline)
seq -f "$mnt/dir/file-%03g" 200 | xargs stat --format '' --
more "$(($(status_total inline) - before))" 200 "requests run inline"
unserve
