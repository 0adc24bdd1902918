/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mutexes, which are used such that locking and unlocking them can't fail. */
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
