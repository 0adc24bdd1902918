/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our entry in /run/mount/utab, where mount(8) keeps what the kernel doesn't. umount(8) runs
 * /sbin/umount.TYPE, but reads the type of a mount only if utab has an entry for it, or if it is
 * called with -c, as systemd does. Our umount.fuse.caisson waits until the server has ended
 * (tool/umount.h).
 *
 * The entry is made by mount(8) and removed by umount(8), which we execute and wait for. Both do
 * nothing unless the caller is root: others unmount with fusermount3(1), which runs no helper. What
 * fails isn't told, because the mount works all the same: umount(8) then returns a little early.
 */
#ifndef CAISSON_UTAB_H
#define CAISSON_UTAB_H

/* The mount of SOURCE at MOUNTPOINT has been made. */
void utab_add(const char *source, const char *mountpoint);

/*
 * Removes the entry that a mount at MOUNTPOINT has left which something other than umount(8) has
 * unmounted; nothing while a mount is there. For a process that ends: unlocks its memory.
 */
void utab_remove(const char *mountpoint);

#endif
