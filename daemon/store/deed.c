/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/deed.h"

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

static struct deed_name look(int dir_fd, const char *name)
{
	struct stat st;

	if (!name || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return (struct deed_name){ 0 };
	return (struct deed_name){ st.st_dev, st.st_ino };
}

/* Notes NOW, or returns whether it differs from what was noted. */
static bool differs(struct deed *deed, const struct deed_name now[2])
{
	if (deed->noted)
		return memcmp(now, deed->before, sizeof(deed->before)) != 0;
	memcpy(deed->before, now, sizeof(deed->before));
	KILL_FENCE();
	deed->noted = true;
	return false;
}

bool deed_is_done(struct deed *deed, int dir_fd, const char *name, int other_fd, const char *other)
{
	struct deed_name now[2];

	if (!deed)
		return false;
	now[0] = look(dir_fd, name);
	now[1] = look(other_fd, other);
	return differs(deed, now);
}

bool deed_xattr_is_done(struct deed *deed, const char *path, const char *name)
{
	struct deed_name now[2] = { 0 };

	if (!deed)
		return false;
	now[0].ino = getxattr(path, name, NULL, 0) >= 0;
	return differs(deed, now);
}
