/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounting, which libfuse does. Its error messages become one line of our log. */
#ifndef CAISSON_FUSE_MOUNT_H
#define CAISSON_FUSE_MOUNT_H

struct fuse_args;
struct fuse_session;

/*
 * Mounts at MOUNTPOINT with the mount options ARGS. The kernel's INIT then waits in the device. The
 * caller ends the session with fuse_session_unmount() and fuse_session_destroy(). Returns 0 or an
 * exit code, logged.
 */
int fuse_mount_at(const char *mountpoint, struct fuse_args *args,
		  struct fuse_session **ret_session);

/* The session of a mount that another process has made, by its device FD. Otherwise the same. */
int fuse_mount_adopt(int fd, struct fuse_args *args, struct fuse_session **ret_session);

#endif
