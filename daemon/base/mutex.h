/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wrappers for mutexes. We use mutexes correctly, so an error from them is a bug of ours. */
#ifndef CAISSON_MUTEX_H
#define CAISSON_MUTEX_H

#include <assert.h>
#include <pthread.h>

static inline void mutex_lock(pthread_mutex_t *mutex)
{
	int r = pthread_mutex_lock(mutex);

	assert(r == 0);
	(void)r;
}

static inline void mutex_unlock(pthread_mutex_t *mutex)
{
	int r = pthread_mutex_unlock(mutex);

	assert(r == 0);
	(void)r;
}

#endif
