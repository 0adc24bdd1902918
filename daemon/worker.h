/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata workers: a fixed set of threads that run the handlers which may block in the
 * backing filesystem. Their inbox takes the index of every request that there is, so handing one
 * over can't fail and never waits.
 *
 * A queue hands over without a lock: the inbox is a bounded ring in which each cell carries the
 * turn at which it may be written or read (after Dmitry Vyukov's bounded MPMC queue), and an
 * eventfd that counts what is in it puts idle workers to sleep.
 *
 * A process has one set: call_park() and call_answer() of call.h are about its requests.
 */
#ifndef CAISSON_WORKER_H
#define CAISSON_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool.h"

struct arena;
struct fs;
struct queue;
struct request;

/* Lives in the arena. */
struct worker_cell {
	_Atomic uint64_t turn;
	uint32_t index;
};

/* What one worker counts: its own thread writes, anyone reads. */
struct worker_stats {
	_Atomic uint64_t calls, errors, lost;
} __attribute__((aligned(64)));

struct worker_set {
	const struct arena *arena;
	struct fs *fs;
	struct queue *queues; /* whose transports the answers go through */
	struct request *requests;
	struct pool slots; /* the metadata slots */
	struct worker_cell *cells;
	uint64_t cell_mask;
	_Atomic uint64_t head, tail;
	uint32_t count;
	uint32_t max_write;
	int work_fd; /* eventfd semaphore: requests in the inbox, and ends to come */
	_Atomic bool stopping;
	struct worker_stats *stats; /* one a worker */
};

struct worker_config {
	const struct arena *arena;
	struct fs *fs;
	struct queue *queues;
	uint32_t count;
	uint32_t first_slot, slots; /* metadata slots in ARENA_REQUESTS */
	uint32_t max_write;
};

/*
 * A metadata slot's payload, bytes: any message but a long symlink, xattr value or list of forgets,
 * for which the data slot goes along.
 */
#define WORKER_MESSAGE_LEN PAGE_BYTES

/* Bytes of the inbox for REQUESTS slots in all, and of one worker's buffers. */
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

/* Puts REQUEST (state RUN) into the inbox. Any thread; can't fail, takes no lock. */
void worker_submit(struct worker_set *set, struct request *request);

/* The body of worker thread number NUMBER: returns after worker_stop() when the inbox is empty. */
void worker_run(struct worker_set *set, uint32_t number);

/* No more requests will be submitted: lets every worker return once all are answered. */
void worker_stop(struct worker_set *set);

#endif
