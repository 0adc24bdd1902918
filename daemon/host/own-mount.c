/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 312

#include "host/own-mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Before the way to it, which somebody renames again and again, is given up. */
#define TRIES 10

int own_mount_find(struct own_mount *mount, const char *mountpoint, struct fuse_session *se)
{
	autoclose int fd = -1;
	int r;

	*mount = (struct own_mount){ .mountpoint = mountpoint, .se = se };
	r = mountinfo_find(mountpoint, &mount->info);
	if (r == 0 && mountinfo_open(mountpoint, &mount->info, &fd) == 0)
		mount->unique_id = mountinfo_unique_id(fd);
	return r;
}

bool own_mount_is_severed(const struct own_mount *mount)
{
	struct pollfd device = { .fd = fuse_session_fd(mount->se) };

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

/* Where it is now, for free(). 0, -ENOENT where it has gone, or -errno. */
static int locate(const struct own_mount *mount, char **ret_path)
{
	autofree char *path = NULL;
	struct mountinfo now;
	int r;

	r = mountinfo_find_id(mount->info.id, &now, &path);
	if (r < 0)
		return r;
	if (now.major != mount->info.major || now.minor != mount->info.minor)
		return -ENOENT;
	/*
	 * where ids and device numbers may have been given to another mount, only its place tells
	 */
	if (!mount->unique_id && strcmp(path, mount->mountpoint) != 0 &&
	    own_mount_is_severed(mount))
		return -ENOENT;
	*ret_path = path;
	path = NULL;
	return 0;
}

/*
 * By a descriptor: no name on the way to it can be made to lead elsewhere any more. 0, -ESTALE
 * where another mount is topmost at PATH, -ENOENT where it has gone, -EAGAIN where PATH has, or
 * -errno. What the kernel offers has no way to name a mount and not what has come to lie over it:
 * a mount that is put onto ours, by somebody who may do that, between the check and the call
 * would be the one to go.
 */
static int detach(const struct own_mount *mount, const char *path)
{
	char fd_path[MOUNTINFO_FD_PATH_LEN];
	autoclose int fd = -1;
	int r = mountinfo_open(path, &mount->info, &fd);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? -EAGAIN : r;
	if (mountinfo_unique_id(fd) != mount->unique_id)
		return -ENOENT;
	mountinfo_fd_path(fd, fd_path);
	/* without UMOUNT_NOFOLLOW: the path is a magic link, and leads to the descriptor's mount */
	return umount2(fd_path, MNT_DETACH) < 0 ? -errno : 0;
}

/* What libfuse does, with PATH. */
static void run_fusermount(const char *path)
{
	char *const argv[] = { "fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL };
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		(void)waitpid(pid, NULL, 0); /* it is the mount that tells */
}

/* As another user than root: by fusermount3, which tells no result. */
static bool ask_fusermount(const struct own_mount *mount, const char *path)
{
	autofree char *left = NULL;

	/* libfuse has only the old path, where there may be another mount of ours */
	if (strcmp(path, mount->mountpoint) == 0)
		fuse_session_unmount(mount->se);
	else
		run_fusermount(path);
	if (locate(mount, &left) == -ENOENT)
		return true;
	log_fail("%s: unmount: fusermount3 could not", path);
	return false;
}

bool own_mount_unmount(const struct own_mount *mount)
{
	autofree char *path = NULL;
	int r = -EAGAIN;

	for (int tries = 0; tries < TRIES; tries++) {
		free(path);
		path = NULL;
		r = locate(mount, &path);
		if (r == 0)
			r = detach(mount, path);
		if (r != -EAGAIN)
			break;
	}
	if (r == 0 || r == -ENOENT)
		return true;
	if (r == -EPERM && path)
		return ask_fusermount(mount, path);
	if (r == -ESTALE)
		log_warn("%s: unmount: something else is mounted there", path);
	else
		log_fail("%s: unmount: %s", path ? path : mount->mountpoint, strerror(-r));
	return false;
}
