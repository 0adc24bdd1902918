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
#include "base/procfs.h"

/* Tries, if somebody renames directories above the mount again and again. */
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

void own_mount_adopt(struct own_mount *mount, const char *mountpoint, struct fuse_session *se,
		     const struct mountinfo *found, uint64_t unique_id)
{
	*mount = (struct own_mount){
		.mountpoint = mountpoint, .se = se, .info = *found, .unique_id = unique_id
	};
}

bool own_mount_is_severed(const struct own_mount *mount)
{
	struct pollfd device = { .fd = fuse_session_fd(mount->se) };

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

/* Finds its present path, to be freed. Returns 0, -ENOENT if it has gone, or -errno. */
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
	 * another mount may have its id and device number; without a unique id only the path tells
	 */
	if (!mount->unique_id && strcmp(path, mount->mountpoint) != 0 &&
	    own_mount_is_severed(mount))
		return -ENOENT;
	*ret_path = path;
	path = NULL;
	return 0;
}

/*
 * Unmounts it at PATH, by a descriptor, so that nobody can make a name on the way lead elsewhere.
 * Returns 0, -ESTALE if another mount covers it, -ENOENT if it has gone, -EAGAIN if PATH has, or
 * -errno. The kernel offers no way to name a mount rather than one that covers it. So if a
 * privileged user covers ours between the check and the call, their mount is the one that goes.
 */
static int detach(const struct own_mount *mount, const char *path)
{
	char fd_path[PROCFS_FD_PATH_LEN];
	autoclose int fd = -1;
	int r = mountinfo_open(path, &mount->info, &fd);

	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? -EAGAIN : r;
	if (mountinfo_unique_id(fd) != mount->unique_id)
		return -ENOENT;
	procfs_fd_path(fd, fd_path);
	/* without UMOUNT_NOFOLLOW: the path is a magic link, and leads to the descriptor's mount */
	return umount2(fd_path, MNT_DETACH) < 0 ? -errno : 0;
}

/* Does what libfuse does, which only knows the first path; a successor's libfuse knows none. */
static void run_fusermount(const char *path)
{
	char *const argv[] = { "fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL };
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) == 0)
		(void)waitpid(pid, NULL, 0); /* the caller looks whether the mount has gone */
}

/* Unmounts by fusermount3, for a user other than root. It tells no result. */
static bool ask_fusermount(const struct own_mount *mount, const char *path)
{
	autofree char *left = NULL;

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
