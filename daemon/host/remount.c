/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/remount.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/procfs.h"
#include "host/options.h"

static int refuse(const char *mountpoint, const char *reason)
{
	log_fail("%s: remount: %s", mountpoint, reason);
	return EXIT_CANNOT_SERVE;
}

int remount_run(const struct options *options)
{
	const char *mountpoint = options->mountpoint;
	char fd_path[PROCFS_FD_PATH_LEN];
	autofree char *path = NULL;
	struct mountinfo info = { 0 };
	autoclose int fd = -1;
	int r;

	r = mountinfo_path(mountpoint, &path);
	if (!r)
		r = mountinfo_find(path, &info);
	if (r == -ENOENT)
		return refuse(mountpoint, "nothing is mounted there");
	if (r < 0)
		return refuse(mountpoint, strerror(-r));
	/* with subtype= the type has any name */
	if (!info.is_fuse || (strcmp(info.type, "fuse.caisson") != 0 && !options->subtype_given))
		return refuse(mountpoint, "what is mounted there isn't of type fuse.caisson");
	/* the owner serves the mount: suid, for instance, would give root's rights to that user */
	if (info.owner != geteuid())
		return refuse(mountpoint, "what is mounted there belongs to another user");
	r = mountinfo_open(path, &info, &fd);
	if (r < 0)
		return refuse(mountpoint, strerror(-r));
	procfs_fd_path(fd, fd_path);
	if (mount("none", fd_path, NULL, MS_REMOUNT | options->remount_flags, NULL) < 0)
		return refuse(mountpoint, strerror(errno));
	return EXIT_FINE;
}
