/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/deed.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/macro.h"

static __thread struct deed *own;
static __thread uint64_t *own_nodeids;
static __thread uint32_t own_room;

void deed_begin(struct deed *deed, uint64_t *nodeids, uint32_t count)
{
	own = deed;
	own_nodeids = nodeids || !deed ? nodeids : &deed->nodeid;
	own_room = nodeids ? count : 1;
}

void deed_end(void)
{
	deed_begin(NULL, NULL, 0);
}

bool deed_has_room(void)
{
	return !own || own->counted < own_room;
}

struct deed *deed_now(void)
{
	return own;
}

uint64_t *deed_nodeids(void)
{
	return own_nodeids;
}

/* Sets *RET_NAME to what NAME in DIR_FD leads to. Returns 0 or -errno. */
static int look(int dir_fd, const char *name, struct deed_name *ret_name)
{
	struct stat st;

	*ret_name = (struct deed_name){ 0 };
	if (!name)
		return 0;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*ret_name = (struct deed_name){ st.st_dev, st.st_ino };
	else if (errno != ENOENT)
		return -errno;
	return 0;
}

/* Notes NOW and returns 0, or returns 1 if it differs from what was noted. */
static int compare(struct deed *deed, const struct deed_name now[2])
{
	if (deed->noted)
		return memcmp(now, deed->before, sizeof(deed->before)) != 0;
	memcpy(deed->before, now, sizeof(deed->before));
	KILL_FENCE();
	deed->noted = true;
	return 0;
}

int deed_is_done(struct deed *deed, int dir_fd, const char *name, int other_fd, const char *other)
{
	struct deed_name now[2];
	int r;

	if (!deed)
		return 0;
	r = look(dir_fd, name, &now[0]);
	if (r == 0)
		r = look(other_fd, other, &now[1]);
	return r < 0 ? r : compare(deed, now);
}

int deed_xattr_is_done(struct deed *deed, const char *path, const char *name)
{
	struct deed_name now[2] = { 0 };

	if (!deed)
		return 0;
	if (getxattr(path, name, NULL, 0) >= 0)
		now[0].ino = 1;
	else if (errno != ENODATA)
		return -errno;
	return compare(deed, now);
}
