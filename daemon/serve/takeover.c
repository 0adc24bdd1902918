/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/takeover.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/pool.h"
#include "handlers/dispatch.h"
#include "serve/dropper.h"
#include "serve/engine.h"
#include "serve/op-io.h"
#include "serve/outbox.h"
#include "serve/request.h"
#include "serve/transport.h"
#include "serve/worker.h"

/* How often to look for results in a ring. */
#define LOOK_NS 200000

/*
 * Whether the I/O of slots FIRST to FIRST + COUNT - 1 is over, as RING has it. Notes the errors of
 * syncs, and what was done whole: if that were done again, deaths that come faster than a sync
 * takes would hold it up for ever.
 */
static bool are_over(const struct arena *arena, const struct io_uring *ring, uint32_t first,
		     uint32_t count)
{
	struct request *requests = arena_table(arena, ARENA_REQUESTS);
	const struct io *ios = arena_table(arena, ARENA_IOS);
	struct engine_rest rest;
	bool are_all = true;

	for (uint32_t i = first; i < first + count; i++) {
		if (request_state(&requests[i]) != REQUEST_IO)
			continue;
		are_all &= engine_is_over(ring, &ios[i], i, &rest);
		if (rest.sync_error)
			requests[i].sync_error = rest.sync_error;
		requests[i].is_whole |= rest.is_whole;
	}
	return are_all;
}

/* Waits for the results in the dead server's RING, until END_MS. Returns whether all came. */
static bool harvest(const struct arena *arena, const struct io_uring *ring, uint32_t first,
		    uint32_t count, int64_t end_ms)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	while (!are_over(arena, ring, first, count)) {
		if (clock_ms() >= end_ms)
			return false;
		(void)nanosleep(&pause, NULL); /* or less, by a signal */
	}
	return true;
}

/*
 * Frees the slots of which the kernel has taken the answer. The dead server didn't come to look at
 * its completion: a queue that has nothing else to do doesn't (queue.c).
 */
static void free_answered(const struct arena *arena, const struct io_uring *ring, uint32_t first,
			  uint32_t count)
{
	struct request *requests = arena_table(arena, ARENA_REQUESTS);

	for (uint32_t i = first; i < first + count; i++) {
		if (request_state(&requests[i]) == REQUEST_REPLY && engine_is_answered(ring, i))
			request_inherit(&requests[i], REQUEST_FREE);
	}
	KILL_FENCE();
}

/* Waits until FD hangs up, or until END_MS. It never becomes readable: nobody writes to it. */
static int await_sentinel(int fd, int64_t end_ms)
{
	struct pollfd sentinel = { .fd = fd };

	for (;;) {
		int64_t left = end_ms - clock_ms();
		int n = poll(&sentinel, 1, left > 0 ? (int)left : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			return sentinel.revents & POLLHUP ? 0 : -EBADF;
		if (n == 0 && left <= 0)
			return -ETIMEDOUT;
	}
}

/* Notes that all I/O of the slots is over: their tickets are of a ring that is let go of. */
static void void_tickets(const struct arena *arena, uint32_t first, uint32_t count)
{
	struct io *ios = arena_table(arena, ARENA_IOS);

	for (uint32_t i = first; i < first + count; i++)
		ios[i].ticket = 0;
	KILL_FENCE();
}

/* A sync in these slots that has no result counts as failed: nobody knows how it has ended. */
static void fail_syncs(const struct arena *arena, uint32_t first, uint32_t count)
{
	struct request *requests = arena_table(arena, ARENA_REQUESTS);
	const struct io *ios = arena_table(arena, ARENA_IOS);

	for (uint32_t i = first; i < first + count; i++) {
		bool is_known = requests[i].is_whole || requests[i].sync_error;

		if (request_state(&requests[i]) == REQUEST_IO && engine_is_sync(&ios[i]) &&
		    !is_known)
			requests[i].sync_error = -EIO;
	}
	KILL_FENCE();
}

/*
 * Ends what is left on RING, whose I/O is over: polls, which would swallow wake-ups until the
 * kernel is rid of the ring. Fails before Linux 6.0.
 */
static void cancel_all(struct io_uring *ring)
{
	struct io_uring_sync_cancel_reg all = {
		.fd = -1,
		.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
		.timeout = { -1, -1 },
	};

	(void)io_uring_register_sync_cancel(ring, &all);
}

/* Waits for results in QUEUE's ring, which is mapped as RING unless that is NULL; lets go of it. */
static void end_ring(const struct arena *arena, struct handover_queue *queue, struct io_uring *ring,
		     uint32_t first, uint32_t count, int64_t end_ms)
{
	bool is_over = ring && harvest(arena, ring, first, count, end_ms);
	int fd = queue->ring_fd;

	if (ring)
		free_answered(arena, ring, first, count);
	if (is_over) {
		cancel_all(ring);
		void_tickets(arena, first, count);
	} else {
		fail_syncs(arena, first, count);
	}
	queue->ring_fd = is_over ? HANDOVER_OVER : HANDOVER_CLOSED;
	KILL_FENCE(); /* first, as its number may be used again before another heir looks */
	if (ring)
		io_uring_queue_exit(ring);
	else
		close_fd(&fd);
}

void takeover_map(struct takeover_rings *rings, const struct handover *handover, uint32_t count)
{
	for (uint32_t qid = 0; qid < count; qid++) {
		struct io_uring_params params = handover->queue[qid].params;
		int fd = handover->queue[qid].ring_fd;

		rings->is_mapped[qid] = fd >= 0 &&
					io_uring_queue_mmap(fd, &params, &rings->ring[qid]) == 0;
	}
}

int takeover_await(const struct arena *arena, struct handover *handover,
		   struct takeover_rings *rings, uint32_t qid, uint32_t first, uint32_t count,
		   int64_t end_ms)
{
	struct io_uring *ring = rings->is_mapped[qid] ? &rings->ring[qid] : NULL;
	struct handover_queue *queue = &handover->queue[qid];
	int64_t now = clock_ms();
	int r;

	/* half of the time is for the sentinel */
	if (queue->ring_fd >= 0)
		end_ring(arena, queue, ring, first, count, now + (end_ms - now) / 2);
	if (queue->ring_fd == HANDOVER_OVER)
		return 0;
	r = await_sentinel(queue->sentinel_fd, end_ms);
	if (r == 0) {
		void_tickets(arena, first, count);
		queue->ring_fd = HANDOVER_OVER;
	}
	return r;
}

static struct request *row(const struct takeover *takeover, uint32_t index)
{
	return (struct request *)arena_table(takeover->arena, ARENA_REQUESTS) + index;
}

static void free_slot(const struct takeover *takeover, struct request *request)
{
	request_inherit(request, REQUEST_FREE);
	request->inherited = false;
	if (request->meta)
		pool_put(&takeover->workers->slots, request->index);
	else
		pool_put(&takeover->outboxes[request->qid].slots, request->index);
}

/* Completes the row of a request that was just being received, of which the message is whole. */
static void complete(const struct takeover *takeover, struct request *request)
{
	const struct fuse_in_header *in = request_message(takeover->arena, request);

	request->unique = in->unique;
	request->opcode = in->opcode;
	request->msg_len = in->len;
}

/* Whether a message was read into REQUEST, which was on offer. */
static bool is_taken(const struct takeover *takeover, const struct request *request)
{
	const struct fuse_in_header *in = request_message(takeover->arena, request);

	return in->len >= sizeof(*in) && in->len <= request_message_cap(request);
}

/*
 * Whether REQUEST's message was being copied to a metadata slot, which has all of it. Only one of
 * the two may be answered.
 */
static bool is_moved(const struct takeover *takeover, const struct request *request)
{
	for (uint32_t i = 0; i < takeover->meta_slots; i++) {
		const struct request *meta = row(takeover, takeover->queue_slots + i);

		if (request_state(meta) != REQUEST_FREE && meta->unique == request->unique)
			return true;
	}
	return false;
}

static void send_reply(struct takeover *takeover, struct request *request)
{
	/* ENOENT: the client has had it, or gave up */
	(void)transport_dev_answer(takeover->outboxes[request->qid].dev,
				   request_the_reply(takeover->arena, request), request->reply_len);
	free_slot(takeover, request);
}

/* REQUEST has its answer. */
static void resend(struct takeover *takeover, struct request *request)
{
	takeover->handover->resent++;
	if (request->drops) {
		/* the dead server's counts are void (inode_table_attach()) */
		request->drop.by_writer = request->drop.counted = false;
		request_copy_reply(takeover->arena, request);
		if (dropper_put(takeover->dropper, request))
			return;
	}
	send_reply(takeover, request);
}

/* At REQUEST, as many servers have failed as may. Its thread answers it with EIO. */
static void refuse(struct takeover *takeover, const struct request *request)
{
	const struct fuse_in_header *in = request_message(takeover->arena, request);

	log_fail("%s of node %#llx (request %llu): serve: %u servers have failed while they did: "
		 "answered with EIO",
		 dispatch_entry(request->opcode)->name, (unsigned long long)in->nodeid,
		 (unsigned long long)request->unique, request->deaths);
	takeover->handover->refused++;
}

/* REQUEST has no answer yet. IS_RUN: a thread had it. */
static void inherit(struct takeover *takeover, struct request *request, bool is_run)
{
	request->in_gate = false;
	request->waits = false;
	request->drops = false;
	request->worker = POOL_NONE;
	if (takeover->failed && is_run && request->begun && ++request->deaths == REQUEST_DEATHS_MAX)
		refuse(takeover, request);
	request->begun = false;
	if (request->is_whole)
		takeover->handover->resent++;
	else
		takeover->handover->redone++;
	request_inherit(request, REQUEST_RUN);
	request->inherited = true;
	if (request->meta)
		worker_submit(takeover->workers, request);
}

/* Tells the inode of the error of REQUEST's sync, if it has failed. */
static void record_error(const struct takeover *takeover, struct request *request)
{
	enum request_state state = request_state(request);

	if ((state == REQUEST_IO || state == REQUEST_RUN) && request->sync_error)
		op_io_record_error(takeover->workers->fs, request,
				   request_message(takeover->arena, request));
}

static void take_over(struct takeover *takeover, struct request *request)
{
	enum request_state state = request_state(request);

	switch (state) {
	case REQUEST_FREE:
	case REQUEST_STATES:
		free_slot(takeover, request);
		return;
	case REQUEST_REPLY:
		resend(takeover, request);
		return;
	case REQUEST_FETCH:
		if (!is_taken(takeover, request)) {
			free_slot(takeover, request);
			return;
		}
		break;
	case REQUEST_RUN:
	case REQUEST_GATE:
	case REQUEST_IO:
	case REQUEST_QUEUED:
		break;
	}
	complete(takeover, request);
	if (!request->meta && is_moved(takeover, request))
		free_slot(takeover, request);
	else
		inherit(takeover, request, state == REQUEST_RUN);
}

void takeover_requests(struct takeover *takeover)
{
	/* before any sync is answered: it may have ended well after another one has failed (S11) */
	for (uint32_t i = 0; i < takeover->queue_slots; i++)
		record_error(takeover, row(takeover, i));
	/* the highest first, for the pools; and the data slots before the metadata slots, as these
	 * may be freed */
	for (uint32_t i = takeover->queue_slots; i-- > 0;)
		take_over(takeover, row(takeover, i));
	for (uint32_t i = takeover->meta_slots; i-- > 0;)
		take_over(takeover, row(takeover, takeover->queue_slots + i));
}
