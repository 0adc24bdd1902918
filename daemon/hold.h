/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a metadata worker holds of the kernel's rings where FUSE-over-io_uring serves: one entry
 * (transport-uring.c), on a small ring of its own.
 *
 * An entry whose request a queue has lent to a worker can be answered by that worker, whose ring then
 * has the entry: the next request that the kernel puts into it comes straight there. The kernel fills
 * the entry that was committed last, so that a client which asks for one name after another talks to
 * one worker, and its requests don't pass through a queue's thread on the way in or on the way out. And
 * the worker follows that client to the entry's CPU (follow.h).
 *
 * S7: a worker runs a handler, which may block, only while the entry that it holds has that very request:
 * nothing else can be put into it, so nothing waits behind the handler. What comes by it and isn't for
 * workers, data above all, goes to the entry's queue at once, which has the entry from then on. Some
 * workers never hold any: the inbox is theirs.
 *
 * All calls but hold_stop() are those of the worker's thread.
 */
#ifndef CAISSON_HOLD_H
#define CAISSON_HOLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "follow.h"
#include "stats.h"
#include "transport.h"

struct arena;
struct fuse_out_header;
struct queue;
struct request;

/* What the holds of a process have in common. */
struct hold_shared {
	const struct arena *arena;
	struct queue *queues;
	uint32_t queue_count;
	struct engine_shared *engines;
	uint64_t poll_ns; /* as an engine's */
	int session_fd;
	uint32_t max;	       /* that may hold an entry at the same time */
	_Atomic uint32_t held; /* … and do */
	int stop_fd;	       /* eventfd: readable from hold_stop() on */
	_Atomic int fault;     /* -errno of a ring that failed, which has ended the queues; or 0 */
};

struct hold {
	struct hold_shared *shared; /* NULL: it can hold nothing */
	struct engine engine;
	struct transport uring;
	struct stats_queue stats; /* the engine's and the transport's */
	struct follow follow;
	bool counted; /* in shared->held */
	bool arrived; /* a request is in the entry */
	bool stop_armed;
	bool stopping;
	struct request *request; /* the entry; or NULL */
};

/* Before the threads: makes stop_fd; the rest of SHARED is the caller's. Returns 0 or -errno. */
int hold_shared_init(struct hold_shared *shared);
void hold_shared_destroy(struct hold_shared *shared);

/* While what is mapped can still be locked: makes the ring. Returns 0 or -errno, as engine_init() does. */
int hold_open(struct hold *hold, struct hold_shared *shared);

/* When the thread has its final capabilities, before the seal. Returns 0 or -errno. */
int hold_start(struct hold *hold);

/* The thread has ended, or is the caller. Also of one that was never opened. */
void hold_destroy(struct hold *hold);

/*
 * Before the handler of REQUEST (state RUN, of an entry): whether this worker is to answer it by
 * hold_answer(). It is where it holds the entry, or nothing while there is room for one more that does;
 * it follows the client to the entry's CPU then.
 */
bool hold_take(struct hold *hold, const struct request *request);

/* Sends OUT and the body behind it to REQUEST (state REPLY), by the next hold_wait(): the entry is held. */
void hold_answer(struct hold *hold, struct request *request, const struct fuse_out_header *out);

/*
 * Waits for the next request of the entry that is held. Returns it, in state RUN: the caller runs it and
 * answers it by hold_answer(), or calls hold_give_back(). Or returns NULL: nothing is held any more.
 */
struct request *hold_wait(struct hold *hold);

/* Gives the entry that is held, and its request, to its queue. */
void hold_give_back(struct hold *hold);

/* Lets all come back from hold_wait() without an entry, now and ever after. Any thread. */
void hold_stop(struct hold_shared *shared);

#endif
