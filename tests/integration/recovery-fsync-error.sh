#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The server dies during an fsync that then fails. The kernel tells that to the dead server's ring
# and to nobody else, so its heir must find it there: each opener is told once (S11). The disk is
# a loop device on a sparse file on a filesystem that is full, and frozen until the server is dead.
# The data is in the page cache when the disk fails, so the case uses cache=writeback.
#
#@ packages: python3 e2fsprogs util-linux
#@ transport: one
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

thaw() { fsfreeze --unfreeze "$below" 2>/dev/null || true; }

below=$scratch/below
make_failing_backing "$below"
serve "$backing" "$mnt" transport=dev,recovery=on,cache=writeback

python3 "$tests_dir/integration/fsync-error.py" "$mnt/file" "$below/filler" "$scratch/frozen" &
client=$!
defer thaw
wait_until 30 test -e "$scratch/frozen"
server=$(server_pid)
syncs() { (($(status_total syncs) >= 3)); }
wait_until 30 syncs
say "the server dies, and the disk can fail now"
kill -KILL "$server"
is_dying() { grep -q '^State:.*Z' "/proc/$server/status" 2>/dev/null || process_is_gone "$server"; }
wait_until 30 is_dying
thaw
wait "$client"
more "$(status_total takeovers)" 0 "takeovers"
unserve
