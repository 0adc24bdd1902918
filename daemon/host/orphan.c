/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/orphan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/control.h"

#define FORM "terms 1\n%d %d %d %d %d\n%255s\n"

int orphan_render(const struct orphan *orphan, char *text, size_t len)
{
	int n = snprintf(text, len, "terms 1\n%d %d %d %d %d\n%s\n", orphan->session_fd,
			 orphan->root_fd, orphan->read_fd, orphan->lock_fd, orphan->arena_fd,
			 orphan->sizes);

	return n < 0 || (size_t)n >= len ? -ENOSPC : n;
}

static int parse(const char *text, struct orphan *orphan)
{
	int n = sscanf(text, FORM, &orphan->session_fd, &orphan->root_fd, &orphan->read_fd,
		       &orphan->lock_fd, &orphan->arena_fd, orphan->sizes);

	return n == 6 && orphan->arena_fd >= 0 ? 0 : -ENOENT;
}

int orphan_find(const char *mountpoint, struct orphan *ret_orphan)
{
	autofree char *path = NULL;
	char text[512];
	int r;

	*ret_orphan = (struct orphan){ 0 };
	r = mountinfo_path(mountpoint, &path);
	if (!r)
		r = mountinfo_find(path, &ret_orphan->mount);
	if (r < 0)
		return r;
	if (!ret_orphan->mount.is_fuse || ret_orphan->mount.owner != geteuid())
		return -ENOENT;
	r = control_ask(&ret_orphan->mount, "terms", text, sizeof(text), &ret_orphan->pid);
	if (r < 0 || !ret_orphan->pid)
		return -ENOENT;
	return parse(text, ret_orphan);
}
