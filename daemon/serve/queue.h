/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue: one thread, one ring, one transport, and the slots that its messages are read into. The
 * loop is: one io_uring_enter() that sends answers, backing I/O and the offer of a free slot, and
 * waits; then whatever came back. Data requests live and end here. Everything that may block in
 * the backing filesystem goes to the metadata workers, copied into one of their own slots so that
 * the queue's go on serving data (S7).
 *
 * Where FUSE-over-io_uring serves, most slots of a queue are entries of the kernel's rings, and
 * stay with a metadata request until it is answered. The worker that has made the answer leaves
 * it in the entry and hands the entry back: the queue's thread sends it, which alone may use the
 * queue's ring.
 *
 * No message is left unread while a thread of ours sleeps that could take it (S7). A thread that
 * was told of one message may have swallowed the wake-up for another (transport-dev.c). It looks at
 * the device again at once, as each offer of a slot begins with a look, and it runs nothing that
 * may block in between (route.h). If it has no slot left to offer, it has a sibling look that has a
 * slot on offer. Its own poll is off the wait queue by then, so what comes later is told to others.
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

#include "serve/affinity.h"
#include "serve/engine.h"
#include "serve/op-io.h"
#include "serve/transport.h"

struct arena;
struct dropper;
struct fs;
struct gate_table;
struct outbox;
struct worker_set;

struct queue {
	uint16_t qid;
	struct engine engine;
	struct affinity affinity;
	struct transport dev;	/* /dev/fuse */
	struct transport uring; /* without ops where it isn't used */
	struct op_io op_io;
	struct outbox *outbox; /* how other threads end its requests; has its free slots */
	const struct arena *arena;
	struct request *requests;
	struct worker_set *workers;
	struct queue *siblings; /* all queues, this one among them */
	uint32_t sibling_count;
	struct dropper *dropper;
	const uint16_t *entries;
	uint32_t entry_count, online_count;
	struct stats_queue *stats;
	uint32_t max_write;

	uint64_t wake_count;   /* what is read of outbox->wake_fd */
	_Atomic bool stopping; /* stop fetching, finish what there is */
	_Atomic bool look;     /* the slot on offer is to be offered anew: a sibling asks */
	bool wake_armed;
	uint32_t parked;	 /* data requests that wait at a gate */
	uint32_t taken;		 /* entries with a request that has no answer yet */
	uint32_t lookup_backoff; /* look-ups to come that aren't tried inline */
	int end_reason;		 /* -errno of the transport's end, 0 while it lives */
	_Atomic int fault;	 /* -errno that ended the loop other than an unmount */
	bool made;
};

struct queue_config {
	uint16_t qid;
	const struct arena *arena;
	struct fs *fs;
	struct outbox *outbox; /* of this queue; queue_init() makes it */
	struct worker_set *workers;
	struct queue *queues; /* all of them, queue_count */
	uint32_t queue_count;
	struct gate_table *gates; /* whose entered() is worker_entered() */
	struct dropper *dropper;
	uint32_t first_slot, depth;
	uint32_t max_write;
	uint32_t iowq_workers;
	struct engine_shared *shared; /* of all queues' engines */
	int session_fd;
	const uint16_t *entries; /* the CPUs of this queue's entries, which are among its slots */
	uint32_t entry_count, online_count; /* the first ones are of CPUs that are online */
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

/* Frees what queue_open() and queue_init() made; the thread has ended or is the caller. */
void queue_destroy(struct queue *queue);

#endif
