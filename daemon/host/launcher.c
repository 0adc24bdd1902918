/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/fd-marks.h"
#include "base/log.h"
#include "base/macro.h"

/*
 * Waits for the exit code from FD, or the death of the process behind KEEPER_FD. If that dies, the
 * server may still have the other end of FD.
 */
static int wait_for_code(int fd, int keeper_fd)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = keeper_fd, .events = POLLIN },
	};
	char byte;

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	/* once more: it may have written the code just before it ended */
	if (poll(fds, 1, 0) == 1 && (fds[0].revents & POLLIN) && read(fd, &byte, 1) == 1)
		return byte;
	log_fail("keeper: start: it died");
	return EXIT_CANNOT_SERVE;
}

int launcher_fork(int *ret_fd, int *ret_code)
{
	autoclose int read_fd = -1, write_fd = -1, keeper_fd = -1;
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
		keeper_fd = pidfd_open(pid, 0);
		/* it must not keep anything that the daemon lets go of */
		fd_close_others(read_fd, keeper_fd);
		*ret_code = wait_for_code(read_fd, keeper_fd);
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
