/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The old keeper's half of an upgrade. The successor's is succession.c. */
#include "host/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/fd-marks.h"

/* Longest time for a successor to copy the descriptors while nobody serves, ms. */
#define FETCH_MS 5000

/* Longest wait for the end of a successor that is killed, ms. */
#define END_MS 200

const char *upgrade_outcome_text(uint32_t outcome)
{
	static const char *const texts[UPGRADE_OUTCOMES] = {
		[UPGRADE_NONE] = "",
		[UPGRADE_DONE] = "done",
		[UPGRADE_WENT_BACK] =
			"the new server has failed: the previous version has taken over again",
		[UPGRADE_NO_RECOVERY] = "it needs recovery=on",
		[UPGRADE_NOT_NOW] =
			"the mount is starting, recovering, ending or being upgraded: try again",
		[UPGRADE_NOT_STARTED] = "the installed program can't be executed",
		[UPGRADE_REFUSED] = "the installed version doesn't know an option of this mount",
		[UPGRADE_LAYOUT] = "the installed version has its tables laid out in another way: "
				   "unmount and mount again",
		[UPGRADE_FAILED] = "the installed program has ended before it was ready (see the "
				   "log)",
		[UPGRADE_LATE] = "the installed program wasn't ready in time",
		[UPGRADE_BUSY] = "a thread of the server waits in the kernel (is BACKING frozen?): "
				 "try again",
		[UPGRADE_LOST] = "the server has died meanwhile, and its spare has taken over: try "
				 "again",
	};

	return outcome < UPGRADE_OUTCOMES ? texts[outcome] : "for a reason of a later version";
}

/* What the process between tells. */
struct report {
	int error; /* errno */
	pid_t pid;
};

/* Executes PROGRAM with the descriptor LINK_FD. */
__attribute__((noreturn)) static void execute(const struct upgrade *upgrade, const char *program,
					      int program_fd, int link_fd)
{
	const struct upgrade_message failed = { .word = UPGRADE_GAVE_UP,
						.outcome = UPGRADE_NOT_STARTED };

	/* now, as the execution may take long, and the old server's rings have to end meanwhile */
	fd_close_others(link_fd, program_fd);
	(void)fcntl(link_fd, F_SETFD, 0);
	(void)execve(program, upgrade->argv, environ);
	(void)upgrade_send(link_fd, &failed);
	_exit(EXIT_CANNOT_SERVE);
}

/*
 * Starts PROGRAM as the child of a process that ends at once. So a service manager that adopts
 * orphans is its parent, and follows it when it becomes the main process. Both are forked, as
 * vfork() would wait for the execution.
 */
static int spawn(struct upgrade *upgrade, const char *program, int program_fd, int link_fd)
{
	struct report report = { .error = ECHILD };
	pid_t between;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	between = fork();
	if (between == 0) {
		report.pid = _Fork();
		if (report.pid == 0)
			execute(upgrade, program, program_fd, link_fd);
		report.error = report.pid < 0 ? errno : 0;
		(void)close(fds[0]);
		(void)send(fds[1], &report, sizeof(report), MSG_NOSIGNAL);
		(void)!read(fds[1], &report, 1); /* until its PID can't be another's any more */
		_exit(0);
	}
	close_fd(&fds[1]);
	if (between < 0)
		report.error = errno;
	else
		(void)recv(fds[0], &report, sizeof(report), 0); /* or it has died */
	if (!report.error) {
		upgrade->successor.pid = report.pid;
		upgrade->successor.pidfd = pidfd_open(report.pid, 0);
		if (upgrade->successor.pidfd < 0)
			report.error = errno;
	}
	close_fd(&fds[0]);
	while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	return -report.error;
}

int upgrade_start(struct upgrade *upgrade, const char *program, int program_fd,
		  const struct upgrade_terms *terms)
{
	struct child *successor = &upgrade->successor;
	char word[sizeof(UPGRADE_WORD_SYSLOG) + 12];
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*successor = (struct child){ .pidfd = -1, .fd = fds[0], .far_fd = fds[1] };
	(void)snprintf(word, sizeof(word), "%s%d",
		       upgrade->to_syslog ? UPGRADE_WORD_SYSLOG : UPGRADE_WORD, fds[1]); /* fits */
	upgrade->argv[1] = word;
	r = spawn(upgrade, program, program_fd, fds[1]);
	upgrade->argv[1] = NULL;
	close_fd(&successor->far_fd);
	if (r < 0) {
		upgrade_cancel(upgrade);
		return r;
	}
	/* it copies our descriptors; fails where Yama isn't there to forbid that */
	(void)prctl(PR_SET_PTRACER, (unsigned long)successor->pid, 0, 0, 0);
	/* fails if it has ended: its pidfd tells */
	(void)send(successor->fd, terms, sizeof(*terms), MSG_NOSIGNAL | MSG_DONTWAIT);
	return 0;
}

/* Kills SUCCESSOR, and waits a while for its end. Returns whether it has ended. */
static bool end_successor(const struct child *successor, int ms)
{
	struct pollfd end = { .fd = successor->pidfd, .events = POLLIN };

	return pidfd_send_signal(successor->pidfd, SIGKILL, NULL, 0) < 0 || poll(&end, 1, ms) == 1;
}

void upgrade_cancel(struct upgrade *upgrade)
{
	struct child *successor = &upgrade->successor;

	/*
	 * When it has ended, its copies of descriptors have gone. If it can't, it is still in its
	 * execution, and has none.
	 */
	if (successor->pidfd >= 0)
		(void)end_successor(successor, END_MS);
	/* who isn't ours to reap (front.h) gives an error */
	if (upgrade->unreaped)
		(void)waitpid(upgrade->unreaped, NULL, WNOHANG);
	upgrade->unreaped = 0;
	if (successor->pid && waitpid(successor->pid, NULL, WNOHANG) == 0)
		upgrade->unreaped = successor->pid;
	child_forget(successor);
	close_fd(&upgrade->own_fd);
}

enum upgrade_answer upgrade_inherit(const struct upgrade *upgrade,
				    const struct upgrade_message *inherit)
{
	const struct child *successor = &upgrade->successor;
	struct pollfd link = { .fd = successor->fd, .events = POLLIN };
	struct upgrade_message message;

	if (upgrade_send(successor->fd, inherit) < 0)
		return UPGRADE_ENDED;
	/* not its pidfd: as long as its server lives, that may have been told, and say TAKEN */
	for (int tries = 0; tries < 2; tries++) {
		if (poll(&link, 1, FETCH_MS) == 1)
			return upgrade_receive(successor->fd, &message) &&
					       message.word == UPGRADE_TAKEN
				       ? UPGRADE_HAS_TAKEN
				       : UPGRADE_ENDED;
		(void)end_successor(successor, END_MS);
	}
	return UPGRADE_SILENT;
}

bool upgrade_fetch(const struct upgrade *upgrade)
{
	const struct child *successor = &upgrade->successor;
	struct pollfd fds[] = {
		{ .fd = successor->fd, .events = POLLIN },
		{ .fd = successor->pidfd, .events = POLLIN },
	};
	struct upgrade_message message = { .word = UPGRADE_FETCH };

	if (upgrade_send(successor->fd, &message) < 0)
		return false;
	/* our signals are blocked, so nothing ends this early */
	return poll(fds, 2, FETCH_MS) > 0 && upgrade_receive(successor->fd, &message) &&
	       message.word == UPGRADE_FETCHED;
}

int upgrade_send(int fd, const struct upgrade_message *message)
{
	return send(fd, message, sizeof(*message), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

bool upgrade_receive(int fd, struct upgrade_message *ret_message)
{
	ssize_t n = recv(fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT);

	/* the other half has ended without reading everything: its messages come after the error */
	if (n < 0 && errno == ECONNRESET)
		n = recv(fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT);
	return n == (ssize_t)sizeof(*ret_message);
}
