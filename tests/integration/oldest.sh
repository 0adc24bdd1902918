#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A request that isn't answered for 20 s: `status` tells its age, and the log where the server's
# tasks wait. It is a look-up that takes 25 s (slow-look-ups.c).
#
#@ packages: fuse3 procps
#@ transport: one
#@ timeout: 120
#@ chaos: another server counts the age of requests anew
. "$(dirname "$0")/../lib/mount.sh"

mkdir -p "$backing"
"$build_dir/tests/slow-look-ups" "$backing" -o allow_other 2>/dev/null ||
	skip "slow-look-ups can't be mounted: no /dev/fuse?"
defer unmount "$backing"
serve "$backing" "$mnt" attr_timeout=0,entry_timeout=0

age() { status_total oldest_request_s; }
is_old() { (($(age) >= 20)); }
is_answered() { (($(age) == 0)); }

same "$(age)" 0 "age of the oldest request of an idle mount"
stat "$mnt/old-one" >"$scratch/said" 2>&1 &
client=$!
wait_until 40 is_old
wait_until 10 grep -q 'not done after' "$daemon_log"
matches "$(<"$daemon_log")" 'answer [A-Z]+ \(request [0-9]+, state run\): not done after 2[0-9] s; tasks: .*waits for an answer \(request_wait_answer\)' "what is logged"
exits 1 wait "$client"
matches "$(<"$scratch/said")" 'No such file' "the answer"
wait_until 10 is_answered
unserve
