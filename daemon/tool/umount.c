/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/umount.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/mountinfo.h"
#include "host/control.h"
#include "tool/tell.h"

/* A server ends within milliseconds, unless BACKING doesn't answer. */
#define WAIT_MS 10000

/* A pidfd of the server of MOUNT at MOUNTPOINT, or -1 if there is no server to wait for. */
static int open_server(const char *mountpoint, struct mountinfo *mount)
{
	pid_t server;

	if (mountinfo_find(mountpoint, mount) < 0 || control_find_server(mount, &server) < 0 ||
	    server <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, server, 0);
}

/*
 * Whether the filesystem of MOUNT is still mounted, there or elsewhere. The kernel removes its
 * connection with the last mount (fuse_conn_destroy() in fs/fuse/inode.c). Without fusectl the
 * answer is no, and the caller may wait in vain for WAIT_MS.
 */
static bool is_connected(const struct mountinfo *mount)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u", mount->minor); /* fits */
	return access(path, F_OK) == 0;
}

/* Runs umount(8) with ARGV, without this helper. Returns its exit code. */
static int run_umount(char **argv)
{
	int status = -1, r;
	pid_t pid;

	(void)signal(SIGCHLD, SIG_DFL); /* so that its status isn't lost; can't fail */
	r = posix_spawn(&pid, "/bin/umount", NULL, NULL, argv, environ);
	if (r) {
		tell("/bin/umount: execute: %s", strerror(r));
		return EXIT_CANNOT_SERVE;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CANNOT_SERVE;
}

static void wait_for(const char *mountpoint, int server_fd)
{
	struct pollfd end = { .fd = server_fd, .events = POLLIN };

	if (poll(&end, 1, WAIT_MS) == 0)
		tell("%s: wait for its caissond: it still ends after %d s, and its BACKING is in "
		     "use until it has",
		     mountpoint, WAIT_MS / 1000);
}

int umount_command(int argc, char **argv)
{
	struct mountinfo mount;
	bool waits = true;
	autofree char **words = calloc((size_t)argc + 3, sizeof(*words));
	autoclose int server_fd = -1;
	int count = 0, code;

	if (!words)
		return EXIT_CANNOT_SERVE;
	words[count++] = "umount";
	words[count++] = "-i"; /* no helper */
	if (geteuid() == 0)
		words[count++] =
			"-c"; /* the path is canonical: umount(8) needn't look at the mount */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-t") == 0) {
			i++; /* the value of -t, which is known */
			continue;
		}
		/*
		 * a detached mount may stay in use for long; one in another namespace can't be seen
		 */
		if (i > 1 && argv[i][0] == '-' && strpbrk(argv[i], "lN"))
			waits = false;
		words[count++] = argv[i];
	}
	if (argc < 2 || argv[1][0] != '/') {
		tell("umount: parse: an absolute MOUNTPOINT is expected; run umount(8)");
		return EXIT_USAGE;
	}
	if (waits)
		server_fd = open_server(argv[1], &mount);
	code = run_umount(words);
	if (code == EXIT_FINE && server_fd >= 0 && !is_connected(&mount))
		wait_for(argv[1], server_fd);
	return code;
}
