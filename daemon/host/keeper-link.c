/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's end of the link to its keeper. */
#include "host/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Lets go of the launcher's terminal, but for standard error if the log goes there. */
static int detach_stdio(enum log_target log)
{
	autoclose int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int last = log == LOG_TARGET_STDERR ? STDOUT_FILENO : STDERR_FILENO;

	if (null_fd < 0)
		return -errno;
	for (int fd = STDIN_FILENO; fd <= last; fd++) {
		if (dup2(null_fd, fd) < 0)
			return -errno;
	}
	return 0;
}

int keeper_become_quiet(enum log_target log, bool daemon)
{
	int r = log_retarget(log);

	return !r && daemon ? detach_stdio(log) : r;
}

int keeper_ready(const struct keeper_link *link)
{
	char word = KEEPER_LINK_READY;
	int r = keeper_become_quiet(link->log, link->daemon);

	/* told even after a failure, as the launcher must not wait for ever */
	if (send(link->fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && !r)
		r = -errno;
	return r;
}

enum keeper_word keeper_listen(const struct keeper_link *link)
{
	char word;
	ssize_t n = recv(link->fd, &word, 1, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		return KEEPER_GONE;
	return n == 1 && word == KEEPER_LINK_STOP ? KEEPER_STOP : KEEPER_NOTHING;
}
