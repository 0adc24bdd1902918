/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "control-path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOT_DIR "/run/caisson"

/* DIR/MAJOR:MINOR.sock */
static int name_socket(struct sockaddr_un *address, const char *dir, uint32_t major, uint32_t minor)
{
	int n = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%u:%u.sock", dir, major,
			 minor);

	if (n >= 0 && (size_t)n < sizeof(address->sun_path))
		return 0;
	address->sun_path[0] = '\0';
	return -ENAMETOOLONG;
}

/* The current user's own runtime directory; NULL: none. */
static const char *runtime_dir(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	return dir && dir[0] == '/' ? dir : NULL;
}

/* A directory in which nobody else can put a socket in place of ours. */
static int make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

int control_path_make(struct sockaddr_un *address, uint32_t major, uint32_t minor)
{
	char dir[sizeof(address->sun_path)] = ROOT_DIR;
	mode_t saved;
	int n, r;

	address->sun_family = AF_UNIX;
	if (geteuid() != 0) {
		if (!runtime_dir())
			return -ENOENT;
		n = snprintf(dir, sizeof(dir), "%s/caisson", runtime_dir());
		if (n < 0 || (size_t)n >= sizeof(dir))
			return -ENAMETOOLONG;
	}
	r = name_socket(address, dir, major, minor);
	if (r < 0)
		return r;
	saved = umask(022);
	r = make_dir(dir);
	(void)umask(saved); /* can't fail */
	return r;
}

int control_path_find(struct sockaddr_un *address, uint32_t major, uint32_t minor, uid_t owner,
		      uint32_t place)
{
	char dir[sizeof(address->sun_path)] = ROOT_DIR;
	int n = 0;

	address->sun_family = AF_UNIX;
	switch (place) {
	case 0:
		break;
	case 1:
		if (!runtime_dir())
			return -ENOENT;
		n = snprintf(dir, sizeof(dir), "%s/caisson", runtime_dir());
		break;
	case 2: /* for root, who has another XDG_RUNTIME_DIR; pam_systemd(8) makes it */
		n = snprintf(dir, sizeof(dir), "/run/user/%u/caisson", (unsigned)owner);
		break;
	default:
		return -ENOENT;
	}
	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENAMETOOLONG;
	return name_socket(address, dir, major, minor);
}
