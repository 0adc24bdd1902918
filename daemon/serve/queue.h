/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A queue: one thread, one ring, its transports, and the slots that its messages are read into. In
 * each turn of its loop, one io_uring_enter() sends answers, backing I/O and the offer of a free
 * slot, and waits; then the completions are handled. Data requests begin and end here. What may
 * block in the backing filesystem goes to the metadata workers (route.h).
 *
 * With FUSE-over-io_uring, most slots of a queue are ring entries. An entry stays with a metadata
 * request until it is answered, by the queue's thread (outbox.h).
 *
 * No message is left unread while a thread of ours sleeps that could take it (S7). A thread that
 * was told of one message may have swallowed the wake-up for another (transport-dev.c). It looks at
 * the device again at once, as each offer of a slot begins with a look, and it runs nothing that
 * may block in between (route.h). If it has no slot left to offer, it has a sibling look that has a
 * slot on offer. Its own poll is off the wait queue by then, so what comes later is told to others.
 *
 * A data request needs only the slot that it arrived in. If no slot is free, the queue doesn't
 * fetch. Requests then wait in the kernel, where they hold nothing of ours (S6).
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
struct fd_marks;
struct fs;
struct gate_table;
struct handover_queue;
struct outbox;
struct worker_set;

struct queue {
	uint16_t qid;
	struct engine engine;
	struct affinity affinity;
	struct transport dev;	/* /dev/fuse */
	struct transport uring; /* unused if entry_count is 0 */
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
	uint32_t first_slot, depth;
	struct stats_queue *stats;
	uint32_t max_write;

	uint64_t wake_count;   /* what is read of outbox->wake_fd */
	_Atomic bool stopping; /* stop fetching, finish what there is */
	_Atomic bool look;     /* a sibling asks this queue to offer its slot again */
	bool wake_armed;
	uint32_t parked;	 /* data requests parked at a gate or in a sync-group */
	uint32_t taken;		 /* entries whose request has no answer yet */
	uint32_t lookup_backoff; /* look-ups to come that aren't tried inline */
	int end_reason;		 /* -errno with which the transport ended, 0 before */
	_Atomic int fault;	 /* -errno that ended the loop, other than an unmount */
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
	struct engine_shared *shared; /* of all queues' engines */
	int session_fd;
	const uint16_t *entries; /* CPU of each entry; the entries are among the DEPTH slots */
	uint32_t entry_count;
	uint32_t online_count; /* entries, from the first on, whose CPUs are online */
	/* recovery=on: where its descriptors are noted; or NULL */
	struct handover_queue *handover;
	bool inherits; /* its slots and descriptors are those of a process that has died */
};

/*
 * Called before the queue's thread exists. If config->inherits, all slots are in use: see
 * takeover_requests(). Returns 0 or -errno.
 */
int queue_init(struct queue *queue, const struct queue_config *config);

/*
 * Makes the queue's ring and its clone of the device, on the queue's own thread, before the seal.
 * Returns 0 or -errno.
 */
int queue_open(struct queue *queue, const struct queue_config *config);

/*
 * Serves until the connection ends or queue_stop() is called, and then until every request that it
 * has read is answered. Returns 0, or -errno if the device or the ring failed.
 */
int queue_run(struct queue *queue);

/* Has the queue stop fetching, finish its requests and return from queue_run(). Any thread. */
void queue_stop(struct queue *queue);

/* Has one of COUNT QUEUES look at the device, if a message waits there. Any thread. */
void queue_look(struct queue *queues, uint32_t count);

/* Marks the queue's descriptors. The thread waits, or is the caller. */
void queue_mark_fds(const struct queue *queue, struct fd_marks *marks);

/* Frees what queue_init() and queue_open() made. The thread has ended, or is the caller. */
void queue_destroy(struct queue *queue);

#endif
