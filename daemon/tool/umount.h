/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * umount.fuse.caisson, which umount(8) runs for our mounts. It unmounts and then waits until the
 * server has ended, because only then can BACKING be unmounted, too: the kernel itself waits for
 * the daemon of a fuseblk mount only.
 *
 * umount(8) runs it when it reads the type of the mount: with -c, as systemd calls it, or if
 * mount(8) has an entry for the mount in /run/mount/utab. We make no such entry ourselves: only
 * mount(8) can, at a time when the mount has no server yet, and it would then leave out options
 * that it keeps there for others, such as _netdev.
 */
#ifndef CAISSON_UMOUNT_H
#define CAISSON_UMOUNT_H

/*
 * ARGV is MOUNTPOINT and options, as umount(8) gives them to a helper. Returns the exit code of the
 * umount(8) that it runs.
 */
int umount_command(int argc, char **argv);

#endif
