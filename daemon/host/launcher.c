/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/log.h"

/* Waits for the exit code from FD. */
static int wait_for_code(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return byte;
	log_fail("keeper: start: it died");
	return EXIT_CANNOT_SERVE;
}

int launcher_fork(int *ret_fd, int *ret_code)
{
	autoclose int read_fd = -1, write_fd = -1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	(void)fflush(NULL); /* or both would write what is buffered */
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close_fd(&write_fd); /* or the end of all others wouldn't show */
		*ret_code = wait_for_code(read_fd);
		return 1;
	}
	(void)setsid(); /* a forked child leads no group yet: can't fail */
	*ret_fd = steal_fd(&write_fd);
	return 0;
}

void launcher_tell(int *fd, int code)
{
	char byte = (char)code;

	if (*fd >= 0)
		(void)!write(*fd, &byte, 1); /* it may have been killed */
	close_fd(fd);
}
