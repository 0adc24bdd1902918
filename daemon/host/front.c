/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/front.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit-code.h"
#include "base/procfs.h"

/* Passes SIGNAL on to our children, of which there is one, or two while one succeeds the other. */
static void pass_on(int signal)
{
	char text[256];
	char *at = text, *end;

	/* without CONFIG_PROC_CHILDREN, the successor has to be signalled itself */
	if (procfs_read_text(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text)) < 0)
		return;
	for (;; at = end) {
		pid_t child = (pid_t)strtol(at, &end, 10);

		if (end == at)
			return;
		(void)kill(child, signal); /* not reaped yet, so it is ours */
	}
}

/* Reaps children that have ended. Returns whether there are others. */
static bool reap(int *code)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		*code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CANNOT_SERVE;
	return pid == 0;
}

void front_begin(void)
{
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* can't fail */
}

int front_stay(void)
{
	int code = EXIT_CANNOT_SERVE;
	siginfo_t info;
	sigset_t set;

	(void)munlockall();
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	(void)sigemptyset(&set); /* these can't fail with valid signals */
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	while (reap(&code)) {
		if (sigwaitinfo(&set, &info) < 0 && errno != EINTR)
			break;
		/* what comes from the terminal, all of its processes get */
		if (info.si_signo != SIGCHLD && info.si_code != SI_KERNEL)
			pass_on(info.si_signo);
	}
	return code;
}
