#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The server has a limit of file sizes, as by LimitFSIZE= or ulimit -f, that it can't raise. The
# kernel would kill it for a write beyond that. A client gets EFBIG, by whatever call, and the
# server goes on.
#
#@ packages: e2fsprogs util-linux
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

limit=$((512 << 20))
make_backing ext4 1G
serve "$backing" "$mnt" queues=1,queue_depth=8 \
	setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource prlimit --fsize=$limit
server=$(server_pid)
grep -q "RLIMIT_FSIZE: serve files of more than $limit bytes" "$daemon_log"

echo before >"$mnt/file"
for flag in '' direct dsync; do
	refused 'File too large' dd if=/dev/zero of="$mnt/file" bs=64k count=1 seek=$limit \
		oflag="seek_bytes${flag:+,$flag}" conv=notrunc status=none
done
refused 'File too large' truncate -s $((limit + 1)) "$mnt/file"
refused 'File too large' fallocate -o $limit -l 4096 "$mnt/file"
same "$(cat "$mnt/file")" before content
dd if=/dev/zero of="$mnt/file" bs=64k count=1 seek=$((limit - 65536)) oflag=seek_bytes,direct conv=notrunc status=none
same "$(stat -c %s "$backing/file")" $limit "bytes of the file"
same "$(server_pid)" "$server" "PID of the server"
same "$(status_total takeovers)" 0 takeovers
unserve "$mnt"
