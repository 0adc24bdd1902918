/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/fd-marks.h"
#include "base/macro.h"
#include "base/stats.h"
#include "handlers/dispatch.h"
#include "handlers/op-meta.h"
#include "serve/dropper.h"
#include "serve/gate.h"
#include "serve/outbox.h"
#include "serve/request.h"
#include "serve/route.h"
#include "serve/takeover.h"
#include "serve/worker.h"
#include "store/fs.h"

/* Submissions besides the transports' and the ios': a read of the eventfd, two cancellations. */
#define OWN_SUBMISSIONS 3

/*
 * Most io-wq workers of a queue, which do what can't be done without waiting. A write to a frozen
 * filesystem, or any io to one that doesn't answer, keeps its worker. So that no read waits behind
 * it (S7), each io can have a worker of its own. Idle workers end after five seconds.
 */
#define IOWQ_WORKERS_MAX 64u

/* Look-ups that workers get untried after one that had to wait: a vain try costs some µs. */
#define LOOKUP_BACKOFF 16

/* Submits a read of the eventfd, which completes when another thread wakes this one. */
static void arm_wake(struct queue *queue)
{
	struct io_uring_sqe *sqe = engine_sqe(&queue->engine, ENGINE_WAKE, 0);

	io_uring_prep_read(sqe, queue->outbox->wake_fd, &queue->wake_count,
			   sizeof(queue->wake_count), 0);
	queue->wake_armed = true;
}

/*
 * This queue has no slot to offer, and may have swallowed the wake-up for a message. A sibling that
 * has a slot on offer is to look at the device. If none has one, the next offer is also a look.
 */
static void have_sibling_look(struct queue *queue)
{
	queue_look(queue->siblings, queue->sibling_count);
}

void queue_look(struct queue *queues, uint32_t count)
{
	if (transport_dev_is_drained(&queues->dev))
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct queue *queue = &queues[i];

		if (atomic_load(&queue->dev.armed) && !atomic_exchange(&queue->look, true)) {
			outbox_wake(queue->outbox);
			return;
		}
	}
}

/* Takes the slot on offer back if a sibling has asked for a look: offer() then looks. */
static void look_again(struct queue *queue)
{
	if (atomic_exchange(&queue->look, false))
		transport_dev_cancel(&queue->dev); /* does nothing if none is on offer */
}

/* Offers a slot to the transport, unless there is none or the queue is to end. */
static void offer(struct queue *queue)
{
	struct outbox *outbox = queue->outbox;
	bool was_starved = atomic_load(&outbox->starved);
	uint32_t index;

	if (queue->dev.armed || queue->dev.ended || atomic_load(&queue->stopping))
		return;
	index = pool_take(&outbox->slots);
	if (index == POOL_NONE) {
		stat_add(&queue->stats->starved, 1);
		atomic_store(&outbox->starved, true);
		/* once more: one may have been freed before `starved` was set */
		index = pool_take(&outbox->slots);
		if (index == POOL_NONE) {
			if (!was_starved)
				have_sibling_look(queue);
			return;
		}
	}
	atomic_store(&outbox->starved, false);
	transport_dev_fetch(&queue->dev, &queue->requests[index]);
}

/* Sends the answer that stands in REQUEST's own buffer. */
static void send_reply(struct queue *queue, struct request *request)
{
	if (request->entry) {
		queue->taken--;
		transport_uring_reply(&queue->uring, request);
	} else {
		transport_dev_reply(&queue->dev, request);
	}
}

static void reply(struct queue *queue, struct request *request, int error, uint32_t body_len)
{
	(void)request_reply(queue->arena, request, error, body_len); /* the transport finds it */
	if (request->drops && dropper_put(queue->dropper, request))
		return; /* comes back, or is answered, by outbox_answer() */

	/* an heir that answers it again has nothing to drop */
	request->drops = false;
	send_reply(queue, request);
}

/* Ends REQUEST without an answer. */
static void drop(struct queue *queue, struct request *request)
{
	request_move(request, REQUEST_FREE);
	pool_put(&queue->outbox->slots, request->index);
}

static void refuse(struct queue *queue, struct request *request, int error)
{
	/* these two are a client's doing, not the kernel's */
	if (error != -ENOSYS && error != -ENAMETOOLONG)
		stat_add(&queue->stats->protocol_errors, 1);
	if (dispatch_entry(request->opcode)->no_reply && !request->entry)
		drop(queue, request);
	else
		reply(queue, request, error, 0);
}

/* Goes on with REQUEST as R says, the result of op_io_start(), op_io_resume() or op_io_finish(). */
static void started(struct queue *queue, struct request *request, int r, uint32_t body_len)
{
	switch (r) {
	case OP_IO_STARTED:
		return;
	case OP_IO_PARKED:
		queue->parked++; /* comes back by outbox_return() */
		return;
	case OP_IO_WORKER:
		request->changes = true;
		worker_submit(queue->workers, request); /* answered by outbox_answer() */
		return;
	}
	stat_add(&queue->stats->errors, r != 0);
	reply(queue, request, r, body_len);
}

static void start_data(struct queue *queue, struct request *request, const struct call *call)
{
	uint32_t body_len;
	int r;

	if (request->deaths >= REQUEST_DEATHS_MAX) {
		reply(queue, request, -EIO, 0);
		return;
	}
	if (request->entry && engine_is_idle(&queue->engine))
		affinity_lone(&queue->affinity, request->cpu);
	else
		affinity_many(&queue->affinity);
	r = op_io_start(&queue->op_io, request, call, &body_len);
	started(queue, request, r, body_len);
}

/* ROUTE_WORKER: see route.h for where the message is meanwhile. */
static void hand_over(struct queue *queue, struct request *request)
{
	/* what was noted of an inherited one lies in its own slot */
	bool stays = request->entry || request->inherited;
	struct request *moved = stays ? NULL : worker_adopt(queue->workers, request);

	if (moved) {
		drop(queue, request);
		request = moved;
	}
	worker_submit(queue->workers, request);
}

/* Whether an answer, or a buffer of ours, still depends on this queue. */
static bool busy(const struct queue *queue)
{
	/* without a connection nobody waits for answers that workers still have to make */
	bool awaited = queue->taken && !queue->dev.ended;

	return queue->engine.in_flight || queue->dev.replies || queue->dev.armed || queue->parked ||
	       awaited;
}

/* Runs the handler of REQUEST on this thread, unless it would have to wait: whether it did. */
static bool run_inline(struct queue *queue, struct request *request, const struct call *call)
{
	uint32_t body_len;
	int error;

	if (!worker_run_inline(queue->workers, queue->qid, request, call, &error, &body_len)) {
		if (request->opcode == FUSE_LOOKUP)
			queue->lookup_backoff = LOOKUP_BACKOFF;
		return false;
	}
	stat_add(&queue->stats->ran_inline, 1);
	reply(queue, request, error, body_len);
	return true;
}

/* Whether REQUEST is a look-up that isn't to be tried inline. */
static bool backs_off(struct queue *queue, const struct request *request)
{
	if (request->opcode != FUSE_LOOKUP || !queue->lookup_backoff)
		return false;
	queue->lookup_backoff--;
	return true;
}

/* The kernel's own messages, behind which there is no work. */
static void answer_at_once(struct queue *queue, struct request *request, const struct call *call)
{
	const struct fuse_interrupt_in *interrupt = call->arg;

	switch (request->opcode) {
	case FUSE_INTERRUPT:
		worker_interrupt(queue->workers, interrupt->unique);
		drop(queue, request);
		break;
	case FUSE_DESTROY:
		reply(queue, request, 0, 0);
		break;
	case FUSE_INIT: /* comes once, before any queue runs */
		reply(queue, request, -EIO, 0);
		break;
	default:
		assert(false); /* dispatch_parse() refuses opcodes that aren't served */
	}
}

static void received(void *arg, struct request *request)
{
	struct queue *queue = arg;
	const struct fuse_in_header *in = request_message(queue->arena, request);
	struct call call = { .fs = queue->op_io.fs, .in = in };
	const struct dispatch_entry *entry;
	enum route route;
	int r;

	if (request->entry && atomic_load(&queue->stopping)) {
		drop(queue, request); /* or the end would never come; unmounting fails it */
		return;
	}
	stat_add(&queue->stats->requests, 1);
	r = dispatch_parse(in, request->msg_len, queue->max_write, &call);
	if (r == -EBADMSG) {
		/* not even its number can be trusted, so it can't be answered */
		stat_add(&queue->stats->protocol_errors, 1);
		drop(queue, request);
		queue->end_reason = r;
		queue_stop(queue);
		return;
	}
	request->unique = in->unique;
	request->opcode = in->opcode;
	request->qid = queue->qid;
	request->drops = false;
	request->worker = POOL_NONE;
	request->begun = true;
	queue->taken += request->entry;
	if (r < 0) {
		refuse(queue, request, r);
		return;
	}
	call_save(&call, &request->parts);

	entry = dispatch_entry(in->opcode);
	request->changes = dispatch_changes(&call);
	if (request->entry && entry->no_reply) {
		refuse(queue, request, -EIO); /* these come by /dev/fuse */
		return;
	}
	route = route_choose(entry, request->inherited || backs_off(queue, request));
	stat_add(&queue->stats->metadata, route == ROUTE_INLINE || route == ROUTE_WORKER);
	switch (route) {
	case ROUTE_ANSWER:
		answer_at_once(queue, request, &call);
		break;
	case ROUTE_RING:
		start_data(queue, request, &call);
		break;
	case ROUTE_INLINE:
		if (!run_inline(queue, request, &call))
			hand_over(queue, request);
		break;
	case ROUTE_WORKER:
		hand_over(queue, request);
		break;
	}
}

/*
 * Takes a request that another thread has returned: it has entered its gate, or it is an entry with
 * its answer in it.
 */
static void take_back(struct queue *queue, struct request *request)
{
	if (request_state(request) == REQUEST_GATE) {
		queue->parked--;
		request_move(request, REQUEST_RUN);
		started(queue, request, op_io_resume(&queue->op_io, request), 0);
		return;
	}
	send_reply(queue, request);
}

static void take_returned(struct queue *queue)
{
	uint32_t index;

	if (atomic_load_explicit(&queue->outbox->returned, memory_order_relaxed) == POOL_NONE)
		return;
	index = atomic_exchange(&queue->outbox->returned, POOL_NONE);
	while (index != POOL_NONE) {
		struct request *request = &queue->requests[index];

		index = request->next;
		take_back(queue, request);
	}
}

static void released(void *arg, struct request *request)
{
	struct queue *queue = arg;

	pool_put(&queue->outbox->slots, request->index);
}

static void ended(void *arg, int reason)
{
	struct queue *queue = arg;

	if (!queue->end_reason)
		queue->end_reason = reason;
}

static void io_done(void *arg, uint32_t index, int64_t result)
{
	struct queue *queue = arg;
	struct request *request = &queue->requests[index];
	const struct io *io = &queue->engine.ios[index];
	uint32_t body_len;
	int32_t error;
	int r;

	/* before it leaves IO: from then on an heir doesn't look for the result (takeover.h) */
	error = engine_sync_error(io, io->op == IO_WRITE ? io->error : result);
	if (error)
		request->sync_error = error;
	if (result == 0 && (io->op == IO_FSYNC || io->op == IO_FDATASYNC))
		request->is_whole = true;
	request_move(request, REQUEST_RUN);
	r = op_io_finish(&queue->op_io, request, result, &body_len);
	started(queue, request, r, body_len);
}

static void woken(void *arg, uint32_t index, int result)
{
	struct queue *queue = arg;

	(void)index, (void)result;
	queue->wake_armed = false; /* whoever woke it has left something for this turn */
}

int queue_init(struct queue *queue, const struct queue_config *config)
{
	uint64_t buffers = arena_off(config->arena, arena_table(config->arena, ARENA_DATA_BUFFERS));
	int r;

	*queue = (struct queue){
		.qid = config->qid,
		.arena = config->arena,
		.requests = arena_table(config->arena, ARENA_REQUESTS),
		.outbox = config->outbox,
		.workers = config->workers,
		.siblings = config->queues,
		.sibling_count = config->queue_count,
		.dropper = config->dropper,
		.stats = (struct stats_queue *)arena_table(config->arena, ARENA_QUEUE_STATS) +
			 config->qid,
		.max_write = config->max_write,
		.entries = config->entries,
		.entry_count = config->entry_count,
		.online_count = config->online_count,
		.first_slot = config->first_slot,
		.depth = config->depth,
		.dev.fd = -1,
	};
	r = outbox_init(queue->outbox, config->arena, &queue->dev, config->first_slot,
			config->depth);
	if (r < 0)
		return r;
	for (uint32_t i = config->first_slot + config->depth; i-- > config->first_slot;) {
		if (config->inherits)
			continue;
		request_init(&queue->requests[i], i, config->qid,
			     buffers + i * request_stride(config->max_write), config->max_write);
		pool_put(&queue->outbox->slots, i);
	}
	return 0;
}

int queue_open(struct queue *queue, const struct queue_config *config)
{
	uint64_t buffers = arena_off(config->arena, arena_table(config->arena, ARENA_DATA_BUFFERS));
	uint64_t stride = request_stride(config->max_write);
	struct engine_config engine = {
		.arena = config->arena,
		.stats = queue->stats,
		.owner = { .arg = queue, .done = io_done },
		.shared = config->shared,
		.depth = config->depth,
		.others = TRANSPORT_SUBMISSIONS(config->depth) + OWN_SUBMISSIONS,
		.workers = MIN(config->depth, IOWQ_WORKERS_MAX),
		.buf_off = buffers + config->first_slot * stride,
		.buf_len = config->depth * stride,
		.commands = config->entry_count > 0,
		.harvested = config->handover,
	};
	struct transport_owner owner = {
		.arg = queue,
		.received = received,
		.released = released,
		.ended = ended,
	};
	int r;

	r = affinity_init(&queue->affinity);
	if (r < 0)
		return r;
	r = engine_init(&queue->engine, &engine);
	if (r < 0)
		return r;
	engine_on(&queue->engine, ENGINE_WAKE, &(struct engine_user){ woken, queue });
	r = transport_dev_open(&queue->dev, &queue->engine, config->session_fd,
			       config->inherits ? config->handover->dev_fd : -1, &owner);
	if (r < 0) {
		engine_destroy(&queue->engine);
		return r;
	}
	if (config->entry_count)
		transport_uring_open(&queue->uring, &queue->engine, queue->dev.fd, &owner);
	if (config->handover)
		config->handover->dev_fd = queue->dev.fd;
	queue->op_io = (struct op_io){
		.fs = config->fs,
		.engine = &queue->engine,
		.gates = config->gates,
		.stats = queue->stats,
	};
	queue->made = true;
	return 0;
}

/* Registers slots as ring entries, for good. */
static void register_entries(struct queue *queue)
{
	for (uint32_t i = 0; i < queue->entry_count; i++) {
		uint32_t index = pool_take(&queue->outbox->slots);

		assert(index != POOL_NONE);
		queue->requests[index].cpu = queue->entries[i];
		queue->requests[index].few = i >= queue->online_count;
		transport_uring_register(&queue->uring, &queue->requests[index]);
	}
}

/*
 * Takes one turn. The kernel takes answers at once, so their completions alone are no reason to
 * return and to wait again: their slots stay in state REPLY until something else comes. But if no
 * slot is on offer, nothing else may come, so the turn ends with them.
 */
static int turn(struct queue *queue)
{
	return engine_turn(&queue->engine, queue->dev.armed ? queue->dev.replies : 0);
}

/* Goes on with requests that a process had taken that has died. */
static void go_on_with_inherited(struct queue *queue)
{
	for (uint32_t i = queue->first_slot; i < queue->first_slot + queue->depth; i++) {
		if (queue->requests[i].inherited)
			received(queue, &queue->requests[i]);
	}
}

int queue_run(struct queue *queue)
{
	bool cancelled = false;
	int r = 0;

	register_entries(queue);
	go_on_with_inherited(queue);
	for (;;) {
		bool ending = queue->dev.ended || atomic_load(&queue->stopping);

		/* first, as one of these may be the last that keeps the queue busy */
		take_returned(queue);
		if (ending && queue->dev.armed && !cancelled) {
			transport_dev_cancel(&queue->dev);
			cancelled = true;
		}
		if (ending && !busy(queue)) {
			r = engine_flush(&queue->engine); /* answers of entries, the last ones */
			break;
		}
		/* others wake us when a slot is free, and when they return a request */
		if ((!ending || queue->parked || queue->taken) && !queue->wake_armed)
			arm_wake(queue);
		look_again(queue);
		offer(queue);
		r = turn(queue);
		if (r < 0)
			break;
	}
	if (r == 0 && queue->end_reason != -ENODEV && queue->end_reason != -ECANCELED)
		r = queue->end_reason;
	atomic_store(&queue->fault, r);
	return r;
}

void queue_stop(struct queue *queue)
{
	atomic_store(&queue->stopping, true);
	outbox_wake(queue->outbox);
}

void queue_mark_fds(const struct queue *queue, struct fd_marks *marks)
{
	fd_marks_add(marks, queue->outbox->wake_fd);
	fd_marks_add(marks, queue->dev.fd);
	fd_marks_add(marks, queue->engine.ring.ring_fd);
	fd_marks_add(marks, queue->engine.sentinel_fd);
}

void queue_destroy(struct queue *queue)
{
	if (queue->made) {
		transport_dev_close(&queue->dev);
		engine_destroy(&queue->engine);
		queue->made = false;
	}
	if (queue->outbox)
		outbox_destroy(queue->outbox);
}
