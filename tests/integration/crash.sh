#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# When a server without recovery is killed, the keeper unmounts, says so and exits with 2. Clients
# get errors, nobody hangs, and the next daemon finds all the files.
#
#@ packages: fio e2fsprogs procps python3
#@ chaos: it kills servers itself
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve "$backing" "$mnt" recovery=off
echo text >"$mnt/file"
sync "$mnt/file"
dd if=/dev/zero of="$mnt/load" bs=1M count=32 status=none
written=$(status_total writes)
fio --name=load --filename="$mnt/load" --rw=randwrite --bs=4k --size=32m --ioengine=io_uring \
	--iodepth=32 --direct=1 --time_based --runtime=60 --eta=never >"$scratch/fio" 2>&1 &
client=$!
has_load() { (($(status_total writes) > written + 1000)); }
wait_until 20 has_load
server=$(server_pid)
[[ $server != "${daemon_pid[$mnt]}" ]]
kill -KILL "$server"
await_daemon "$mnt" 2
! is_in_mountinfo "$mnt" || fail "the mount is still there"
wait_until 20 process_is_gone "$client"
exits 1 wait "$client"
matches "$(<"$daemon_log")" 'caissond: [^ ].*(killed|died|ended|signal)' "what the keeper says"
refused 'No such file' cat "$mnt/file"

say "the next one"
serve
same "$(<"$mnt/file")" text content
unserve

say "the keeper is killed: the server goes on, and umount ends it"
serve
server=$(server_pid)
kill -KILL "${daemon_pid[$mnt]}"
wait "${daemon_pid[$mnt]}" || true
same "$(<"$mnt/file")" text "content without a keeper"
umount_idle "$mnt"
wait_until 20 daemon_has_ended "$mnt"
wait_until 20 process_is_gone "$server" # its descriptors are closed just before
forget_daemon "$mnt"
