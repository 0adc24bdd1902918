/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds threads of the server that hang (hang_timeout=): they have begun with a request and don't
 * move on, though they run outside of the kernel, wait for another thread (futex(2)), or are held
 * by a debugger. A thread in any other system call is left alone: it waits for the backing store or
 * works there, and so would another server, and for this thread to end.
 */
#ifndef CAISSON_HANG_H
#define CAISSON_HANG_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/* The most threads that are looked at, queues and workers. */
#define HANG_THREADS 128

struct hang {
	uint32_t limit; /* looks in a row that find no change; 0: nothing is looked for */
	struct {
		uint64_t moves; /* at the last look */
		uint32_t still; /* looks in a row without a change */
		uint64_t ticks; /* of CPU time outside of the kernel, when it was found running */
	} threads[HANG_THREADS];
};

/*
 * Looks at all threads of SERVER, once a second. Returns whether one hangs, which is logged. The
 * main thread. Allocates nothing.
 */
bool hang_look(struct hang *hang, const struct server *server, const char *mountpoint);

#endif
