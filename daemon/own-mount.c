/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 312

#include "own-mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>

#include "cleanup.h"
#include "log.h"

int own_mount_find(struct own_mount *mount, const char *mountpoint, struct fuse_session *se)
{
	*mount = (struct own_mount){ .mountpoint = mountpoint, .se = se };
	return mountinfo_find(mountpoint, &mount->info);
}

bool own_mount_is_severed(const struct own_mount *mount)
{
	struct pollfd device = { .fd = fuse_session_fd(mount->se) };

	return poll(&device, 1, 0) == 1 && (device.revents & POLLERR);
}

static bool is_ours(const struct own_mount *mount, const struct mountinfo *info)
{
	return info->id == mount->info.id && info->major == mount->info.major &&
	       info->minor == mount->info.minor;
}

/*
 * By a descriptor: no name on the way to it can be made to lead elsewhere any more. 0, -ESTALE where
 * another mount is topmost there now, or -errno. What the kernel offers has no way to name a mount
 * and not what has come to lie over it: a mount that is put onto ours, by somebody who may do that,
 * between the check and the call would be the one to go.
 */
static int detach(const struct own_mount *mount)
{
	char path[MOUNTINFO_FD_PATH_LEN];
	autoclose int fd = -1;
	int r = mountinfo_open(mount->mountpoint, &mount->info, &fd);

	if (r < 0)
		return r;
	mountinfo_fd_path(fd, path);
	/* without UMOUNT_NOFOLLOW: the path is a magic link, and leads to the descriptor's mount */
	return umount2(path, MNT_DETACH) < 0 ? -errno : 0;
}

/* As another user than root: by fusermount3, which tells no result. */
static bool ask_fusermount(const struct own_mount *mount)
{
	struct mountinfo now;

	fuse_session_unmount(mount->se);
	if (mountinfo_find(mount->mountpoint, &now) < 0 || !is_ours(mount, &now))
		return true;
	log_fail("%s: unmount: fusermount3 could not", mount->mountpoint);
	return false;
}

bool own_mount_unmount(const struct own_mount *mount)
{
	struct mountinfo now;
	int r;

	r = mountinfo_find(mount->mountpoint, &now);
	if (r == -ENOENT)
		return true;
	if (r == 0)
		r = is_ours(mount, &now) ? detach(mount) : -ESTALE;
	if (r == 0)
		return true;
	if (r == -EPERM)
		return ask_fusermount(mount);
	if (r == -ESTALE)
		log_warn("%s: unmount: something else is mounted there", mount->mountpoint);
	else
		log_fail("%s: unmount: %s", mount->mountpoint, strerror(-r));
	return false;
}
