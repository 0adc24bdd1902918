/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The old keeper's half of an upgrade. The successor's is succession.c. */
#include "host/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Longest time for a successor to copy the descriptors while nobody serves, ms. */
#define FETCH_MS 5000

/* Longest time for a server to stop, ms, and how often to look. */
#define STOP_MS	     1000
#define STOP_LOOK_NS 500000

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

/* Executes PROGRAM with the descriptor LINK_FD, and no other but the standard ones. */
static int spawn(struct upgrade *upgrade, const char *program, int link_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	char word[sizeof(UPGRADE_WORD) + 12];
	int error;

	(void)snprintf(word, sizeof(word), UPGRADE_WORD "%d", link_fd); /* fits */
	error = posix_spawn_file_actions_init(&actions);
	if (error)
		return -error;
	/* the same number: this clears FD_CLOEXEC in the child */
	error = posix_spawn_file_actions_adddup2(&actions, link_fd, link_fd);
	if (!error) {
		upgrade->argv[1] = word;
		error = posix_spawn(ret_pid, program, &actions, NULL, upgrade->argv, environ);
		upgrade->argv[1] = NULL;
	}
	(void)posix_spawn_file_actions_destroy(&actions); /* can't fail */
	return -error;
}

int upgrade_start(struct upgrade *upgrade, const char *program, const struct upgrade_terms *terms)
{
	struct child *successor = &upgrade->successor;
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*successor = (struct child){ .pidfd = -1, .fd = fds[0], .far_fd = fds[1] };
	r = spawn(upgrade, program, fds[1], &successor->pid);
	close_fd(&successor->far_fd);
	if (r < 0) {
		successor->pid = 0;
		goto fail;
	}
	successor->pidfd = pidfd_open(successor->pid, 0);
	if (successor->pidfd < 0) {
		r = -errno;
		goto fail;
	}
	/* it copies our descriptors; fails where Yama isn't there to forbid that */
	(void)prctl(PR_SET_PTRACER, (unsigned long)successor->pid, 0, 0, 0);
	/* fails if it has ended: its pidfd tells */
	(void)send(successor->fd, terms, sizeof(*terms), MSG_NOSIGNAL | MSG_DONTWAIT);
	return 0;
fail:
	upgrade_cancel(upgrade);
	return r;
}

void upgrade_cancel(struct upgrade *upgrade)
{
	if (upgrade->successor.pid) {
		(void)kill(upgrade->successor.pid, SIGKILL); /* our child, not reaped yet */
		while (waitpid(upgrade->successor.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	child_forget(&upgrade->successor);
	close_fd(&upgrade->own_fd);
}

enum upgrade_outcome upgrade_judge(const struct upgrade *upgrade)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)upgrade->successor.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	    info.si_pid == 0 || info.si_code != CLD_EXITED)
		return UPGRADE_FAILED;
	switch (info.si_status) {
	case UPGRADE_EXIT_OPTIONS:
		return UPGRADE_REFUSED;
	case UPGRADE_EXIT_LAYOUT:
		return UPGRADE_LAYOUT;
	default:
		return UPGRADE_FAILED;
	}
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
	return recv(fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT) ==
	       (ssize_t)sizeof(*ret_message);
}

bool upgrade_stop(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = STOP_LOOK_NS };

	(void)kill(pid, SIGSTOP); /* our child, not reaped yet */
	for (int look = 0; look < STOP_MS * (1000000 / STOP_LOOK_NS); look++) {
		siginfo_t info = { 0 };

		/* tells it when all threads have stopped; or it has died, which is as good */
		if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == pid)
			return true;
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(pid, SIGCONT);
	return false;
}
