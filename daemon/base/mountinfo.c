/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line of /proc/self/mountinfo, see proc_pid_mountinfo(5):
 *
 *   ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG…] - TYPE SOURCE SUPER_OPTIONS
 *
 * Blanks, newlines and backslashes in a field are written as \ooo. A mount on top of another one
 * at the same place comes after it.
 */
#include "base/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/procfs.h"

/* Linux 6.8 */
#define STATX_MNT_ID_UNIQUE_ 0x4000u

#define SYMLINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

/* N of FUSE's user_id=N among the super options, or 0. */
static uid_t read_owner(char *super_options)
{
	const char *option;

	while ((option = strsep(&super_options, ","))) {
		if (strncmp(option, "user_id=", strlen("user_id=")) == 0)
			return (uid_t)strtoul(option + strlen("user_id="), NULL, 10);
	}
	return 0;
}

bool mountinfo_is_fuse(const char *type)
{
	return strncmp(type, "fuse", 4) == 0 &&
	       (type[4] == '\0' || type[4] == '.' || strncmp(type + 4, "blk", 3) == 0);
}

bool mountinfo_parse(char *line, struct mountinfo_line *ret_line)
{
	struct mountinfo_line cut = { 0 };
	char *field[6], *rest = line;

	for (unsigned i = 0; i < ARRAY_SIZE(field); i++) {
		field[i] = strsep(&rest, " ");
		if (!rest)
			return false;
	}
	if (sscanf(field[0], "%u", &cut.id) != 1 ||
	    sscanf(field[2], "%u:%u", &cut.major, &cut.minor) != 2)
		return false;
	cut.root = field[3];
	cut.point = field[4];
	cut.options = field[5];
	/* tags have a colon, so the first lone dash ends them; without tags, it comes at once */
	rest = strncmp(rest, "- ", 2) == 0 ? rest - 1 : strstr(rest, " - ");
	if (!rest)
		return false;
	rest += strlen(" - ");
	cut.type = strsep(&rest, " ");
	cut.source = strsep(&rest, " ");
	if (!rest)
		return false;
	cut.super_options = rest;
	procfs_unescape(cut.root);
	procfs_unescape(cut.point);
	procfs_unescape(cut.source);
	*ret_line = cut;
	return true;
}

/* Parses LINE, which it cuts up. *RET_MOUNTPOINT is a part of it. Returns false on an error. */
static bool parse(char *line, struct mountinfo *ret_info, const char **ret_mountpoint)
{
	struct mountinfo_line cut;
	struct mountinfo info = { 0 };

	if (!mountinfo_parse(line, &cut))
		return false;
	info.id = cut.id;
	info.major = cut.major;
	info.minor = cut.minor;
	info.is_whole = strcmp(cut.root, "/") == 0;
	info.is_fuse = mountinfo_is_fuse(cut.type);
	if (info.is_fuse)
		info.owner = read_owner(cut.super_options);
	(void)snprintf(info.type, sizeof(info.type), "%s", cut.type); /* a long one is cut */
	*ret_info = info;
	*ret_mountpoint = cut.point;
	return true;
}

/* Finds the last mount at MOUNTPOINT, or if that is NULL the mount with ID, and its path. */
static int find(const char *mountpoint, uint32_t id, struct mountinfo *ret_info, char **ret_path)
{
	autofree char *line = NULL, *path = NULL;
	const char *at;
	struct mountinfo info;
	size_t room = 0;
	ssize_t len;
	FILE *file;
	int r = -ENOENT;

	file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return -errno;
	errno = 0;
	while ((len = getline(&line, &room, file)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		if (!parse(line, &info, &at) ||
		    (mountpoint ? strcmp(at, mountpoint) != 0 : info.id != id))
			continue;
		free(path);
		path = strdup(at);
		*ret_info = info;
		r = 0;
	}
	if (ferror(file) || errno == ENOMEM)
		r = errno ? -errno : -EIO;
	(void)fclose(file); /* read only */
	if (r == 0) {
		*ret_path = path;
		path = NULL;
	}
	return r;
}

int mountinfo_find(const char *mountpoint, struct mountinfo *ret_info)
{
	autofree char *path = NULL;

	return find(mountpoint, 0, ret_info, &path);
}

int mountinfo_find_id(uint32_t id, struct mountinfo *ret_info, char **ret_path)
{
	return find(NULL, id, ret_info, ret_path);
}

int mountinfo_open(const char *mountpoint, const struct mountinfo *info, int *ret_fd)
{
	autoclose int fd = open(mountpoint, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char path[32];
	uint64_t id;
	int r;

	if (fd < 0)
		return -errno;
	/* statx() might ask the mounted filesystem */
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd); /* fits */
	r = procfs_read_number(path, "mnt_id", 10, &id);
	if (r < 0)
		return r;
	if (id != info->id)
		return -ESTALE;
	*ret_fd = steal_fd(&fd);
	return 0;
}

uint64_t mountinfo_unique_id(int fd)
{
	struct statx stx;

	/* it asks for no attribute of the inode, so the filesystem asks no server */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID_UNIQUE_, &stx) < 0 ||
	    !(stx.stx_mask & STATX_MNT_ID_UNIQUE_))
		return 0;
	return stx.stx_mnt_id;
}

/* Splits PATH, without slashes and "." at its end, into a directory and the last component. */
static int split(const char *path, char **ret_parent, char **ret_name)
{
	autofree char *copy = strdup(path);
	char *slash;
	size_t len;

	if (!copy)
		return -ENOMEM;
	len = strlen(copy);
	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	*ret_name = strdup(slash ? slash + 1 : copy);
	if (!*ret_name)
		return -ENOMEM;
	if (!slash)
		*ret_parent = strdup(".");
	else
		*ret_parent = strndup(copy, slash == copy ? 1 : (size_t)(slash - copy));
	return *ret_parent ? 0 : -ENOMEM;
}

/* Resolves all of PATH but its last component, and reads where that leads if it is a symlink. */
static int resolve(const char *path, char **ret_path, bool *ret_again)
{
	autofree char *parent = NULL, *name = NULL, *base = NULL, *joined = NULL;
	char target[PATH_MAX];
	ssize_t len;
	int r;

	r = split(path, &parent, &name);
	if (r < 0)
		return r;
	/* these name a directory that has to be looked at in any case */
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		*ret_path = realpath(path, NULL);
		*ret_again = false;
		return *ret_path ? 0 : -errno;
	}
	base = realpath(parent, NULL);
	if (!base)
		return -errno;
	if (asprintf(&joined, "%s/%s", strcmp(base, "/") == 0 ? "" : base, name) < 0) {
		joined = NULL;
		return -ENOMEM;
	}
	/* doesn't ask a mounted filesystem, whose root is in the dentry cache */
	len = readlink(joined, target, sizeof(target) - 1);
	*ret_again = len >= 0;
	if (len < 0) {
		*ret_path = joined;
		joined = NULL;
		return 0;
	}
	target[len] = '\0';
	if (target[0] == '/') {
		*ret_path = strdup(target);
	} else if (asprintf(ret_path, "%s/%s", base, target) < 0) {
		*ret_path = NULL;
	}
	return *ret_path ? 0 : -ENOMEM;
}

int mountinfo_path(const char *path, char **ret_path)
{
	char *here = strdup(path);
	bool again = true;

	if (!here)
		return -ENOMEM;
	for (unsigned i = 0; again; i++) {
		char *next = NULL;
		int r = i < SYMLINKS_MAX ? resolve(here, &next, &again) : -ELOOP;

		free(here);
		if (r < 0)
			return r;
		here = next;
	}
	*ret_path = here;
	return 0;
}
