/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crew: all threads of the server but its main one. Each makes itself ready, while everything
 * may still fail: populates its stack, does what needs the process's capabilities, drops them, and
 * does what must come after that. Then all wait at a gate until the mount may go live.
 *
 *   crew_init(), crew_start() a role at a time, crew_wait_ready()    may fail
 *   crew_let_go() or crew_give_up()                                  the gate opens: run, or return
 *   crew_join() a role at a time, crew_destroy()
 *
 * All of it by one thread, the main one. The crew outlives its threads.
 */
#ifndef CAISSON_CREW_H
#define CAISSON_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* ACT on thread NUMBER returns 0 or -errno; the log says that ACTION failed. */
struct crew_step {
	const char *action;
	int (*act)(void *arg, uint32_t number);
};

/* Constant. Threads of one role are numbered from 0. */
struct crew_role {
	const char *name;	 /* at most 11 bytes: a thread is called NAME-NUMBER */
	struct crew_step before; /* with the process's capabilities; may have no act */
	struct crew_step after;	 /* without them; may have no act */
	void (*run)(void *arg, uint32_t number); /* its life behind the gate */
};

struct crew_thread;

struct crew {
	void *arg; /* of all roles */
	struct crew_thread *threads;
	uint32_t count, room; /* made; for how many */
	atomic_flag told;     /* a thread's failure has been logged */

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint32_t ready;						/* guard: mutex */
	enum { CREW_WAITING, CREW_LET_GO, CREW_GIVEN_UP } gate; /* guard: mutex */
};

/* Makes room for ROOM threads, whose roles get ARG. Returns 0 or -ENOMEM. */
int crew_init(struct crew *crew, uint32_t room, void *arg);

/* Starts COUNT threads with ROLE. Returns 0 or -errno, logged. */
int crew_start(struct crew *crew, const struct crew_role *role, uint32_t count);

/*
 * Waits until each thread that was started is ready or has failed. Returns 0, or the -errno of the
 * first one that failed; one of them has logged it.
 */
int crew_wait_ready(struct crew *crew);

/* Lets all threads run. After crew_wait_ready() has returned 0. */
void crew_let_go(struct crew *crew);

/* Lets all threads that wait, or come to wait, return. Nothing after crew_let_go(). */
void crew_give_up(struct crew *crew);

/* Waits for the threads with ROLE to return, once each. */
void crew_join(struct crew *crew, const struct crew_role *role);

/* Frees what crew_init() made, if anything. All threads have been joined. */
void crew_destroy(struct crew *crew);

#endif
