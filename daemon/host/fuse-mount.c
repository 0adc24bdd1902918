/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define FUSE_USE_VERSION 312

#include "host/fuse-mount.h"

#include <fuse_log.h>
#include <fuse_lowlevel.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/exit-code.h"
#include "base/log.h"

/* The last error message of libfuse, for a line of ours. */
static char fuse_complaint[256];

static void keep_complaint(enum fuse_log_level level, const char *format, va_list args)
{
	char *end;

	(void)level;
	(void)vsnprintf(fuse_complaint, sizeof(fuse_complaint), format, args); /* cut, if long */
	end = strpbrk(fuse_complaint, "\n");
	if (end)
		*end = '\0';
}

static const char *complaint(void)
{
	static const char prefix[] = "fuse: ";

	if (strncmp(fuse_complaint, prefix, strlen(prefix)) == 0)
		return fuse_complaint + strlen(prefix);
	return fuse_complaint[0] ? fuse_complaint : "libfuse gave no reason";
}

int fuse_mount_at(const char *mountpoint, struct fuse_args *args, struct fuse_session **ret_session)
{
	static const struct fuse_lowlevel_ops none; /* libfuse serves no requests */
	struct fuse_session *session;

	fuse_set_log_func(keep_complaint);
	session = fuse_session_new(args, &none, sizeof(none), NULL);
	if (!session) {
		log_fail("mount options: parse: %s", complaint());
		return EXIT_USAGE;
	}
	if (fuse_session_mount(session, mountpoint) != 0) {
		log_fail("%s: mount: %s", mountpoint, complaint());
		fuse_session_destroy(session);
		return EXIT_CANNOT_SERVE;
	}
	*ret_session = session;
	return 0;
}

int fuse_mount_adopt(int fd, struct fuse_args *args, struct fuse_session **ret_session)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/dev/fd/%d",
		       fd); /* fits; libfuse mounts nothing then */
	return fuse_mount_at(path, args, ret_session);
}
