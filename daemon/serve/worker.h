/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata workers: a fixed set of threads that run the handlers which may block in the backing
 * filesystem. Their inbox has room for every request that exists, so handing one over can't fail
 * and never waits.
 *
 * The inbox is a bounded ring without a lock. Each cell carries the turn at which it may be written
 * or read (after Dmitry Vyukov's bounded MPMC queue). A semaphore counts the requests in it, and
 * idle workers sleep on that. An eventfd would wake all sleeping workers for each request
 * (eventfd_read() in fs/eventfd.c).
 *
 * A change of the backing filesystem may wait for long: for a journal, or until the filesystem is
 * thawed. So some workers never make changes, and a request that only looks always finds one of
 * these (S7). A worker that takes a change from the inbox puts it into a second one, `changes`. If
 * not too many workers make changes, it then makes those that are in there, in their order. A
 * worker that stops making changes looks into `changes` once more after it has said so. So a worker
 * that put a change there, and found too many at it, can rely on them.
 *
 * Some changes have to enter a gate (gate.h). The worker itself waits for that, as it would wait
 * for the inode's lock, until direct writes that are under way are complete. So a request that is
 * in a gate has a thread, or its I/O is under way. None waits for a worker.
 *
 * If a handler meets a lease, it returns CALL_WAITS. Its request is put aside in a third inbox
 * until the main thread has it tried again (lease-wait.h).
 *
 * Queue threads run handlers that wait for nothing themselves (route.h).
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

/* Counters of one worker. Its own thread writes, any reads. */
struct worker_stats {
	_Atomic uint64_t calls, errors, lost;
	_Atomic uint32_t has; /* row of the request that the worker has; POOL_NONE: none */
} __attribute__((aligned(64)));

struct worker_set {
	const struct arena *arena;
	struct fs *fs;
	struct gate_table *gates;
	struct dropper *dropper;
	struct outbox *outboxes; /* one a queue: answers go through these */
	struct request *requests;
	struct pool slots;	     /* the free metadata slots */
	struct worker_inbox inbox;   /* all that was submitted */
	struct worker_inbox changes; /* changes that a worker has found in the inbox */
	struct worker_inbox aside;   /* requests that wait for a lease */
	struct lease_wait leases;
	uint64_t cell_mask;
	uint32_t changing_max;	   /* workers that may make changes at the same time */
	bool notes_progress;	   /* see worker_config */
	_Atomic uint32_t changing; /* workers that make changes now */
	uint32_t count;
	sem_t work;		    /* requests in the inbox, and a unit for each worker's end */
	_Atomic bool stopping;	    /* no request is put aside any more */
	sem_t *entered;		    /* one a worker: its request has entered the gate */
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
	bool notes_progress; /* recovery=on: requests note what was done of them (progress.h) */
	/*
	 * another process may use the slots and inboxes: worker_empty_inboxes() is due when it has
	 * died, and all slots are in use
	 */
	bool inherits;
};

/*
 * Payload of a metadata slot, bytes. All messages fit but long symlinks, xattr values and lists of
 * forgets.
 */
#define WORKER_MESSAGE_LEN PAGE_BYTES

/* Cells of all inboxes for a total of REQUESTS slots; bytes of one worker's buffers. */
uint64_t worker_cells(uint32_t requests);
uint64_t worker_buffer_len(void);

/* Before the threads exist. Returns 0 or -errno. */
int worker_init(struct worker_set *set, const struct worker_config *config);
void worker_destroy(struct worker_set *set);
void worker_empty_inboxes(struct worker_set *set);

/*
 * Copies the message of REQUEST (state RUN) into a free metadata slot. Returns that slot, in state
 * RUN, or NULL if the message doesn't fit or no slot is free. Any thread, no lock.
 */
struct request *worker_adopt(struct worker_set *set, const struct request *request);

/*
 * The gates' entered(), with the set as ARG: REQUEST has entered its gate. The worker that waits
 * with it, or else its queue, goes on with it. Doesn't block. Any thread.
 */
void worker_entered(void *arg, struct request *request);

/*
 * The dropper's dropped(), with the set as ARG: sends the answer that stands in the buffer of
 * REQUEST (state REPLY). Doesn't block. Any thread.
 */
void worker_dropped(void *arg, struct request *request);

/* Puts REQUEST (state RUN) into the inbox. Can't fail. Any thread, no lock. */
void worker_submit(struct worker_set *set, struct request *request);

/*
 * Runs the handler of REQUEST (state RUN, a data slot of queue QID), parsed as CALL, on that
 * queue's thread, if it has nothing to wait for. Returns whether it did; then *RET_ERROR is the
 * error for the reply, or 0, and *RET_BODY_LEN the bytes of its body, which is where
 * request_reply() wants it. The reply is the caller's. The opcode is one whose handler knows
 * call->nonblocking.
 */
bool worker_run_inline(struct worker_set *set, uint32_t qid, struct request *request,
		       const struct call *call, int *ret_error, uint32_t *ret_body_len);

/*
 * Has the requests tried again that have waited for a lease the longest. To be called when
 * set->leases.timer_fd is readable. Doesn't block. The main thread.
 */
void worker_retry(struct worker_set *set);

/* The client of the request with that number has got a signal. Any thread, no lock. */
void worker_interrupt(struct worker_set *set, uint64_t unique);

/* The body of worker thread NUMBER: returns after worker_stop(), when the inbox is empty. */
void worker_run(struct worker_set *set, uint32_t number);

/*
 * No more requests will be submitted. Every worker returns when all requests are answered. Those
 * that wait for a lease are answered with -EINTR. The main thread.
 */
void worker_stop(struct worker_set *set);

/*
 * From now on no request waits for a lease. Those that wait already are tried once more, and each
 * that meets a lease is answered with -EINTR. The main thread.
 */
void worker_stop_waiting(struct worker_set *set);

#endif
