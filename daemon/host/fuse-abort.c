/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/fuse-abort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Where distributions mount fusectl. */
#define CONNECTIONS "/sys/fs/fuse/connections"

/* Opens fusectl as a mount that nobody else sees. The kernel has a single instance of it. */
static int open_connections(int *ret_fd)
{
	autoclose int context = -1;
	int fd = -1;

	context = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (context >= 0 && fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	/* without CAP_SYS_ADMIN: a connection's owner may use it where fusectl is mounted */
	if (fd < 0)
		fd = open(CONNECTIONS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int fuse_abort_open(uint32_t minor, int *ret_fd)
{
	autoclose int connections = -1;
	char path[32];
	int fd, r;

	r = open_connections(&connections);
	if (r < 0)
		return r;
	/* a connection's name is its mount's device number (fuse_ctl_add_conn()) */
	(void)snprintf(path, sizeof(path), "%u/abort", minor); /* fits */
	fd = openat(connections, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int fuse_abort(int fd)
{
	return write(fd, "1", 1) < 0 ? -errno : 0;
}
