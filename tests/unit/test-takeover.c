/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over requests: every state that a process can leave a slot in, also between two of its
 * stores; what is answered, what is done again and what is free afterwards; each request once.
 */
#include "serve/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/macro.h"
#include "serve/dropper.h"
#include "serve/engine.h"
#include "serve/outbox.h"
#include "serve/request.h"
#include "serve/transport.h"
#include "serve/worker.h"
#include "test.h"

enum { QUEUES = 2, DEPTH = 3, META = 4, SLOTS = QUEUES * DEPTH + META, ANSWERS = 16 };

static struct arena arena;
static struct request *requests;
static struct outbox outboxes[QUEUES];
static struct transport devices[QUEUES];
static struct worker_set workers;
static struct dropper dropper;
static struct handover handover;
static struct takeover takeover;

/* What was done. */
static struct {
	int qid; /* whose device it went to */
	struct fuse_out_header out;
} answers[ANSWERS];
static uint32_t answer_count, submitted[SLOTS], put[SLOTS];
static bool dropper_takes;

int transport_dev_answer(struct transport *transport, const void *data, uint32_t len)
{
	CHECK(answer_count < ANSWERS);
	answers[answer_count].qid = (int)(transport - devices);
	memcpy(&answers[answer_count].out, data, sizeof(struct fuse_out_header));
	CHECK_EQ(answers[answer_count].out.len, len);
	answer_count++;
	return -ENOENT; /* as for an answer that was sent */
}

void worker_submit(struct worker_set *set, struct request *request)
{
	CHECK(set == &workers && request_state(request) == REQUEST_RUN);
	submitted[request->index]++;
}

bool dropper_put(struct dropper *to, struct request *request)
{
	CHECK(to == &dropper && request_state(request) == REQUEST_REPLY);
	CHECK(!request->drop.by_writer && !request->drop.counted);
	put[request->index]++;
	return dropper_takes;
}

static void make(void)
{
	uint64_t buffers;

	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), SLOTS, 64) == 0);
	CHECK(arena_plan(&arena, ARENA_DATA_BUFFERS, request_stride(PAGE_BYTES), SLOTS,
			 PAGE_BYTES) == 0);
	CHECK(arena_create(&arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
	buffers = arena_off(&arena, arena_table(&arena, ARENA_DATA_BUFFERS));
	for (uint32_t i = 0; i < SLOTS; i++) {
		request_init(&requests[i], i, (uint16_t)(i / DEPTH % QUEUES),
			     buffers + i * request_stride(PAGE_BYTES), PAGE_BYTES);
		requests[i].meta = i >= QUEUES * DEPTH;
	}
	for (uint32_t qid = 0; qid < QUEUES; qid++) {
		outboxes[qid] = (struct outbox){ .dev = &devices[qid] };
		CHECK(pool_init_in_use(&outboxes[qid].slots, qid * DEPTH, DEPTH) == 0);
	}
	workers = (struct worker_set){ 0 };
	CHECK(pool_init_in_use(&workers.slots, QUEUES * DEPTH, META) == 0);
	handover = (struct handover){ 0 };
	takeover = (struct takeover){
		.arena = &arena,
		.outboxes = outboxes,
		.workers = &workers,
		.dropper = &dropper,
		.handover = &handover,
		.queue_slots = QUEUES * DEPTH,
		.meta_slots = META,
	};
	answer_count = 0;
	memset(submitted, 0, sizeof(submitted));
	memset(put, 0, sizeof(put));
}

static void unmake(void)
{
	for (uint32_t qid = 0; qid < QUEUES; qid++)
		pool_destroy(&outboxes[qid].slots);
	pool_destroy(&workers.slots);
	arena_destroy(&arena);
}

/* A message of OPCODE with the number UNIQUE, as it was read into slot INDEX, in STATE. */
static struct request *leave(uint32_t index, enum request_state state, uint64_t unique,
			     uint32_t opcode)
{
	struct request *request = &requests[index];
	struct fuse_in_header in = { .len = sizeof(in), .opcode = opcode, .unique = unique };

	memcpy(request_message(&arena, request), &in, sizeof(in));
	request->unique = unique;
	request->opcode = opcode;
	request->msg_len = in.len;
	request_inherit(request, state);
	return request;
}

static bool is_free(uint32_t index)
{
	struct pool *pool = requests[index].meta ? &workers.slots
						 : &outboxes[requests[index].qid].slots;
	bool found = false;
	uint32_t taken[SLOTS], count = 0;

	while ((taken[count] = pool_take(pool)) != POOL_NONE)
		found |= taken[count++] == index;
	while (count)
		pool_put(pool, taken[--count]);
	return found && request_state(&requests[index]) == REQUEST_FREE;
}

static uint32_t free_count(void)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < SLOTS; i++)
		count += is_free(i);
	return count;
}

static void nothing_under_way_leaves_all_slots_free(void)
{
	make();
	(void)leave(1, REQUEST_FREE, 10, FUSE_MKDIR); /* the last message is still there */
	request_begin(&arena, &requests[1]);
	request_move(&requests[1], REQUEST_FETCH); /* on offer, and nothing was read */
	takeover_requests(&takeover);
	CHECK_EQ(free_count(), (uint32_t)SLOTS);
	CHECK(!answer_count && !handover.redone && !handover.resent);
	/* the lowest is taken first */
	CHECK_EQ(pool_take(&outboxes[1].slots), (uint32_t)DEPTH);
	unmake();
}

/* Whatever a request without an answer was doing, it is done from its beginning. */
static void what_has_no_answer_is_done_again(void)
{
	static const enum request_state states[] = { REQUEST_FETCH, REQUEST_RUN, REQUEST_GATE,
						     REQUEST_IO, REQUEST_QUEUED };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct request *data, *meta;

		make();
		data = leave(4, states[i], 10, FUSE_WRITE);
		data->in_gate = data->waits = data->drops = true;
		data->worker = 3;
		data->unique = 7; /* of the message before: received() hasn't looked yet */
		data->opcode = FUSE_READ;
		data->msg_len = 5;
		meta = leave(QUEUES * DEPTH + 2, states[i], 20, FUSE_MKDIR);
		takeover_requests(&takeover);

		CHECK(request_state(data) == REQUEST_RUN && data->inherited);
		CHECK(data->unique == 10 && data->opcode == FUSE_WRITE);
		CHECK_EQ(data->msg_len, (uint32_t)sizeof(struct fuse_in_header));
		CHECK(!data->in_gate && !data->waits && !data->drops);
		CHECK_EQ(data->worker, POOL_NONE);
		CHECK(!submitted[4]); /* its queue goes on with it */
		CHECK(request_state(meta) == REQUEST_RUN && meta->inherited);
		CHECK_EQ(submitted[QUEUES * DEPTH + 2], 1u);
		CHECK(!answer_count && handover.redone == 2 && !handover.resent);
		CHECK_EQ(free_count(), (uint32_t)SLOTS - 2);
		unmake();
	}
}

static void what_has_its_answer_gets_it_again(void)
{
	struct fuse_out_header *elsewhere;
	struct request *request;

	make();
	request = leave(1, REQUEST_RUN, 10, FUSE_GETATTR);
	(void)request_reply(&arena, request, -ENOENT, 0);
	request = leave(QUEUES * DEPTH, REQUEST_RUN, 20, FUSE_MKDIR);
	request->qid = 1;
	elsewhere = request_payload(&arena, &requests[2]); /* as in a worker's buffer */
	*elsewhere = (struct fuse_out_header){ .len = sizeof(*elsewhere) + 8, .unique = 20 };
	request_set_reply(&arena, request, elsewhere);
	request_move(request, REQUEST_REPLY);
	takeover_requests(&takeover);

	CHECK_EQ(answer_count, 2u);
	CHECK(answers[0].qid == 0 && answers[0].out.unique == 10 &&
	      answers[0].out.error == -ENOENT);
	CHECK(answers[1].qid == 1 && answers[1].out.unique == 20);
	CHECK(handover.resent == 2 && !handover.redone);
	CHECK_EQ(free_count(), (uint32_t)SLOTS);
	unmake();
}

/* An answer that has to wait for the page cache above still does. */
static void a_drop_comes_before_its_answer(void)
{
	for (int takes = 0; takes <= 1; takes++) {
		struct request *request;

		make();
		dropper_takes = takes;
		request = leave(2, REQUEST_RUN, 10, FUSE_WRITE);
		request->drops = true;
		request->drop = (struct cached_drop){ .by_writer = true, .counted = true };
		(void)request_reply(&arena, request, 0, 8);
		takeover_requests(&takeover);
		CHECK_EQ(put[2], 1u);
		CHECK_EQ(answer_count, takes ? 0u : 1u);
		CHECK(is_free(2) == !takes);
		unmake();
	}
}

/* Killed while a message was being copied to a metadata slot, before and after its last store. */
static void a_copy_is_not_done_twice(void)
{
	for (int copied = 0; copied <= 1; copied++) {
		make();
		(void)leave(0, REQUEST_RUN, 10, FUSE_MKDIR);
		(void)leave(QUEUES * DEPTH + 1, copied ? REQUEST_RUN : REQUEST_FREE, 10,
			    FUSE_MKDIR);
		takeover_requests(&takeover);
		CHECK(requests[0].inherited == !copied);
		CHECK_EQ(submitted[QUEUES * DEPTH + 1], copied ? 1u : 0u);
		CHECK_EQ(handover.redone, (uint64_t)1);
		CHECK_EQ(free_count(), (uint32_t)SLOTS - 1);
		unmake();
	}
}

/* A message without a header that could be one was never complete. */
static void a_header_that_is_none_is_no_request(void)
{
	struct request *request;

	make();
	request = leave(0, REQUEST_FETCH, 10, FUSE_MKDIR);
	((struct fuse_in_header *)request_message(&arena, request))->len = UINT32_MAX;
	takeover_requests(&takeover);
	CHECK_EQ(free_count(), (uint32_t)SLOTS);
	unmake();
}

/* Slot INDEX as a server has left it that failed, or was killed, while it had REQUEST. */
static void die(uint32_t index, enum request_state state, bool begun, bool failed)
{
	struct request *request = leave(index, state, 10, FUSE_MKDIR);

	request->begun = begun;
	takeover.failed = failed;
	while (pool_take(&outboxes[0].slots) != POOL_NONE ||
	       pool_take(&outboxes[1].slots) != POOL_NONE || pool_take(&workers.slots) != POOL_NONE)
		;
	takeover_requests(&takeover);
	CHECK(request->inherited && !request->begun);
}

/*
 * Of a request at which servers fail it is known after the third. To be killed by others is no
 * fault of its own, nor is what befell while no thread had begun with it.
 */
static void failures_are_counted(void)
{
	make();
	for (uint32_t i = 0; i < 2 * REQUEST_DEATHS_MAX; i++) {
		die(0, REQUEST_RUN, true, false);
		die(0, REQUEST_RUN, false, true);
		die(0, REQUEST_IO, true, true);
		die(0, REQUEST_QUEUED, true, true);
	}
	CHECK(!requests[0].deaths && !handover.refused);
	for (uint32_t i = 1; i <= REQUEST_DEATHS_MAX; i++) {
		die(0, REQUEST_RUN, true, true);
		CHECK_EQ(requests[0].deaths, i);
		CHECK_EQ(handover.refused, (uint64_t)(i == REQUEST_DEATHS_MAX));
	}
	/* its thread answers it: see REQUEST_DEATHS_MAX in queue.c and worker.c */
	CHECK(!answer_count && request_state(&requests[0]) == REQUEST_RUN);
	/* the slot's next message begins anew */
	(void)request_reply(&arena, &requests[0], -EIO, 0);
	request_move(&requests[0], REQUEST_FREE);
	request_begin(&arena, &requests[0]);
	CHECK(!requests[0].deaths && !requests[0].inherited);
	unmake();
}

static void *hang_up(void *arg)
{
	CHECK(usleep(20000) == 0);
	CHECK(close(*(int *)arg) == 0);
	return NULL;
}

/* Waits for the I/O of all slots, which are those of queue QID. */
static int await_queue(uint32_t qid, int64_t end_ms)
{
	uint32_t count = (uint32_t)arena.plan.span[ARENA_REQUESTS].count;
	struct takeover_rings rings;

	takeover_map(&rings, &handover, qid + 1);
	return takeover_await(&arena, &handover, &rings, qid, 0, count, end_ms);
}

/* An arena with nothing but COUNT requests and their I/O. */
static void make_rows(uint64_t count)
{
	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), count, 64) == 0);
	CHECK(arena_plan(&arena, ARENA_IOS, sizeof(struct io), count, 64) == 0);
	CHECK(arena_create(&arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
}

/* A ring of which nothing is known is over when its sentinel says so. */
static void waits_for_io(void)
{
	struct handover_queue *queue = &handover.queue[0];
	struct io_uring ring;
	struct io *ios;
	pthread_t thread;
	int fds[2];

	*queue = (struct handover_queue){ .ring_fd = HANDOVER_OVER, .sentinel_fd = -1 };
	make_rows(2);
	ios = arena_table(&arena, ARENA_IOS);
	CHECK_EQ(await_queue(0, clock_ms()), 0); /* no ring is left */

	CHECK(io_uring_queue_init_params(4, &ring, &queue->params) == 0);
	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	queue->ring_fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	queue->sentinel_fd = fds[0];
	request_inherit(&requests[0], REQUEST_IO);
	request_inherit(&requests[1], REQUEST_RUN);
	ios[0].ticket = 1ull << 32; /* the first submission, which the kernel hasn't taken */
	ios[1].ticket = 1ull << 32 | 77;
	CHECK_EQ(await_queue(0, clock_ms()), 0);
	CHECK(queue->ring_fd == HANDOVER_OVER && !ios[0].ticket && !ios[1].ticket);

	io_uring_prep_nop(io_uring_get_sqe(&ring));
	CHECK(io_uring_submit(&ring) == 1);
	queue->ring_fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	ios[0].ticket = 2ull << 32; /* taken, and its result isn't in the ring */
	CHECK_EQ(await_queue(0, clock_ms() + 10), -ETIMEDOUT);
	CHECK_EQ(queue->ring_fd, HANDOVER_CLOSED);
	CHECK(pthread_create(&thread, NULL, hang_up, &fds[1]) == 0);
	CHECK_EQ(await_queue(0, clock_ms() + 20000), 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(queue->ring_fd == HANDOVER_OVER && !ios[0].ticket);
	CHECK(close(fds[0]) == 0);
	io_uring_queue_exit(&ring);
	arena_destroy(&arena);
}

/* What an heir finds of an io of a dead process. */
struct found {
	int32_t sync_error;
	bool is_whole;
};

static int32_t instead; /* of the result of the next operation, unless it is 0 */

/* A dead process has done SQE's operation for IO, whose ticket is the first one. */
static struct found harvested(struct io io, const struct io_uring_sqe *operation)
{
	struct handover_queue *queue = &handover.queue[0];
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct found found;

	queue->sentinel_fd = -1;
	make_rows(1);
	CHECK(io_uring_queue_init_params(4, &ring, &queue->params) == 0);
	queue->ring_fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	request_inherit(&requests[0], REQUEST_IO);
	io.ticket = 1ull << 32;
	*(struct io *)arena_table(&arena, ARENA_IOS) = io;
	sqe = io_uring_get_sqe(&ring);
	*sqe = *operation;
	sqe->user_data = io.ticket; /* of row 0 */
	CHECK(io_uring_submit_and_wait(&ring, 1) == 1);
	if (instead)
		ring.cq.cqes[*ring.cq.khead & *ring.cq.kring_mask].res = instead;
	CHECK_EQ(await_queue(0, clock_ms() + 20000), 0);
	found = (struct found){ requests[0].sync_error, requests[0].is_whole };
	io_uring_queue_exit(&ring);
	arena_destroy(&arena);
	return found;
}

static struct found synced(enum io_op op, enum io_step step, int fd)
{
	struct io_uring_sqe sqe = { 0 };

	io_uring_prep_fsync(&sqe, fd, 0);
	return harvested((struct io){ .op = (uint8_t)op, .step = (uint8_t)step }, &sqe);
}

static struct found written(enum io_step step)
{
	const struct io io = { .op = IO_WRITE, .flags = IO_DSYNC, .step = (uint8_t)step };
	struct io_uring_sqe sqe = { 0 };

	io_uring_prep_nop(&sqe);
	return harvested(io, &sqe);
}

/* The kernel doesn't tell the error of a sync twice, so an heir takes it from the ring. */
static void errors_of_syncs_are_harvested(void)
{
	int good = open("/", O_RDONLY | O_CLOEXEC);

	CHECK(good >= 0);
	CHECK_EQ(synced(IO_FSYNC, IO_STEP_ACT, -1).sync_error, -EBADF);
	CHECK_EQ(synced(IO_FDATASYNC, IO_STEP_ACT, -1).sync_error, -EBADF);
	CHECK_EQ(synced(IO_FALLOCATE, IO_STEP_SYNC, -1).sync_error, -EBADF);
	CHECK_EQ(synced(IO_FALLOCATE, IO_STEP_ACT, -1).sync_error, 0); /* it is done again */
	CHECK_EQ(synced(IO_WRITE, IO_STEP_ACT, -1).sync_error, 0);
	CHECK_EQ(synced(IO_FSYNC, IO_STEP_ACT, good).sync_error, 0);
	/* what some filesystems give if the process is killed, and others that the kernel has */
	instead = -512; /* ERESTARTSYS */
	CHECK_EQ(synced(IO_FSYNC, IO_STEP_ACT, good).sync_error, 0);
	CHECK(!synced(IO_FSYNC, IO_STEP_ACT, good).is_whole);
	instead = -523; /* EBADCOOKIE */
	CHECK_EQ(synced(IO_FSYNC, IO_STEP_ACT, good).sync_error, -EIO);
	instead = -524; /* ENOTSUPP */
	CHECK_EQ(synced(IO_FSYNC, IO_STEP_ACT, good).sync_error, -EOPNOTSUPP);
	/* of a write with O_DSYNC, and of the allocation before it */
	instead = -ENOSPC;
	CHECK_EQ(written(IO_STEP_ACT).sync_error, -ENOSPC);
	CHECK_EQ(written(IO_STEP_ALLOCATE).sync_error, 0);
	instead = 0;
	CHECK(close(good) == 0);
}

/* A dead process has read LEN bytes for an io of READ of IO_LEN bytes. */
static bool is_whole_read(uint64_t io_len, unsigned len, int fd)
{
	struct io_uring_sqe sqe = { 0 };
	static char buf[64];

	io_uring_prep_read(&sqe, fd, buf, len, 0);
	return harvested((struct io){ .op = IO_READ, .step = IO_STEP_ACT, .len = io_len }, &sqe)
		.is_whole;
}

/* What was done whole isn't done again. A part of it, or one step of two, isn't the whole. */
static void what_is_whole_is_harvested(void)
{
	int good = open("/", O_RDONLY | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CHECK(good >= 0 && zero >= 0);
	CHECK(synced(IO_FSYNC, IO_STEP_ACT, good).is_whole);
	CHECK(synced(IO_FDATASYNC, IO_STEP_ACT, good).is_whole);
	CHECK(!synced(IO_FSYNC, IO_STEP_ACT, -1).is_whole);
	CHECK(!synced(IO_FALLOCATE, IO_STEP_SYNC, good).is_whole);
	CHECK(!synced(IO_FALLOCATE, IO_STEP_ACT, good).is_whole);
	CHECK(!synced(IO_WRITE, IO_STEP_ACT, good).is_whole);
	CHECK(is_whole_read(64, 64, zero));
	CHECK(!is_whole_read(64, 32, zero));
	CHECK(!is_whole_read(64, 64, good)); /* EISDIR */
	CHECK(close(good) == 0 && close(zero) == 0);
}

/* The kernel has taken the answer in slot 0, which the dead server didn't see; not in slot 1. */
static void answers_are_harvested(void)
{
	struct handover_queue *queue = &handover.queue[0];
	struct io_uring_sqe *sqe;
	struct io_uring ring;

	queue->sentinel_fd = -1;
	make_rows(2);
	CHECK(io_uring_queue_init_params(4, &ring, &queue->params) == 0);
	queue->ring_fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	request_inherit(&requests[0], REQUEST_REPLY);
	request_inherit(&requests[1], REQUEST_REPLY);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	sqe->user_data = engine_user_data(ENGINE_REPLY, 0);
	CHECK(io_uring_submit_and_wait(&ring, 1) == 1);
	CHECK_EQ(await_queue(0, clock_ms() + 20000), 0);
	CHECK_EQ((int)request_state(&requests[0]), REQUEST_FREE);
	CHECK_EQ((int)request_state(&requests[1]), REQUEST_REPLY);
	io_uring_queue_exit(&ring);
	arena_destroy(&arena);
}

int main(void)
{
	RUN(nothing_under_way_leaves_all_slots_free);
	RUN(what_has_no_answer_is_done_again);
	RUN(what_has_its_answer_gets_it_again);
	RUN(a_drop_comes_before_its_answer);
	RUN(a_copy_is_not_done_twice);
	RUN(a_header_that_is_none_is_no_request);
	RUN(failures_are_counted);
	RUN(waits_for_io);
	RUN(errors_of_syncs_are_harvested);
	RUN(what_is_whole_is_harvested);
	RUN(answers_are_harvested);
	return test_result();
}
