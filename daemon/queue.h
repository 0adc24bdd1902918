/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue: one thread, one ring, one transport, and the slots that its messages are read into. The
 * loop is: one io_uring_enter() that sends answers, backing I/O and the offer of a free slot, and
 * waits; then whatever came back. Data requests live and end here. Everything that may block in
 * the backing filesystem goes to the metadata workers, copied into one of their own slots so that
 * the queue's go on serving data (S7).
 *
 * A data request needs nothing but the slot that it arrived in. When no slot is free the queue
 * doesn't fetch: requests wait in the kernel, where they hold nothing of ours (S6).
 */
#ifndef CAISSON_QUEUE_H
#define CAISSON_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "op-io.h"
#include "pool.h"
#include "transport.h"

struct arena;
struct fs;
struct worker_set;

struct queue {
	uint16_t qid;
	struct engine engine;
	struct transport transport;
	struct op_io op_io;
	struct pool slots; /* taken by the queue, put back by it and by workers */
	const struct arena *arena;
	struct request *requests;
	struct worker_set *workers;
	struct stats_queue *stats;
	uint32_t max_write;

	int wake_fd;	       /* eventfd; written to by other threads, see queue_wake() */
	uint64_t wake_count;   /* its read buffer */
	_Atomic bool starved;  /* no slot was free to offer: whoever frees one wakes us */
	_Atomic bool stopping; /* stop fetching, finish what there is */
	bool wake_armed;
	uint32_t replies;  /* sent, not completed */
	int end_reason;	   /* -errno of the transport's end, 0 while it lives */
	_Atomic int fault; /* -errno that ended the loop other than an unmount */
	bool made;
};

struct queue_config {
	uint16_t qid;
	const struct arena *arena;
	struct fs *fs;
	struct worker_set *workers;
	uint32_t first_slot, depth;
	uint32_t max_write;
	uint32_t iowq_workers;
	int session_fd;
};

/* Before its thread exists. Returns 0 or -errno. */
int queue_init(struct queue *queue, const struct queue_config *config);

/*
 * On the queue's own thread, before the seal: makes its ring and its clone of the device.
 * Returns 0 or -errno.
 */
int queue_open(struct queue *queue, const struct queue_config *config);

/*
 * Serves until the connection ends or queue_stop(), and until everything taken in is answered.
 * Returns 0, or -errno where the device or the ring failed.
 */
int queue_run(struct queue *queue);

/* Stop fetching, finish what there is, return from queue_run(). Any thread. */
void queue_stop(struct queue *queue);

/*
 * A worker is through with data slot INDEX of this queue (a message too long for a metadata
 * slot). The request is in state FREE. Any thread.
 */
void queue_put_slot(struct queue *queue, uint32_t index);

/* Frees what queue_open() and queue_init() made; the thread has ended or is the caller. */
void queue_destroy(struct queue *queue);

#endif
