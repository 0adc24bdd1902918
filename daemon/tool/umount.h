/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount.fuse.caisson, a helper of umount(8). It unmounts and then waits until the server has
 * ended, because BACKING can be unmounted only then. The kernel waits only for the daemon of a
 * fuseblk mount.
 *
 * umount(8) runs it with -c, as systemd calls it, or if the mount has an entry in /run/mount/utab.
 * We don't make such an entry, because mount(8) would then not record options there that it keeps
 * for others, such as _netdev.
 */
#ifndef CAISSON_UMOUNT_H
#define CAISSON_UMOUNT_H

/*
 * ARGV has MOUNTPOINT and options, as umount(8) gives them to a helper. Returns the exit code of
 * the umount(8) that it runs.
 */
int umount_command(int argc, char **argv);

#endif
