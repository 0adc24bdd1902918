/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata workers: a fixed set of threads that run the handlers which may block in the
 * backing filesystem. Their inbox takes the index of every request that there is, so handing one
 * over can't fail and never waits.
 *
 * A queue hands over without a lock: the inbox is a bounded ring in which each cell carries the
 * turn at which it may be written or read (after Dmitry Vyukov's bounded MPMC queue), and a
 * semaphore that counts what is in it puts idle workers to sleep. It isn't an eventfd, as all
 * who wait for one in read(2) are woken for each request (eventfd_read() in fs/eventfd.c).
 *
 * A change of the backing filesystem may have to wait for long: for a journal, or until the
 * filesystem is thawed. So some workers never make any, and whoever only looks finds one of these
 * (S7). A worker puts each change that it takes from the inbox into a second one, and then makes
 * those that are there, in their order, if not too many others do so already. One that stops
 * making changes looks once more after it has said so: whoever put a change there before that,
 * and found too many at it, relies on it.
 *
 * Some changes have to enter a gate (gate.h). The worker waits for that itself: for direct writes
 * that are under way, as it would for the inode's lock. So a gate is never held by a request that
 * waits for a worker, and data doesn't wait for one.
 *
 * A handler that meets a lease returns CALL_WAITS, and its request is put aside in a third inbox,
 * until the main thread gives it back to the first: see lease-wait.h.
 *
 * A queue's thread runs handlers that wait for nothing itself: see route.h.
 */
#ifndef CAISSON_WORKER_H
#define CAISSON_WORKER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "serve/lease-wait.h"

struct arena;
struct call;
struct ring_layout;
struct dropper;
struct fs;
struct gate_table;
struct outbox;
struct request;

/* Lives in the arena. */
struct worker_cell {
	_Atomic uint64_t turn;
	uint32_t index;
};

struct worker_inbox {
	struct worker_cell *cells;
	_Atomic uint64_t head, tail;
};

/* What one worker counts: its own thread writes, anyone reads. */
struct worker_stats {
	_Atomic uint64_t calls, errors, lost;
} __attribute__((aligned(64)));

struct worker_set {
	const struct arena *arena;
	struct fs *fs;
	struct gate_table *gates;
	struct dropper *dropper;
	struct outbox *outboxes; /* of the queues: the answers go through these */
	struct request *requests;
	struct pool slots;	     /* the metadata slots */
	struct worker_inbox inbox;   /* whatever was submitted */
	struct worker_inbox changes; /* what a worker has found to wait its turn */
	struct worker_inbox aside;   /* what waits for a lease */
	struct lease_wait leases;
	uint64_t cell_mask;
	uint32_t changing_max;	   /* workers that may make changes at the same time */
	_Atomic uint32_t changing; /* … and do */
	uint32_t count;
	sem_t work;		    /* requests in the inbox, and ends to come */
	_Atomic bool stopping;	    /* nobody is put aside any more, ends will come */
	sem_t *entered;		    /* of each worker: the request that it waits with may go on */
	struct worker_stats *stats; /* one a worker, then one a queue */
};

struct worker_config {
	const struct arena *arena;
	struct fs *fs;
	struct gate_table *gates;
	struct dropper *dropper;
	struct outbox *outboxes; /* queue_count */
	uint32_t count, queue_count;
	uint32_t first_slot, slots;	  /* metadata slots in ARENA_REQUESTS */
	const struct ring_layout *layout; /* of ring entries, or NULL */
};

/*
 * A metadata slot's payload, bytes: any message but a long symlink, xattr value or list of forgets,
 * for which the data slot goes along.
 */
#define WORKER_MESSAGE_LEN PAGE_BYTES

/* Cells of the inboxes for REQUESTS slots in all; bytes of one worker's buffers. */
uint64_t worker_cells(uint32_t requests);
uint64_t worker_buffer_len(void);

/* Before the threads exist. Returns 0 or -errno. */
int worker_init(struct worker_set *set, const struct worker_config *config);
void worker_destroy(struct worker_set *set);

/*
 * Copies the message of REQUEST (state RUN) into a free metadata slot, which is then in state RUN:
 * returned; or NULL where it doesn't fit or none is free. Any thread, no lock.
 */
struct request *worker_adopt(struct worker_set *set, const struct request *request);

/*
 * REQUEST has entered its gate: the worker of the set ARG that waits with it, or its queue, goes on
 * with it. The gate_table's entered(). Doesn't block. Any thread.
 */
void worker_entered(void *arg, struct request *request);

/*
 * Sends the answer that stands in the buffer of REQUEST (state REPLY), of any kind, by the set ARG:
 * dropper.h's dropped(). Doesn't block. Any thread.
 */
void worker_dropped(void *arg, struct request *request);

/* Puts REQUEST (state RUN) into the inbox. Any thread; can't fail, takes no lock. */
void worker_submit(struct worker_set *set, struct request *request);

/*
 * Runs the handler of REQUEST (state RUN, a data slot of queue QID), parsed as CALL, on that
 * queue's thread, if it has nothing to wait for. Returns whether it did; then *RET_ERROR is the
 * error for the reply, or 0, and *RET_BODY_LEN the bytes of its body, which is in the request's
 * payload. The reply is the caller's. The opcode is one whose handler knows call->nonblocking.
 */
bool worker_run_inline(struct worker_set *set, uint32_t qid, struct request *request,
		       const struct call *call, int *ret_error, uint32_t *ret_body_len);

/*
 * Has those tried again who have been put aside the longest. To be called when
 * set->leases.timer_fd is readable. Doesn't block. The main thread.
 */
void worker_retry(struct worker_set *set);

/* A client whose request has that number has got a signal. Any thread, no lock. */
void worker_interrupt(struct worker_set *set, uint64_t unique);

/* The body of worker thread number NUMBER: returns after worker_stop() when the inbox is empty. */
void worker_run(struct worker_set *set, uint32_t number);

/*
 * No more requests will be submitted: lets every worker return once all are answered, those that
 * have been put aside with -EINTR. The main thread.
 */
void worker_stop(struct worker_set *set);

/*
 * From now on nobody waits for a lease: who meets one is answered with EINTR, and so is who waits
 * already, unless it has ended. The main thread.
 */
void worker_stop_waiting(struct worker_set *set);

#endif
