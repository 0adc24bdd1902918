/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/child.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"

/* Adds FD to the descriptors in LINK that are the keeper's. */
static void note_fd(struct keeper_link *link, int fd)
{
	for (size_t i = 0; i < KEEPER_FDS; i++) {
		if (link->fds[i] < 0) {
			link->fds[i] = fd;
			return;
		}
	}
	abort(); /* KEEPER_FDS is too small */
}

/*
 * fork(), but with one table of descriptors for parent and child. The C library has no call for
 * that. It doesn't run its handlers, so no other thread may be in the library: the log's isn't
 * (log_before_clone()).
 */
static pid_t fork_with_files(int *ret_pidfd)
{
	(void)fflush(NULL); /* or both would write what is buffered */
	log_before_clone();
	/* not clone3(), which some sandboxes refuse. s390 has the first two in the other order */
	return (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD | SIGCHLD, NULL, ret_pidfd, NULL,
			      NULL);
}

/* Waits for the first message, in the child. It brings the number of its pidfd. */
static bool await_begin(struct keeper_link *link)
{
	struct keeper_message message;

	if (!keeper_wait(link, KEEPER_LINK_BEGIN, &message))
		return false;
	note_fd(link, message.fd);
	return true;
}

/* Runs the server, in the child. */
__attribute__((noreturn)) static void be_server(const struct child_config *config,
						struct keeper_link *link)
{
	int log[LOG_FDS];

	log_fds(log); /* the keeper's */
	log_after_clone(true);
	for (size_t i = 0; i < LOG_FDS; i++)
		note_fd(link, log[i]);
	if (!await_begin(link))
		exit(EXIT_CANNOT_SERVE); /* the keeper has died */
	exit(config->serve(config->arg, link));
}

int child_start(struct child *child, const struct child_config *config)
{
	struct keeper_link link = {
		.keeper = getpid(),
		.keeper_fd = config->keeper_fd,
		.daemon = config->daemon,
		.log = config->log,
		.is_heir = config->arena_fd >= 0,
		.is_successor = config->is_successor,
		.arena_fd = config->arena_fd,
	};
	int fds[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*child = (struct child){ .pidfd = -1, .fd = fds[0], .far_fd = fds[1] };
	link.fd = child->far_fd;
	memset(link.fds, 0xff, sizeof(link.fds)); /* -1 */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		note_fd(&link, fd);
	note_fd(&link, config->keeper_fd);
	note_fd(&link, child->fd);
	note_fd(&link, child->far_fd);
	for (size_t i = 0; i < ARRAY_SIZE(config->fds); i++)
		note_fd(&link, config->fds[i]);

	child->pid = fork_with_files(&child->pidfd);
	error = errno;
	if (child->pid == 0)
		be_server(config, &link);
	log_after_clone(false);
	if (child->pid < 0) {
		child_forget(child);
		return -error;
	}
	/* which the child couldn't see yet */
	return child_tell(
		child, &(struct keeper_message){ .word = KEEPER_LINK_BEGIN, .fd = child->pidfd });
}

int child_tell(const struct child *child, const struct keeper_message *message)
{
	return send(child->fd, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno
											   : 0;
}

bool child_hear(const struct child *child, struct keeper_message *ret_message)
{
	return recv(child->fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT) ==
	       (ssize_t)sizeof(*ret_message);
}

void child_forget(struct child *child)
{
	close_fd(&child->pidfd);
	close_fd(&child->fd);
	close_fd(&child->far_fd);
	child->pid = 0;
}
