/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An outbox: how threads other than a queue's own end the requests that came by that queue. Each
 * queue has one. A metadata worker, or the dropper, that has made an answer uses it in one of two
 * ways:
 *
 *   - It writes the answer to /dev/fuse itself, which any thread may do.
 *   - A ring entry can only be answered by the queue's thread, which alone may use the queue's
 *     ring. So the answer is left in the entry, the entry is put into the list `returned`, and
 *     the queue's thread is woken.
 *
 * Requests that have entered their gate come back to the queue in the same list.
 *
 * Wake-ups: the queue's thread sleeps in the kernel with a read of wake_fd under way. Whoever puts
 * the first request into the empty list writes to wake_fd, and the queue takes the whole list at
 * each turn. Whoever frees a slot while `starved` is set writes, too. The queue sets `starved`
 * before it looks at the pool for the last time, so either it finds the slot or it is woken.
 */
#ifndef CAISSON_OUTBOX_H
#define CAISSON_OUTBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"

struct arena;
struct request;
struct transport;

struct outbox {
	const struct arena *arena;
	struct request *requests;
	struct transport *dev; /* the queue's clone of /dev/fuse */
	struct pool slots;     /* the queue's free slots: only its own thread takes from it */
	int wake_fd;	       /* eventfd that the queue's thread reads */
	_Atomic bool starved;  /* the queue has found no free slot: whoever frees one wakes it */
	_Atomic uint32_t returned; /* first request of the list that goes back to the queue */
} __attribute__((aligned(64)));

/*
 * For the DEPTH slots from FIRST_SLOT on, which are all in use; the caller puts the free ones, the
 * highest first. Before any thread uses it. Returns 0 or -errno.
 * outbox_destroy() does nothing to one that is all zero.
 */
int outbox_init(struct outbox *outbox, const struct arena *arena, struct transport *dev,
		uint32_t first_slot, uint32_t depth);
void outbox_destroy(struct outbox *outbox);

/* Has the queue's thread take a turn. Any thread, doesn't block. */
void outbox_wake(struct outbox *outbox);

/*
 * Sends the answer of REQUEST, which came by this queue and is in state REPLY. Doesn't block.
 * Returns 0 or -errno (-ENOENT: no longer wanted). Takes the request: a data slot is free then, and
 * an entry goes back to its queue. A metadata slot stays the caller's. Any thread.
 */
int outbox_answer(struct outbox *outbox, struct request *request);

/* Ends REQUEST, a data slot of this queue, without an answer. Doesn't block. Any thread. */
void outbox_drop(struct outbox *outbox, struct request *request);

/* Gives REQUEST back to the queue's thread, which takes what comes in any order. Any thread. */
void outbox_return(struct outbox *outbox, struct request *request);

#endif
