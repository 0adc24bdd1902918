/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into caissond by the case unmarked-alarm: a thread in the server process that takes
 * the IO_FLUSHER mark off itself, as a library that meddles would, or a worker that was made too
 * early. It is started in the child of the keeper's fork(), so it still has the capability that
 * clearing takes; capabilities are each thread's own, and the daemon dropping its own later doesn't
 * touch it.
 *
 * UNMARK_WHEN names a file: the thread waits until it is there. Unset: nothing is done.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static const char *unmark_when;

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

static void in_child(void)
{
	sigset_t all, before;
	pthread_t thread;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, NULL, unmark, NULL) != 0)
		abort();
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void start(void)
{
	unmark_when = getenv("UNMARK_WHEN");
	if (unmark_when && pthread_atfork(NULL, NULL, in_child) != 0)
		abort();
}
