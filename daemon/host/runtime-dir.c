/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/runtime-dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *runtime_dir_of_session(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	return dir && dir[0] == '/' ? dir : NULL;
}

/* Makes DIR unless it exists. Checks that it is ours and that nobody else may write to it. */
static int make(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)) ? 0 : -EPERM;
}

/* Without XDG_RUNTIME_DIR it is in /run/user/UID, which pam_systemd(8) makes. */
static int name(char *dir, size_t len)
{
	const char *session = runtime_dir_of_session();
	struct stat st;
	int n;

	if (geteuid() == 0) {
		n = snprintf(dir, len, RUNTIME_DIR_ROOT);
	} else if (session) {
		n = snprintf(dir, len, "%s/caisson", session);
	} else {
		n = snprintf(dir, len, "/run/user/%u", (unsigned)geteuid());
		if (n < 0 || (size_t)n >= len)
			return -ENAMETOOLONG;
		if (lstat(dir, &st) < 0 || st.st_uid != geteuid())
			return -ENOENT;
		n = snprintf(dir, len, "/run/user/%u/caisson", (unsigned)geteuid());
	}
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

int runtime_dir_make(char *dir, size_t len)
{
	mode_t saved;
	int r = name(dir, len);

	if (r < 0)
		return r;
	saved = umask(022);
	r = make(dir);
	(void)umask(saved); /* can't fail */
	return r;
}
