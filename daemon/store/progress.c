/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/macro.h"

static __thread struct progress *own;
static __thread uint64_t *own_nodeids;
static __thread uint32_t own_room;

void progress_begin(struct progress *progress, uint64_t *nodeids, uint32_t count)
{
	own = progress;
	own_nodeids = nodeids || !progress ? nodeids : &progress->nodeid;
	own_room = nodeids ? count : 1;
}

void progress_end(void)
{
	progress_begin(NULL, NULL, 0);
}

bool progress_has_room(void)
{
	return !own || own->counted < own_room;
}

struct progress *progress_now(void)
{
	return own;
}

uint64_t *progress_nodeids(void)
{
	return own_nodeids;
}

/* Sets *RET_NAME to what NAME in DIR_FD leads to. Returns 0 or -errno. */
static int look(int dir_fd, const char *name, struct progress_name *ret_name)
{
	struct stat st;

	*ret_name = (struct progress_name){ 0 };
	if (!name)
		return 0;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*ret_name = (struct progress_name){ st.st_dev, st.st_ino };
	else if (errno != ENOENT)
		return -errno;
	return 0;
}

/* Notes NOW, or returns whether it differs from what was noted. */
static bool compare(struct progress *progress, const struct progress_name now[2])
{
	if (progress->noted)
		return memcmp(now, progress->before, sizeof(progress->before)) != 0;
	memcpy(progress->before, now, sizeof(progress->before));
	KILL_FENCE();
	progress->noted = true;
	return false;
}

bool progress_names_changed(struct progress *progress, int dir_fd, const char *name, int other_fd,
			    const char *other)
{
	struct progress_name now[2];

	/* what can't be looked at is done as if nothing had been noted */
	if (!progress || look(dir_fd, name, &now[0]) < 0 || look(other_fd, other, &now[1]) < 0)
		return false;
	return compare(progress, now);
}

bool progress_xattr_changed(struct progress *progress, const char *path, const char *name)
{
	struct progress_name now[2] = { 0 };

	if (!progress)
		return false;
	if (getxattr(path, name, NULL, 0) >= 0)
		now[0].ino = 1;
	else if (errno != ENODATA)
		return false;
	return compare(progress, now);
}
