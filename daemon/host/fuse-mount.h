/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mount itself, made by libfuse. Its error messages become one line of our log. */
#ifndef CAISSON_FUSE_MOUNT_H
#define CAISSON_FUSE_MOUNT_H

struct fuse_args;
struct fuse_session;

/*
 * Mounts at MOUNTPOINT with the mount options ARGS. The kernel's INIT waits in the device from here
 * on. The session is the caller's: fuse_session_unmount(), fuse_session_destroy(). Returns 0 or an
 * exit code, logged.
 */
int fuse_mount_at(const char *mountpoint, struct fuse_args *args,
		  struct fuse_session **ret_session);

#endif
