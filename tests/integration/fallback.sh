#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# caissond does without a feature that isn't available and that the options don't require, or uses
# less of it. It logs each such feature once, in one line with the object, the action and the
# reason, and logs nothing about features that are available.
#
#@ packages: e2fsprogs util-linux
#@ chaos: it is about recovery=off
. "$(dirname "$0")/../lib/mount.sh"

unset CAISSON_TEST_OPTIONS # each transport is asked for by name here

# says PATTERN OPTIONS [PREFIX-COMMAND...]: at the start, once
says() {
	local pattern=$1 options=$2
	shift 2
	: >"$daemon_log"
	serve "$backing" "$mnt" "$options" "$@"
	matches "$(<"$daemon_log")" "$pattern" "what it says with $options"
	same "$(grep -cE "$pattern" "$daemon_log")" 1 "number of lines"
	unserve
}

# without CAPABILITY...: the prefix of a daemon that can't have them
without() {
	local IFS=,
	local -a minus=("${@/#/-}")
	prefix=(setpriv "--bounding-set=${minus[*]}" "--inh-caps=${minus[*]}")
}

make_backing ext4 256M
says 'transport=auto: serve by /dev/fuse, not by .*: not to be had .*max_write=64K' \
	transport=auto,recovery=off,max_write=32K
limit=$(cat /proc/sys/fs/fuse/max_pages_limit 2>/dev/null || echo 256)
((limit >= 1024)) || says "max_write=4096K: serve with messages of at most $((limit * 4))K: " \
	max_write=4M,memory=2G
without sys_resource ipc_lock
says 'buffers of [0-9]+ queues: register with io_uring: refused' io_flusher=off,mlock=off "${prefix[@]}" \
	prlimit --memlock=8388608:8388608

say "nothing to tell"
: >"$daemon_log"
serve "$backing" "$mnt" transport=dev,files=100
! grep -vE 'not safe to stack on|caissond: serving' "$daemon_log" || fail "it tells of something"
unserve
