/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 312

#include "own-mount.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>

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
	return info->major == mount->info.major && info->minor == mount->info.minor;
}

bool own_mount_unmount(const struct own_mount *mount)
{
	const char *mountpoint = mount->mountpoint;
	struct mountinfo now;
	int r;

	r = mountinfo_find(mountpoint, &now);
	if (r == -ENOENT)
		return true;
	if (r == 0 && !is_ours(mount, &now)) {
		log_warn("%s: unmount: something else is mounted there", mountpoint);
		return false;
	}
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return true;
	if (errno != EPERM) {
		log_fail("%s: unmount: %s", mountpoint, strerror(errno));
		return false;
	}
	fuse_session_unmount(mount->se); /* asks fusermount3, which tells no result */
	if (mountinfo_find(mountpoint, &now) == 0 && is_ours(mount, &now)) {
		log_fail("%s: unmount: fusermount3 could not", mountpoint);
		return false;
	}
	return true;
}
