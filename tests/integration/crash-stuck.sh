#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A server without recovery is killed while one of its threads is stuck in the kernel: a metadata worker waits for
# a frozen backing filesystem. /dev/fuse stays open then, and clients would wait for ever. The
# keeper therefore aborts the connection.
#
#@ packages: e2fsprogs util-linux
#@ timeout: 90
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 128M
serve "$backing" "$mnt" recovery=off
server=$(server_pid)
fsfreeze --freeze "$backing"
thaw() { ! ((frozen)) || fsfreeze --unfreeze "$backing"; }
frozen=1
defer thaw

mkdir "$mnt/waits" 2>"$scratch/said" &
client=$!
wait_until 20 waits_for_thaw "$server"
kill -KILL "$server"

# the client comes back while the server can't
wait_until 20 process_is_gone "$client"
exits 1 wait "$client"
matches "$(<"$scratch/said")" 'connection abort|not connected' "what the client is told"
grep -qs '^State:.*Z' "/proc/$server/status"

fsfreeze --unfreeze "$backing"
frozen=0
await_daemon "$mnt" 2
! is_in_mountinfo "$mnt" || fail "the mount is still there"
matches "$(<"$daemon_log")" 'connection aborted' "what the keeper says"

say "the next one"
serve
unserve
