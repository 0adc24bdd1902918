/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/aside.h"

#include <signal.h>

#define STACK_LEN ((size_t)64 << 10)

int aside_start(pthread_t *ret_thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	int r = -pthread_attr_init(&attributes);

	if (r < 0)
		return r;
	(void)pthread_attr_setstacksize(&attributes, STACK_LEN);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(ret_thread, &attributes, run, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attributes);
	return r;
}

int aside_init(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;
	int r = -pthread_mutex_init(mutex, NULL);

	if (r < 0)
		return r;
	/* none of these can fail on Linux */
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	return 0;
}

struct timespec aside_end(int64_t ms)
{
	struct timespec end;

	(void)clock_gettime(CLOCK_MONOTONIC, &end); /* can't fail for this clock */
	end.tv_sec += ms / 1000;
	end.tv_nsec += ms % 1000 * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	return end;
}

int aside_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *end)
{
	return -pthread_cond_timedwait(condition, mutex, end);
}
