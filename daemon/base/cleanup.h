/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cleanup attributes release a short-lived resource at the end of its scope. A resource that has to
 * outlive the scope is taken out of the variable: `*ret_fd = steal_fd(&fd);`.
 */
#ifndef CAISSON_CLEANUP_H
#define CAISSON_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes *FD unless it is negative, and sets it to -1. Keeps errno. */
static inline void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* errors of writes were reported by fsync() */
	*fd = -1;
	errno = saved;
}

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void free_pointer(void *pointer)
{
	int saved = errno;

	free(*(void **)pointer);
	errno = saved;
}

#define autoclose __attribute__((cleanup(close_fd)))
#define autofree  __attribute__((cleanup(free_pointer))) /* before the seal only */

#endif
