/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's end of the link to its keeper. */
#include "host/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

int keeper_ready(const struct keeper_link *link, int arena_fd)
{
	const struct keeper_message message = { .word = KEEPER_LINK_READY, .fd = arena_fd };
	/* an heir has no terminal */
	int r = link->is_heir ? 0 : keeper_become_quiet(link->log, link->daemon);

	/* told even after a failure, as the launcher must not wait for ever */
	if (send(link->fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && !r)
		r = -errno;
	return r;
}

void keeper_swept(const struct keeper_link *link)
{
	const struct keeper_message message = { .word = KEEPER_LINK_SWEPT, .fd = -1 };

	/* fails if the keeper has died */
	(void)send(link->fd, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

enum keeper_word keeper_listen(const struct keeper_link *link)
{
	struct pollfd keeper = { .fd = link->keeper_fd, .events = POLLIN };
	struct keeper_message message;

	/* the link doesn't tell: its other end is a descriptor of ours, too */
	if (poll(&keeper, 1, 0) == 1)
		return KEEPER_GONE;
	if (recv(link->fd, &message, sizeof(message), MSG_DONTWAIT) != (ssize_t)sizeof(message))
		return KEEPER_NOTHING;
	return message.word == KEEPER_LINK_STOP ? KEEPER_STOP : KEEPER_NOTHING;
}
