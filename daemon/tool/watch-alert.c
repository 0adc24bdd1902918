/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/watch-alert.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

#define REPORT_SIZE 16384

/* In a child: runs COMMAND with TEXT as standard input, which a pipe has room for. */
static void execute(const char *command, const char *text, size_t len)
{
	sigset_t none;
	int fds[2];

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], text, len) != (ssize_t)len ||
	    dup2(fds[0], STDIN_FILENO) < 0)
		_exit(127);
	(void)close(fds[1]);
	(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* In a child: a command for each report, until there are no more. */
static void run_commands(int fd, const char *command)
{
	const int own = STDERR_FILENO + 1;
	char text[REPORT_SIZE];
	ssize_t len;

	/* not what the watch has open, or else another such process would never see its end */
	if (dup2(fd, own) < 0 || fcntl(own, F_SETFD, FD_CLOEXEC) < 0)
		_exit(127);
	(void)close_range((unsigned)own + 1, ~0U, 0);
	fd = own;
	while ((len = recv(fd, text, sizeof(text), 0)) > 0) {
		pid_t pid = command ? fork() : -1;

		if (!command && write(STDOUT_FILENO, text, (size_t)len) != len)
			break;
		if (pid == 0)
			execute(command, text, (size_t)len);
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	_exit(0);
}

int alert_start(struct alert *alert, const char *command)
{
	autoclose int ours = -1, theirs = -1;
	int fds[2];

	*alert = (struct alert){ .fd = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	alert->child = fork();
	if (alert->child < 0)
		return -errno;
	if (alert->child == 0)
		run_commands(theirs, command);
	alert->fd = steal_fd(&ours);
	return 0;
}

void alert_send(const struct alert *alert, const char *text)
{
	size_t len = strlen(text);

	if (alert->fd >= 0)
		(void)send(alert->fd, text, MIN(len, (size_t)REPORT_SIZE),
			   MSG_DONTWAIT | MSG_NOSIGNAL);
}

void alert_stop(struct alert *alert)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (alert->fd < 0)
		return;
	close_fd(&alert->fd);
	for (unsigned i = 0; i < 100; i++) {
		if (waitpid(alert->child, NULL, WNOHANG) != 0)
			return;
		(void)nanosleep(&pause, NULL);
	}
}
