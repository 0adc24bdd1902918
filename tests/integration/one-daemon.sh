#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Only one daemon serves a BACKING, for as long as its mount is used and by whatever path BACKING is
# named. A user who can merely open BACKING can't prevent that it is served.
#
#@ packages: e2fsprogs util-linux procps
#@ timeout: 90
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
options=$(daemon_options "")
second=$scratch/second
mkdir -p "$second"

is_refused() { refused 'another caissond' "$CAISSOND" -o "$options" "$1" "$second"; }
is_free() { "$CAISSOND" -o "$options" "$1" "$second" 2>"$scratch/said"; }
no_daemon_is_left() { ! pgrep -f "caissond.*$1\$" >"$scratch/left"; }

end_second() { ! is_in_mountinfo "$second" || umount "$second"; }

make_backing ext4 256M
defer end_second
chmod 755 "$backing"

say "others lock what they can open"
setpriv --reuid=65534 --regid=65534 --clear-groups flock --shared --no-fork "$backing" sleep 1000 &
locker=$!
wait_until 10 grep -q ":$(stat -c %i "$backing") " /proc/locks
serve
grep -q 'somebody else has locked it' "$daemon_log"
kill "$locker"
wait "$locker" 2>/dev/null || true
file=/run/caisson/lock
same "$(stat -c '%a %u' "$file")" "600 0" "mode and owner of $file"
refused 'Permission denied' as_nobody flock -s "$file" true

say "a second daemon"
is_refused "$backing"
mkdir "$scratch/bound"
mount --bind "$backing" "$scratch/bound"
defer umount "$scratch/bound"
is_refused "$scratch/bound"
ln -s "$backing" "$scratch/link"
is_refused "$scratch/link"

say "while the mount is still used, though it can't be seen"
exec {user}<"$mnt"
umount -l "$mnt"
is_refused "$backing"
exec {user}<&-
await_daemon "$mnt"
is_free "$backing"
end_second
wait_until 20 no_daemon_is_left "$second"

say "the keeper has been killed: the server has it"
serve
server=$(server_pid)
kill -KILL "${daemon_pid[$mnt]}"
wait "${daemon_pid[$mnt]}" 2>/dev/null || true
is_refused "$backing"

say "all have been killed"
kill -KILL "$server"
wait_until 10 process_is_gone "$server"
umount -l "$mnt"
forget_daemon "$mnt"
is_free "$scratch/bound"
end_second
wait_until 20 no_daemon_is_left "$second"
