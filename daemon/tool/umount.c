/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/umount.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
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

/* A server ends within milliseconds, unless BACKING itself doesn't answer. */
#define WAIT_MS 10000

/* A pidfd of the server of MOUNTPOINT; -1 where there is none to be waited for. */
static int open_server(const char *mountpoint)
{
	struct mountinfo mount;
	pid_t server;

	if (mountinfo_find(mountpoint, &mount) < 0 || control_find_server(&mount, &server) < 0 ||
	    server <= 0)
		return -1;
	return (int)syscall(SYS_pidfd_open, server, 0);
}

/* umount(8) with ARGV and without us. Returns an exit code; what is wrong has been told. */
static int run_umount(char **argv)
{
	int status, r = posix_spawn(&(pid_t){ 0 }, "/bin/umount", NULL, NULL, argv, environ);

	if (r) {
		tell("/bin/umount: execute: %s", strerror(r));
		return EXIT_CANNOT_SERVE;
	}
	while (wait(&status) < 0 && errno == EINTR)
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
	const char *mountpoint = NULL;
	bool lazy = false;
	autofree char **words = calloc((size_t)argc + 2, sizeof(*words));
	autoclose int server_fd = -1;
	int count = 0, code;

	if (!words)
		return EXIT_CANNOT_SERVE;
	words[count++] = "umount";
	words[count++] = "-i"; /* no helper */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-t") == 0) {
			i++; /* its value, which we know */
			continue;
		}
		if (argv[i][0] == '/')
			mountpoint = argv[i];
		lazy |= argv[i][0] == '-' && strchr(argv[i], 'l');
		words[count++] = argv[i];
	}
	if (!mountpoint) {
		tell("umount: parse: an absolute MOUNTPOINT is expected; run umount(8)");
		return EXIT_USAGE;
	}
	/* a mount that is detached may be used for long */
	if (!lazy)
		server_fd = open_server(mountpoint);
	code = run_umount(words);
	if (code == EXIT_FINE && server_fd >= 0)
		wait_for(mountpoint, server_fd);
	return code;
}
