/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that read what may hang, for one that must not: it waits for them for a limited time. */
#ifndef CAISSON_ASIDE_H
#define CAISSON_ASIDE_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Starts a thread. It gets no signals: those are for the thread that waits. Returns 0 or -errno. */
int aside_start(pthread_t *ret_thread, void *(*run)(void *), void *arg);

/* Makes a mutex, and a condition for aside_wait(). Returns 0 or -errno. */
int aside_init(pthread_mutex_t *mutex, pthread_cond_t *condition);

/* The time in MS milliseconds. */
struct timespec aside_end(int64_t ms);

/* Waits as pthread_cond_wait() does, but until END. Returns 0 or -ETIMEDOUT. */
int aside_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *end);

#endif
