#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# mount(8) and fstab: `mount -t fuse.caisson` runs mount.fuse.caisson, which is another name of
# caissond. It is put where mount looks, in a mount namespace of our own, so that the machine's
# own /sbin stays as it is.
#
#@ packages: mount util-linux e2fsprogs
if [[ ${1:-} != inside ]]; then
	exec unshare --mount --propagation private "$BASH" "$0" inside
fi
. "$(dirname "$0")/../lib/mount.sh"

is_served() { [[ $(findmnt -n -o FSTYPE "$mnt") == fuse.caisson ]]; }
no_daemon_is_left() { ! pgrep -f "$mnt" >/dev/null; }
end_it() {
	is_in_mountinfo "$mnt" || return 0
	umount "$mnt"
	wait_until 20 no_daemon_is_left
}

# A directory over which nothing but the helper is changed. mount(8) looks in /sbin first.
helpers=$scratch/sbin
mkdir -p "$helpers" "$scratch/work" "$mnt"
mount -t overlay -o "lowerdir=$(readlink -f /sbin),upperdir=$helpers,workdir=$scratch/work" overlay \
	"$(readlink -f /sbin)" || skip "no overlay mount over /sbin"
defer umount -l "$(readlink -f /sbin)"
ln -s "$(realpath "$CAISSOND")" "$helpers/mount.fuse.caisson"
make_backing ext4 256M
options=$(daemon_options "")

say "mount -t fuse.caisson"
defer end_it
mount -t fuse.caisson "$backing" "$mnt" -o "allow_other,nodev,noatime${options:+,$options}"
is_served
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

say "read-only"
mount -t fuse.caisson "$backing" "$mnt" -o "ro${options:+,$options}"
refused 'Read-only file system' touch "$mnt/new"
end_it

say "errors reach mount(8)"
refused missing mount -t fuse.caisson "$scratch/missing" "$mnt" -o "$options"
! is_in_mountinfo "$mnt" || fail "mounted"
