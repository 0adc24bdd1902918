#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# On SIGTERM an idle daemon ends at once with status 0. A daemon with open files unmounts, and
# serves these files until the last one is closed. A second signal ends it once it has answered the
# requests in flight.
#
#@ packages: e2fsprogs util-linux
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"

is_detached() { ! is_in_mountinfo "$mnt"; }

make_backing ext4 256M
for signal in TERM INT; do
	say "idle, SIG$signal"
	serve
	kill -"$signal" "${daemon_pid[$mnt]}"
	await_daemon
	is_detached
done

say "under another name by then, and another mount at the old one"
mkdir -p "$scratch/above/here"
serve "$backing" "$scratch/above/here"
mv "$scratch/above" "$scratch/renamed"
mkdir -p "$scratch/above/here"
mount -t tmpfs other "$scratch/above/here"
kill -TERM "${daemon_pid[$scratch/above/here]}"
await_daemon "$scratch/above/here"
! is_in_mountinfo "$scratch/renamed/here" || fail "it is still mounted"
same "$(findmnt -n -o SOURCE "$scratch/above/here")" other "what is mounted at the old name"
umount "$scratch/above/here"

say "with a file open"
serve
exec {file}<>"$mnt/file"
echo before >&"$file"
kill -TERM "${daemon_pid[$mnt]}"
wait_until 10 is_detached
echo after >&"$file"
same "$(<"$backing/file")" $'before\nafter' "what is below"
test -d "/proc/${daemon_pid[$mnt]}"
exec {file}>&-
await_daemon

say "with a working directory in it, and a second signal"
serve
mkdir "$mnt/dir"
(cd "$mnt/dir" && exec sleep 600) &
client=$!
is_in_there() { [[ $(readlink "/proc/$client/cwd") == "$mnt/dir" && $(<"/proc/$client/comm") == sleep ]]; }
wait_until 10 is_in_there
kill -TERM "${daemon_pid[$mnt]}"
wait_until 10 is_detached
test -d "/proc/${daemon_pid[$mnt]}"
kill -TERM "${daemon_pid[$mnt]}"
await_daemon
kill "$client"
wait "$client" || true

say "with a change under way, and a second signal"
thaw() { fsfreeze --unfreeze "$backing" 2>/dev/null || true; }
is_kept_waiting() { cat "/proc/$server"/task/*/wchan | grep -q percpu_rwsem_wait; }
is_ending() { ! grep -q prune "/proc/$server"/task/*/comm; }
serve
server=$(server_pid)
defer thaw
fsfreeze --freeze "$backing"
mkdir "$mnt/made" &
client=$!
wait_until 10 is_kept_waiting
kill -TERM "${daemon_pid[$mnt]}"
wait_until 10 is_detached
kill -TERM "${daemon_pid[$mnt]}"
wait_until 10 is_ending
thaw
wait "$client" || fail "mkdir was not answered"
await_daemon
test -d "$backing/made"
