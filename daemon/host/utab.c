/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/utab.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"

/* A path with blanks is written with escapes there, and so has an entry only for umount(8). */
static bool has_entry(const char *mountpoint)
{
	FILE *file = fopen("/run/mount/utab", "re");
	autofree char *wanted = NULL, *line = NULL;
	size_t len = 0;
	bool has = false;

	if (asprintf(&wanted, " TARGET=%s ", mountpoint) < 0)
		wanted = NULL;
	while (file && wanted && !has && getline(&line, &len, file) >= 0)
		has = strstr(line, wanted);
	if (file)
		(void)fclose(file); /* read only */
	return has;
}

/* Executes PROGRAM with ARGV, without a word of it. */
static void execute(const char *program, char **argv)
{
	posix_spawn_file_actions_t quiet;
	pid_t pid;

	if (posix_spawn_file_actions_init(&quiet) != 0)
		return;
	if (posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0) ==
		    0 &&
	    posix_spawn(&pid, program, &quiet, NULL, argv, environ) == 0)
		(void)waitpid(pid, NULL, 0);		/* how it went isn't told */
	(void)posix_spawn_file_actions_destroy(&quiet); /* has no way to fail */
}

void utab_add(const char *source, const char *mountpoint)
{
	/* no system call, no helper, paths as they are; any option of users' has an entry made */
	char *argv[] = {
		"mount",	"-f", "-i",	   "-c",	   "-t",
		"fuse.caisson", "-o", "x-caisson", (char *)source, (char *)mountpoint,
		NULL,
	};

	if (geteuid() == 0 && !has_entry(mountpoint))
		execute("/bin/mount", argv);
}

void utab_remove(const char *mountpoint)
{
	char *argv[] = { "umount", "--fake", "-i", "-c", (char *)mountpoint, NULL };
	struct mountinfo other;

	if (geteuid() != 0 || mountinfo_find(mountpoint, &other) != -ENOENT ||
	    !has_entry(mountpoint))
		return;
	(void)munlockall(); /* or there may be no room for the child's stack (RLIMIT_MEMLOCK) */
	execute("/bin/umount", argv);
}
