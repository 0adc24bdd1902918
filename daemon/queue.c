/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arena.h"
#include "cleanup.h"
#include "dispatch.h"
#include "request.h"
#include "stats.h"
#include "worker.h"

/* The eventfd's read and a cancellation, besides what the transport has under way. */
#define OWN_SUBMISSIONS 2

static void wake(struct queue *queue)
{
	uint64_t one = 1;

	/* can only fail by overflow, and then the queue has wake-ups enough */
	(void)!write(queue->wake_fd, &one, sizeof(one));
}

/* Listens on the eventfd. */
static void arm_wake(struct queue *queue)
{
	struct io_uring_sqe *sqe = engine_sqe(&queue->engine, ENGINE_WAKE, 0);

	io_uring_prep_read(sqe, queue->wake_fd, &queue->wake_count, sizeof(queue->wake_count), 0);
	queue->wake_armed = true;
}

/* Offers a slot to the transport unless there is none or the queue is to end. */
static void offer(struct queue *queue)
{
	uint32_t index;

	if (queue->transport.armed || queue->transport.ended || atomic_load(&queue->stopping))
		return;
	index = pool_take(&queue->slots);
	if (index == POOL_NONE) {
		stat_add(&queue->stats->starved, 1);
		atomic_store(&queue->starved, true);
		/* again, now that whoever frees one will tell: it may have been just before */
		index = pool_take(&queue->slots);
		if (index == POOL_NONE)
			return;
	}
	atomic_store(&queue->starved, false);
	queue->transport.ops->fetch(&queue->transport, &queue->requests[index]);
}

static void release(struct queue *queue, struct request *request)
{
	pool_put(&queue->slots, request->index);
}

void queue_put_slot(struct queue *queue, uint32_t index)
{
	pool_put(&queue->slots, index);
	if (atomic_load(&queue->starved))
		wake(queue);
}

static void reply(struct queue *queue, struct request *request, int error, uint32_t body_len)
{
	(void)request_reply(queue->arena, request, error, body_len); /* the transport finds it */
	queue->replies++;
	queue->transport.ops->reply(&queue->transport, request);
}

/* Ends a message that gets no answer. */
static void drop(struct queue *queue, struct request *request)
{
	request_move(request, REQUEST_FREE);
	release(queue, request);
}

static void refuse(struct queue *queue, struct request *request, int error)
{
	/* what a client may well ask for isn't the kernel's mistake */
	if (error != -ENOSYS && error != -ENAMETOOLONG)
		stat_add(&queue->stats->protocol_errors, 1);
	if (dispatch_entry(request->opcode)->no_reply)
		drop(queue, request);
	else
		reply(queue, request, error, 0);
}

static void start_data(struct queue *queue, struct request *request, const struct call *call)
{
	uint32_t body_len;
	int r = op_io_start(&queue->op_io, request, call, &body_len);

	if (r == OP_IO_STARTED)
		return;
	stat_add(&queue->stats->errors, r < 0);
	reply(queue, request, r, body_len);
}

/*
 * Hands REQUEST to the metadata workers: its message moves into a metadata slot where one is free
 * and large enough, otherwise the data slot goes along, and comes back by queue_put_slot().
 */
static void hand_over(struct queue *queue, struct request *request)
{
	struct request *moved = worker_adopt(queue->workers, request);

	stat_add(&queue->stats->metadata, 1);
	if (moved) {
		drop(queue, request);
		request = moved;
	}
	worker_submit(queue->workers, request);
}

static void received(void *arg, struct request *request)
{
	struct queue *queue = arg;
	const struct fuse_in_header *in = request_message(queue->arena, request);
	const struct dispatch_entry *entry;
	struct call call = { .fs = queue->op_io.fs, .in = in };
	int r;

	stat_add(&queue->stats->requests, 1);
	r = dispatch_parse(in, request->msg_len, queue->max_write, &call);
	if (r == -EBADMSG) {
		/* whose answer it would need isn't known: no answer can be trusted from here on */
		stat_add(&queue->stats->protocol_errors, 1);
		drop(queue, request);
		queue->end_reason = r;
		queue_stop(queue);
		return;
	}
	request->unique = in->unique;
	request->opcode = in->opcode;
	request->qid = queue->qid;
	if (r < 0) {
		refuse(queue, request, r);
		return;
	}

	entry = dispatch_entry(in->opcode);
	switch (entry->class) {
	case DISPATCH_DATA:
		start_data(queue, request, &call);
		break;
	case DISPATCH_META:
		hand_over(queue, request);
		break;
	case DISPATCH_SESSION:
		/* INIT comes once, before any queue runs; DESTROY asks for nothing but an answer */
		reply(queue, request, in->opcode == FUSE_DESTROY ? 0 : -EIO, 0);
		break;
	case DISPATCH_UNKNOWN:
		refuse(queue, request, -ENOSYS);
		break;
	}
}

static void released(void *arg, struct request *request)
{
	struct queue *queue = arg;

	release(queue, request);
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
	uint32_t body_len;
	int r;

	request_move(request, REQUEST_RUN);
	r = op_io_finish(&queue->op_io, request, result, &body_len);
	stat_add(&queue->stats->errors, r != 0);
	if (r == OP_IO_WORKER) {
		worker_submit(queue->workers, request); /* comes back by queue_put_slot() */
		return;
	}
	reply(queue, request, r, body_len);
}

static void completion(void *arg, enum engine_tag tag, uint32_t index, int result)
{
	struct queue *queue = arg;

	if (tag == ENGINE_WAKE) {
		queue->wake_armed = false;
		return;
	}
	if (tag == ENGINE_REPLY)
		queue->replies--;
	queue->transport.ops->completion(&queue->transport, tag, index, result);
}

int queue_init(struct queue *queue, const struct queue_config *config)
{
	uint64_t buffers = arena_off(config->arena, arena_table(config->arena, ARENA_DATA_BUFFERS));
	int r;

	*queue = (struct queue){
		.qid = config->qid,
		.arena = config->arena,
		.requests = arena_table(config->arena, ARENA_REQUESTS),
		.workers = config->workers,
		.stats = (struct stats_queue *)arena_table(config->arena, ARENA_QUEUE_STATS) +
			 config->qid,
		.max_write = config->max_write,
		.wake_fd = -1,
		.transport.fd = -1,
	};
	r = pool_init(&queue->slots, config->first_slot, config->depth);
	if (r < 0)
		return r;
	for (uint32_t i = config->first_slot; i < config->first_slot + config->depth; i++)
		request_init(&queue->requests[i], i, config->qid,
			     buffers + i * request_stride(config->max_write), config->max_write);
	return 0;
}

int queue_open(struct queue *queue, const struct queue_config *config)
{
	struct engine_config engine = {
		.arena = config->arena,
		.stats = queue->stats,
		.owner = { .arg = queue, .done = io_done, .other = completion },
		.depth = config->depth,
		.others = TRANSPORT_SUBMISSIONS(config->depth) + OWN_SUBMISSIONS,
		.workers = config->iowq_workers,
	};
	struct transport_owner owner = {
		.arg = queue,
		.received = received,
		.released = released,
		.ended = ended,
	};
	int r;

	queue->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (queue->wake_fd < 0)
		return -errno;
	r = engine_init(&queue->engine, &engine);
	if (r < 0)
		goto err_wake;
	r = transport_dev_open(&queue->transport, &queue->engine, config->session_fd, &owner);
	if (r < 0)
		goto err_engine;
	queue->op_io = (struct op_io){
		.fs = config->fs,
		.engine = &queue->engine,
		.stats = queue->stats,
	};
	queue->made = true;
	return 0;

err_engine:
	engine_destroy(&queue->engine);
err_wake:
	close_fd(&queue->wake_fd);
	return r;
}

/* Anything left that an answer or a buffer of ours depends on. */
static bool busy(const struct queue *queue)
{
	return queue->engine.in_flight || queue->replies || queue->transport.armed;
}

int queue_run(struct queue *queue)
{
	bool cancelled = false;
	int r = 0;

	for (;;) {
		bool ending = queue->transport.ended || atomic_load(&queue->stopping);

		if (ending && queue->transport.armed && !cancelled) {
			queue->transport.ops->cancel(&queue->transport);
			cancelled = true;
		}
		if (ending && !busy(queue))
			break;
		if (!ending && !queue->wake_armed)
			arm_wake(queue);
		offer(queue);
		r = engine_turn(&queue->engine);
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
	wake(queue);
}

void queue_destroy(struct queue *queue)
{
	if (queue->made) {
		queue->transport.ops->destroy(&queue->transport);
		engine_destroy(&queue->engine);
		close_fd(&queue->wake_fd);
		queue->made = false;
	}
	pool_destroy(&queue->slots);
}
