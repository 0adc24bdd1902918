#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A request at which three servers fail gets EIO, and the mount goes on. Servers that are killed by
# somebody else don't count. The request is a look-up that goes on until its server is killed
# (slow-look-ups.c).
#
#@ packages: fuse3 procps
#@ transport: one
#@ timeout: 180
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

mkdir -p "$backing"
"$build_dir/tests/slow-look-ups" "$backing" -o allow_other,max_idle_threads=64 2>/dev/null ||
	skip "slow-look-ups can't be mounted: no /dev/fuse?"
defer unmount "$backing"
serve "$backing" "$mnt" transport=dev,recovery=on,attr_timeout=0,entry_timeout=0

# a worker has the look-up, and waits for it
looks_up() { grep -qs fuse_lookup /proc/"$(server_pid)"/task/*/stack; }

has_heir() { [[ $(server_pid) != "$server" && $(server_pid) != "${daemon_pid[$mnt]}" ]]; }

deaths=0

# die SIGNAL: while the look-up is under way; an heir takes over when the old server has ended, and
# has the look-up to do
die() {
	wait_until 20 looks_up
	server=$(server_pid)
	kill "-$1" "$server"
	wait_until 20 has_heir
	((deaths += 1))
	same "$(status_total takeover_redone)" $deaths "requests done again"
}

for signal in KILL SEGV; do
	say "SIG$signal, three times"
	stat "$mnt/held-$signal" >"$scratch/said" 2>&1 &
	client=$!
	for _ in 1 2 3; do
		die $signal
	done
	wait_until 30 process_is_gone "$client"
	exits 1 wait "$client"
	case $signal in
	KILL) matches "$(<"$scratch/said")" 'No such file' "the answer" ;;
	SEGV) matches "$(<"$scratch/said")" 'Input/output error' "the answer" ;;
	esac
done
same "$(status_total takeover_refused)" 1 "number of requests refused"
matches "$(<"$daemon_log")" 'LOOKUP of node .*answered with EIO' "what is logged"
same "$(head -c 4 "$mnt/file")" zzzz "what others read"
unserve
