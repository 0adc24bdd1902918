#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Locks between processes (locks.py): ranges, whole files, waiting, interruption, and what happens
# to them when their owner dies.
#
#@ packages: python3 util-linux e2fsprogs
#@ sanitize: yes
. "$(dirname "$0")/../lib/mount.sh"

make_backing ext4 256M
serve
python3 "$tests_dir/integration/locks.py" "$mnt/file" "$mnt/other" "$CAISSON" status "$mnt" --json

say "flock(1)"
exec {held}>"$mnt/lock"
flock "$held"
exits 1 flock --nonblock "$mnt/lock" true
flock "$mnt/lock" touch "$mnt/got" {held}>&- &
waiter=$!
exec {held}>&-
wait "$waiter"
test -e "$mnt/got"

say "locks of the mount count below it"
exec {held}>"$mnt/lock"
flock "$held"
exits 1 flock --nonblock "$backing/lock" true
exec {held}>&-
# the kernel sends RELEASE, which ends a flock, after close() has returned
wait_until 10 flock --nonblock "$backing/lock" true
unserve
