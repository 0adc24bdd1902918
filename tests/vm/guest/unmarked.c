/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into caissond by the case unmarked-alarm: a thread in the server process that takes
 * the IO_FLUSHER mark off itself, as a library that meddles would, or a worker that was made too
 * early. It is started when the server locks its memory, so it still has the capability that
 * clearing takes; capabilities are each thread's own, and the daemon dropping its own later doesn't
 * touch it. The keeper locks its memory, too: it is the process that has made the link.
 *
 * UNMARK_WHEN names a file: the thread waits until it is there. Unset: nothing is done.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static const char *unmark_when;
static pid_t keeper;

static void *unmark(void *unused)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	(void)unused;
	(void)prctl(PR_SET_NAME, "meddler", 0, 0, 0);
	while (access(unmark_when, F_OK) != 0)
		(void)nanosleep(&nap, NULL);
	if (prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0) != 0)
		abort();
	for (;;)
		(void)pause();
	return NULL;
}

static void start(void)
{
	sigset_t all, before;
	pthread_t thread;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, NULL, unmark, NULL) != 0)
		abort();
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	keeper = getpid();
	return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
}

int mlockall(int flags)
{
	unmark_when = getenv("UNMARK_WHEN");
	if (unmark_when && keeper && getpid() != keeper)
		start();
	return (int)syscall(SYS_mlockall, flags);
}
