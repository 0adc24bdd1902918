#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The daemon doesn't keep files open that its caller had open, because they would keep other mounts
# busy. This holds in the foreground and in the background. A missing standard stream isn't mistaken
# for another file.
#
#@ packages: e2fsprogs util-linux procps
#@ transport: one
. "$(dirname "$0")/../lib/mount.sh"

options=$(daemon_options "")
other=$scratch/other
daemons() { pgrep -f "caissond.* $mnt\$"; }
no_daemon_is_left() { ! daemons >"$scratch/left"; }
end_it() {
	is_in_mountinfo "$mnt" || return 0
	umount_idle "$mnt"
	wait_until 20 no_daemon_is_left
}

make_backing ext4 256M
mkdir -p "$other" "$mnt"
mount -t tmpfs none "$other"
defer unmount "$other"
defer end_it

say "in the background"
"$CAISSOND" -o "$options" "$backing" "$mnt" 7>"$other/seven" 63<"$other" 2>"$scratch/said"
is_in_mountinfo "$mnt"
umount "$other"
mount -t tmpfs none "$other"
end_it

say "in the foreground"
# shellcheck disable=SC2016 # for the inner shell
serve "$backing" "$mnt" "" "$BASH" -c 'exec 7>"$0/seven" && exec "$@"' "$other"
umount "$other"
mount -t tmpfs none "$other"
unserve

say "without standard input, output and error"
"$CAISSOND" -o "$options" "$backing" "$mnt" <&- >&- 2>&-
for pid in $(daemons); do
	for fd in 0 1 2; do
		same "$(readlink "/proc/$pid/fd/$fd")" /dev/null "descriptor $fd of process $pid"
	done
done
end_it
