/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's threads, all but its main one. Each makes itself ready while everything may still
 * fail: it populates its stack, does what needs the process's capabilities, drops them, and does
 * what must come after that. Then all wait at a gate until the mount may go live.
 *
 *   threads_init(), threads_start() for each role, threads_wait_ready()    may fail
 *   threads_let_go() or threads_give_up()                                  they run, or return
 *   threads_join() for each role, threads_destroy()
 *
 * All calls are made by one thread, the main one.
 */
#ifndef CAISSON_THREADS_H
#define CAISSON_THREADS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ACT on thread NUMBER returns 0 or -errno; the log says that ACTION failed. */
struct thread_step {
	const char *action;
	int (*act)(void *arg, uint32_t number);
};

/* Constant. Threads of one role are numbered from 0. */
struct thread_role {
	const char *name;	   /* at most 11 bytes: a thread is called NAME-NUMBER */
	struct thread_step before; /* with the process's capabilities; may have no act */
	struct thread_step after;  /* without them; may have no act */
	void (*run)(void *arg, uint32_t number); /* its life behind the gate */
};

struct thread;

struct threads {
	void *arg; /* of all roles */
	struct thread *all;
	uint32_t count, room; /* made; for how many */
	atomic_flag told;     /* a thread's failure has been logged */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint32_t ready;							 /* guard: mutex */
	enum { THREADS_WAITING, THREADS_LET_GO, THREADS_GIVEN_UP } gate; /* guard: mutex */
};

/* Makes room for ROOM threads, whose roles get ARG. Returns 0 or -ENOMEM. */
int threads_init(struct threads *threads, uint32_t room, void *arg);

/* Starts COUNT threads with ROLE. Returns 0 or -errno, logged. */
int threads_start(struct threads *threads, const struct thread_role *role, uint32_t count);

/*
 * Waits until each thread that was started is ready or has failed. Returns 0, or the -errno of the
 * first one that failed; one of them has logged it.
 */
int threads_wait_ready(struct threads *threads);

/* Lets all threads run. After threads_wait_ready() has returned 0. */
void threads_let_go(struct threads *threads);

/* Lets all threads that wait, or come to wait, return. Nothing after threads_let_go(). */
void threads_give_up(struct threads *threads);

/* Waits for the threads with ROLE to return, once each. */
void threads_join(struct threads *threads, const struct thread_role *role);

/* Frees what threads_init() made, if anything. All threads have been joined. */
void threads_destroy(struct threads *threads);

#endif
