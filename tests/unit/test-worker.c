/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The metadata workers between several submitting threads and queues that only count: each
 * request is answered exactly once, also when slots run out, when requests park, and at the end.
 */
#include "serve/worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/arena.h"
#include "handlers/call.h"
#include "handlers/dispatch.h"
#include "serve/outbox.h"
#include "serve/request.h"
#include "store/fs.h"
#include "test.h"

enum { QUEUES = 2, DEPTH = 4, META = 6, WORKERS = 3, PER_QUEUE = 20000, UNIQUES = 100000 };

static struct arena arena;
static struct worker_set set;
static struct outbox outboxes[QUEUES];
static _Atomic uint8_t answers[UNIQUES];
static _Atomic int32_t errors[UNIQUES];
static struct fs fs = { .cache = CACHE_WRITEBACK }; /* without gates */
static _Atomic uint32_t leases;			    /* to be met by those who open */

/*
 * The opcode table of this test: GETATTR answers, STATFS fails, FORGET is silent; LOOKUP knows
 * nonblocking calls, and waits unless its nodeid is 1; OPEN meets a lease as long as there are any.
 */
static int handle(struct call *call)
{
	switch (call->in->opcode) {
	case FUSE_LOOKUP:
		CHECK(call->nonblocking);
		if (call->in->nodeid != 1)
			return CALL_WAITS;
		memset(call->out, 'x', 5000);
		call->out_len = 100;
		return 0;
	case FUSE_GETATTR:
		memset(call->out, 0, 8);
		call->out_len = 8;
		return 0;
	case FUSE_STATFS:
		return -EIO;
	case FUSE_OPEN:
		if (!atomic_load(&leases))
			return 0;
		atomic_fetch_sub(&leases, 1);
		return CALL_WAITS;
	}
	return 0;
}

const struct dispatch_entry *dispatch_entry(uint32_t opcode)
{
	static const struct dispatch_entry forget = { .name = "FORGET",
						      .no_reply = true,
						      .handler = handle };
	static const struct dispatch_entry lookup = { .nonblocking = true, .handler = handle };
	static const struct dispatch_entry other = { .name = "other", .handler = handle };

	if (opcode == FUSE_LOOKUP)
		return &lookup;
	return opcode == FUSE_FORGET ? &forget : &other;
}

int dispatch_handle(const struct dispatch_entry *entry, struct call *call)
{
	return entry->handler(call);
}

void dispatch_take_back(const struct call *call)
{
	(void)call;
	CHECK(false); /* nothing is inherited here */
}

void dispatch_slow_down(const struct dispatch_entry *entry, const struct fs *served)
{
	(void)entry, (void)served;
}

void outbox_drop(struct outbox *outbox, struct request *request)
{
	request_move(request, REQUEST_FREE);
	pool_put(&outbox->slots, request->index);
}

int outbox_answer(struct outbox *outbox, struct request *request)
{
	const struct fuse_out_header *out = request_the_reply(&arena, request);
	bool fits = out->len >= sizeof(*out) && out->unique < UNIQUES;

	if (fits) {
		atomic_fetch_add(&answers[out->unique], 1);
		atomic_store(&errors[out->unique], out->error);
	}
	if (!request->meta)
		outbox_drop(outbox, request);
	return fits ? 0 : -EINVAL;
}

void outbox_return(struct outbox *outbox, struct request *request)
{
	(void)outbox, (void)request;
	CHECK(false); /* no queue waits at a gate here */
}

static void open_all(void)
{
	uint32_t slots = QUEUES * DEPTH, requests = slots + META;
	struct worker_config config;

	memset(answers, 0, sizeof(answers));
	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), requests, 64) == 0);
	CHECK(arena_plan(&arena, ARENA_META_RING, sizeof(struct worker_cell),
			 worker_cells(requests), 64) == 0);
	CHECK(arena_plan(&arena, ARENA_WORKER_BUFFERS, worker_buffer_len(), WORKERS + QUEUES,
			 PAGE_BYTES) == 0);
	CHECK(arena_plan(&arena, ARENA_META_BUFFERS, request_stride(WORKER_MESSAGE_LEN), META,
			 PAGE_BYTES) == 0);
	CHECK(arena_plan(&arena, ARENA_DATA_BUFFERS, request_stride(PAGE_BYTES), slots,
			 PAGE_BYTES) == 0);
	CHECK(arena_create(&arena) == 0);
	config = (struct worker_config){
		.arena = &arena,
		.fs = &fs,
		.outboxes = outboxes,
		.count = WORKERS,
		.queue_count = QUEUES,
		.first_slot = slots,
		.slots = META,
	};
	CHECK(worker_init(&set, &config) == 0);
	for (uint16_t qid = 0; qid < QUEUES; qid++) {
		uint64_t buffers = arena_off(&arena, arena_table(&arena, ARENA_DATA_BUFFERS));

		CHECK(pool_init(&outboxes[qid].slots, qid * DEPTH, DEPTH) == 0);
		for (uint32_t i = qid * DEPTH; i < (qid + 1u) * DEPTH; i++)
			request_init(&set.requests[i], i, qid,
				     buffers + i * request_stride(PAGE_BYTES), PAGE_BYTES);
	}
}

static void close_all(void)
{
	for (int qid = 0; qid < QUEUES; qid++) {
		CHECK(atomic_load(&outboxes[qid].slots.free) == DEPTH);
		pool_destroy(&outboxes[qid].slots);
	}
	CHECK(atomic_load(&set.slots.free) == META);
	worker_destroy(&set);
	arena_destroy(&arena);
}

/* What queue.c's hand_over() does with a message that has come in. */
static void submit(uint16_t qid, uint64_t unique, uint32_t opcode)
{
	struct request *request, *moved;
	struct fuse_in_header *in;
	uint32_t index;

	while ((index = pool_take(&outboxes[qid].slots)) == POOL_NONE)
		sched_yield(); /* a queue would not fetch */
	request = &set.requests[index];
	request_move(request, REQUEST_RUN);
	in = request_message(&arena, request);
	*in = (struct fuse_in_header){ .len = sizeof(*in), .opcode = opcode, .unique = unique };
	request->unique = unique;
	request->opcode = opcode;
	request->qid = qid;
	request->msg_len = sizeof(*in);
	moved = worker_adopt(&set, request);
	if (moved) {
		request_move(request, REQUEST_FREE);
		pool_put(&outboxes[qid].slots, index);
		request = moved;
	}
	worker_submit(&set, request);
}

static uint32_t opcode_of(uint64_t unique)
{
	static const uint32_t opcodes[] = { FUSE_GETATTR, FUSE_STATFS, FUSE_GETATTR, FUSE_FORGET };

	return opcodes[unique % ARRAY_SIZE(opcodes)];
}

static void *submitter(void *arg)
{
	uint16_t qid = (uint16_t)(uintptr_t)arg;

	for (uint64_t i = 0; i < PER_QUEUE; i++)
		submit(qid, i * QUEUES + qid, opcode_of(i * QUEUES + qid));
	return NULL;
}

static void *worker(void *arg)
{
	worker_run(&set, (uint32_t)(uintptr_t)arg);
	return NULL;
}

static void every_request_is_answered_once(void)
{
	pthread_t workers[WORKERS], submitters[QUEUES];

	open_all();
	for (uintptr_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&workers[i], NULL, worker, (void *)i) == 0);
	for (uintptr_t i = 0; i < QUEUES; i++)
		CHECK(pthread_create(&submitters[i], NULL, submitter, (void *)i) == 0);
	for (int i = 0; i < QUEUES; i++)
		CHECK(pthread_join(submitters[i], NULL) == 0);
	worker_stop(&set);
	for (int i = 0; i < WORKERS; i++)
		CHECK(pthread_join(workers[i], NULL) == 0);

	for (uint64_t unique = 0; unique < (uint64_t)QUEUES * PER_QUEUE; unique++) {
		uint32_t opcode = opcode_of(unique);
		int want = opcode == FUSE_STATFS ? -EIO : 0, got = atomic_load(&errors[unique]);

		CHECK(atomic_load(&answers[unique]) == (opcode == FUSE_FORGET ? 0 : 1));
		if (opcode != FUSE_FORGET)
			CHECK(got == want);
	}
	close_all();
}

/*
 * S7: with every metadata slot in use the message stays where it is, and is answered all the same.
 */
static void short_of_slots_uses_the_queue_s_own(void)
{
	pthread_t thread;
	uint32_t held[META];

	open_all();
	for (int i = 0; i < META; i++)
		held[i] = pool_take(&set.slots);
	submit(0, 1, FUSE_GETATTR);
	submit(1, 2, FUSE_STATFS);
	CHECK(atomic_load(&outboxes[0].slots.free) == DEPTH - 1);
	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	worker_stop(&set);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(atomic_load(&answers[1]) == 1 && atomic_load(&answers[2]) == 1);
	for (int i = 0; i < META; i++)
		pool_put(&set.slots, held[i]);
	close_all();
}

/* A request that waits for nothing leaves its body in its own slot; any other is left alone. */
static void what_waits_for_nothing_runs_inline(void)
{
	struct fuse_in_header in = { .len = sizeof(in), .opcode = FUSE_LOOKUP, .nodeid = 1 };
	struct call call = { .in = &in };
	struct request *request;
	uint32_t body_len = 7;
	int error = -EIO;
	uint8_t *body;

	open_all();
	request = &set.requests[DEPTH]; /* queue 1's */
	request->opcode = FUSE_LOOKUP;
	body = request_short_body(&arena, request);
	memset(body, '-', 101);
	CHECK(worker_run_inline(&set, 1, request, &call, &error, &body_len));
	CHECK(error == 0 && body_len == 100);
	CHECK(body[0] == 'x' && body[99] == 'x' && body[100] == '-');
	CHECK(atomic_load(&set.stats[WORKERS + 1].calls) == 1);

	in.nodeid = 2;
	error = 1;
	CHECK(!worker_run_inline(&set, 1, request, &call, &error, &body_len));
	CHECK(error == 1 && atomic_load(&set.stats[WORKERS + 1].calls) == 1);
	close_all();
}

/* Runs a worker until all is answered that was submitted. */
static void run_worker_to_its_end(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	worker_stop(&set);
	CHECK(pthread_join(thread, NULL) == 0);
}

static bool is_answered(uint64_t unique, int error)
{
	return atomic_load(&answers[unique]) == 1 && atomic_load(&errors[unique]) == error;
}

/* Waits for COUNT to have been put aside by all rounds so far. */
static void await_aside(uint32_t count)
{
	while (atomic_load(&set.leases.aside) != count)
		sched_yield();
}

/* A round, as soon as it is due: no wake-up is lost. */
static void make_round(void)
{
	struct pollfd timer = { .fd = set.leases.timer_fd, .events = POLLIN };

	CHECK(poll(&timer, 1, 20000) == 1);
	worker_retry(&set);
}

/*
 * A lease is met again and again; what is met by fewer than may wait is answered when there is
 * none.
 */
static void those_who_meet_a_lease_wait(void)
{
	pthread_t thread;

	open_all();
	atomic_store(&leases, UINT32_MAX);
	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	for (uint64_t unique = 2; unique < 8; unique += 2)
		submit(0, unique, FUSE_OPEN);
	await_aside(META / 2);
	/* their slots are not those of the queue, and one more may not wait */
	CHECK(atomic_load(&outboxes[0].slots.free) == DEPTH);
	submit(1, 8, FUSE_OPEN);
	while (!atomic_load(&answers[8]))
		sched_yield();
	CHECK(is_answered(8, -EAGAIN));

	for (int round = 0; round < 3; round++) {
		make_round();
		await_aside(META / 2);
	}
	worker_interrupt(&set, 4);
	make_round();
	await_aside(META / 2 - 1);
	CHECK(is_answered(4, -EINTR));
	submit(1, 10, FUSE_OPEN); /* there is a place again */
	await_aside(META / 2);

	atomic_store(&leases, 0);
	make_round();
	worker_stop(&set);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(is_answered(2, 0) && is_answered(6, 0) && is_answered(10, 0));
	CHECK(atomic_load(&set.leases.places->used) == 0);
	close_all();
}

/* The end doesn't wait for a lease; and a signal isn't lost that comes before its request. */
static void those_who_wait_are_let_go(void)
{
	pthread_t thread;

	open_all();
	atomic_store(&leases, UINT32_MAX);
	worker_interrupt(&set, 2);
	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	submit(0, 2, FUSE_OPEN);
	submit(0, 4, FUSE_OPEN);
	await_aside(1);
	worker_stop(&set);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(is_answered(2, -EINTR) && is_answered(4, -EINTR));
	close_all();

	open_all();
	submit(0, 2, FUSE_OPEN);
	run_worker_to_its_end();
	CHECK(is_answered(2, -EINTR));
	close_all();
	atomic_store(&leases, 0);
}

/* A request in a data slot that meets a lease leaves that slot to others. */
static void waits_for_a_lease_in_a_metadata_slot(void)
{
	struct request *request;
	struct fuse_in_header *in;
	pthread_t thread;

	open_all();
	atomic_store(&leases, UINT32_MAX);
	request = &set.requests[pool_take(&outboxes[1].slots)];
	request_move(request, REQUEST_RUN);
	in = request_message(&arena, request);
	*in = (struct fuse_in_header){ .len = sizeof(*in), .opcode = FUSE_OPEN, .unique = 2 };
	request->unique = 2;
	request->opcode = FUSE_OPEN;
	request->qid = 1;
	request->msg_len = sizeof(*in);
	worker_submit(&set, request);
	CHECK(pthread_create(&thread, NULL, worker, NULL) == 0);
	await_aside(1);
	CHECK(atomic_load(&outboxes[1].slots.free) == DEPTH);
	CHECK(atomic_load(&set.slots.free) == META - 1);
	atomic_store(&leases, 0);
	make_round();
	worker_stop(&set);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(is_answered(2, 0));
	close_all();
}

int main(void)
{
	RUN(every_request_is_answered_once);
	RUN(short_of_slots_uses_the_queue_s_own);
	RUN(what_waits_for_nothing_runs_inline);
	RUN(those_who_meet_a_lease_wait);
	RUN(those_who_wait_are_let_go);
	RUN(waits_for_a_lease_in_a_metadata_slot);
	return test_result();
}
