#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The server dies during an fsync that the kernel then ends well. The heir takes the result from the
# dead server's ring: if each heir synced again, servers that die faster than a sync takes would
# hold up their clients for ever. The disk is a loop device on a filesystem that is frozen until the
# server is dead.
#
#@ packages: python3 e2fsprogs util-linux
#@ transport: one
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

below=$scratch/below

thaw() { fsfreeze --unfreeze "$below" 2>/dev/null || true; }
is_busy() {
	local reads writes
	read -r reads writes <"/sys/block/${disk#/dev/}/inflight"
	((reads + writes))
}
is_dying() { grep -q '^State:.*Z' "/proc/$server/status" 2>/dev/null || process_is_gone "$server"; }

make_backing ext4 256M "$below"
truncate -s 100M "$below/image"
make_filesystem ext4 "$below/image"
attach "$below/image" --direct-io=off
disk=$loop
mount_loop "$disk" "$backing" -t ext4
serve "$backing" "$mnt" transport=dev,recovery=on,cache=writeback

python3 - "$mnt/file" "$below" "$scratch/frozen" <<-'END' &
	import os, subprocess, sys
	path, below, frozen = sys.argv[1:]
	fd = os.open(path, os.O_CREAT | os.O_RDWR)
	os.write(fd, bytes(1 << 20))
	subprocess.run(["fsfreeze", "--freeze", below], check=True)
	open(frozen, "w").close()
	os.fsync(fd)
END
client=$!
defer thaw
wait_until 30 test -e "$scratch/frozen"
is_syncing() { (($(status_total syncs) >= 1)) && is_busy; }
wait_until 30 is_syncing
server=$(server_pid)
kill -KILL "$server"
wait_until 30 is_dying
thaw
wait "$client"
same "$(status_total takeovers)" 1 takeovers
same "$(status_total takeover_redone)" 0 "requests done again"
same "$(status_total takeover_resent)" 1 "answers of the dead server"
unserve
