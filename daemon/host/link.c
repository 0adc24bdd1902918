/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

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

static int tell(const struct keeper_link *link, const struct keeper_message *message)
{
	return send(link->fd, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno
											  : 0;
}

int keeper_ready(const struct keeper_link *link, int arena_fd)
{
	const struct keeper_message message = { .word = KEEPER_LINK_READY, .fd = arena_fd };
	/* an heir has no terminal */
	int r = link->is_heir ? 0 : keeper_become_quiet(link->log, link->daemon);

	/* told even after a failure, as the launcher must not wait for ever */
	int told = tell(link, &message);

	return r ? r : told;
}

bool keeper_wait(const struct keeper_link *link, int32_t word, struct keeper_message *ret_message)
{
	struct pollfd fds[] = {
		{ .fd = link->fd, .events = POLLIN },
		{ .fd = link->keeper_fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue; /* EINTR */
		if (recv(link->fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT) ==
			    (ssize_t)sizeof(*ret_message) &&
		    ret_message->word == word)
			return true;
		if (fds[1].revents)
			return false;
	}
}

bool keeper_wait_for_death(const struct keeper_link *link, struct keeper_message *ret_death)
{
	/* fails if the keeper has died */
	(void)tell(link, &(struct keeper_message){ .word = KEEPER_LINK_PREPARED, .fd = -1 });
	return keeper_wait(link, KEEPER_LINK_INHERIT, ret_death);
}

void keeper_swept(const struct keeper_link *link)
{
	(void)tell(link, &(struct keeper_message){ .word = KEEPER_LINK_SWEPT, .fd = -1 });
}

enum keeper_word keeper_listen(const struct keeper_link *link, struct keeper_message *message)
{
	struct pollfd keeper = { .fd = link->keeper_fd, .events = POLLIN };

	/* the link doesn't tell: its other end is a descriptor of ours, too */
	if (poll(&keeper, 1, 0) == 1)
		return KEEPER_GONE;
	if (recv(link->fd, message, sizeof(*message), MSG_DONTWAIT) != (ssize_t)sizeof(*message))
		return KEEPER_NOTHING;
	if (message->word == KEEPER_LINK_SPARE)
		return KEEPER_SPARE;
	if (message->word == KEEPER_LINK_UPGRADE)
		return KEEPER_UPGRADE;
	return message->word == KEEPER_LINK_STOP ? KEEPER_STOP : KEEPER_NOTHING;
}
