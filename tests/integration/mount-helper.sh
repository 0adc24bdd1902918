#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mount(8) and fstab can mount: `mount -t fuse.caisson` runs mount.fuse.caisson, which is another
# name of caissond. The case puts it where mount(8) looks, in a mount namespace of its own, so that
# the machine's /sbin stays as it is.
#
#@ packages: mount util-linux e2fsprogs
#@ alone: yes
#@ transport: one
if [[ ${1:-} != inside ]]; then
	exec unshare --mount --propagation private "$BASH" "$0" inside
fi
. "$(dirname "$0")/../lib/mount.sh"

is_served() { [[ $(findmnt -n -o FSTYPE "$mnt") == fuse.caisson ]]; }
no_daemon_is_left() { ! pgrep -f "$mnt" >/dev/null; }
end_it() {
	is_in_mountinfo "$mnt" || return 0
	umount_idle "$mnt"
	wait_until 20 no_daemon_is_left
}

overlay_sbin
mkdir -p "$mnt"
ln -s "$(realpath "$CAISSOND")" "$helpers/mount.fuse.caisson"
make_backing ext4 256M
options=$(daemon_options "")

say "mount -t fuse.caisson"
defer end_it
mount -t fuse.caisson "$backing" "$mnt" -o "allow_other,nodev,noatime${options:+,$options}" \
	>"$scratch/said" 2>&1
is_served
same "$(<"$scratch/said")" "" "what a mount that went well says"
same "$(findmnt -n -o SOURCE "$mnt")" "$backing" source
matches "$(findmnt -n -o OPTIONS "$mnt")" nodev options
echo text >"$mnt/file"
same "$(<"$backing/file")" text content
end_it

say "as from fstab"
echo "$backing $mnt fuse.caisson defaults,nofail,_netdev,x-systemd.automount,allow_other${options:+,$options} 0 0" \
	>"$scratch/fstab"
mount --fstab "$scratch/fstab" "$mnt"
is_served
same "$(<"$mnt/file")" text content
end_it

say "by relative names"
(cd "$scratch" && "$CAISSOND" -o "$options" "${backing##*/}" "${mnt##*/}" 2>/dev/null)
same "$(findmnt -n -o SOURCE "$mnt")" "$backing" source
end_it

say "read-only"
mount -t fuse.caisson "$backing" "$mnt" -o "ro${options:+,$options}"
refused 'Read-only file system' touch "$mnt/new"
end_it

say "remount"
daemons() { pgrep -f "$mnt" | sort; }
flags() { findmnt -n -o VFS-OPTIONS "$mnt"; }
remount_says() { mount -t fuse.caisson -o "remount,$1" "$backing" "$mnt"; }
remount() { remount_says "$1" >"$scratch/said" 2>&1; }
mount -t fuse.caisson "$backing" "$mnt" -o "allow_other${options:+,$options}"
before=$(daemons)
was=$(flags)
matches "$was" 'rw,nosuid,nodev' flags
echo text >"$mnt/file"
remount ro
same "$(<"$scratch/said")" "" "what a remount says"
refused 'Read-only file system' touch "$mnt/file"
same "$(<"$mnt/file")" text content
# all that a mount takes, what it wouldn't take, and what mount(8) finds in mountinfo
remount "rw,allow_other,user_id=0,group_id=0,queues=0,nonsense${options:+,$options}"
same "$(flags)" "$was" "flags after remount,rw"
touch "$mnt/file"
# mount(8) keeps suid to itself
"$helpers/mount.fuse.caisson" "$backing" "$mnt" -o remount,noexec,suid
matches "$(flags)" 'rw,nodev,noexec' flags
mount -o remount,ro "$mnt" # with what it finds itself
refused 'Read-only file system' touch "$mnt/file"
mount -o remount,rw "$mnt"
exec {writer}>>"$mnt/file"
refused 'busy' remount_says ro
exec {writer}>&-
same "$(daemons)" "$before" "processes that serve"
is_served
end_it
refused 'nothing is mounted' remount_says ro
mount -t tmpfs none "$mnt"
refused "isn't of type fuse.caisson" remount_says ro
umount "$mnt"

say "a daemon in the background says nothing either, but warns"
"$CAISSOND" -o "$options" "$backing" "$mnt" >"$scratch/said" 2>&1
is_served
! grep -v 'not safe to stack on' "$scratch/said" || fail "it isn't silent"
end_it

say "errors reach mount(8)"
refused missing mount -t fuse.caisson "$scratch/missing" "$mnt" -o "$options"
! is_in_mountinfo "$mnt" || fail "mounted"
