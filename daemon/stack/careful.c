/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/careful.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define CAREFUL_MS 1000

int careful_run(const struct system *system, careful_fn *fn, const void *arg,
		struct careful *careful)
{
	autoclose int read_fd = -1, write_fd = -1;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	*careful = (struct careful){ .child = fork() };
	if (careful->child < 0)
		return -errno;
	if (careful->child == 0) {
		fn(system, arg, write_fd);
		_exit(0);
	}
	careful->lines.fd = steal_fd(&read_fd);
	careful->lines.end_ms = clock_ms() + CAREFUL_MS;
	return 0;
}

/* Copies the file ARG, with newlines for NULs. */
static void copy(const struct system *system, const void *arg, int out_fd)
{
	const char *path = arg;
	autoclose int fd = system_openat(system, path, O_RDONLY);
	char text[4096];
	ssize_t len;

	while (fd >= 0 && (len = read(fd, text, sizeof(text))) > 0) {
		for (ssize_t i = 0; i < len; i++) {
			if (!text[i])
				text[i] = '\n';
		}
		if (write(out_fd, text, (size_t)len) != len)
			break;
	}
}

int careful_open(const struct system *system, const char *path, struct careful *careful)
{
	return careful_run(system, copy, path, careful);
}

int careful_close(struct careful *careful)
{
	bool is_late = careful->lines.is_late;

	system_lines_close(&careful->lines);
	(void)kill(careful->child, SIGKILL);
	(void)waitpid(careful->child, NULL, is_late ? WNOHANG : 0);
	return is_late ? -ETIMEDOUT : 0;
}
