/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of liburing as engine.c calls, in the same rings of submissions and completions, with no
 * kernel behind them but ours.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define RINGS	   4
#define RING_SLOTS 64u
#define OPERATIONS 64

struct ring {
	struct io_uring *user;
	unsigned sq_head, sq_tail, cq_head, cq_tail, flags;
	struct io_uring_sqe sqes[2 * RING_SLOTS]; /* of 128 bytes, where commands are sent */
	struct io_uring_cqe cqes[2 * RING_SLOTS];
};

static struct ring rings[RINGS];
static uint32_t ring_count;
static struct operation operations[OPERATIONS];

void ring_reset(void)
{
	ring_count = 0;
	memset(operations, 0, sizeof(operations));
}

uint32_t ring_operations(struct operation **ret_operations)
{
	*ret_operations = operations;
	return OPERATIONS;
}

static void post(struct ring *ring, uint64_t user_data, int result)
{
	assert(ring->cq_tail - ring->cq_head < 2 * RING_SLOTS);
	ring->cqes[ring->cq_tail++ & (2 * RING_SLOTS - 1)] =
		(struct io_uring_cqe){ .user_data = user_data, .res = result };
}

void ring_complete(struct operation *operation, int result)
{
	assert(operation->in_use);
	operation->in_use = false;
	post(operation->ring, operation->user_data, result);
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *user,
			       struct io_uring_params *params)
{
	struct ring *ring = &rings[ring_count++];

	assert(ring_count <= RINGS && entries <= RING_SLOTS);
	memset(ring, 0, offsetof(struct ring, sqes));
	ring->user = user;
	*user = (struct io_uring){
		.sq = {
			.khead = &ring->sq_head,
			.ktail = &ring->sq_tail,
			.kflags = &ring->flags,
			.sqes = ring->sqes,
			.ring_mask = RING_SLOTS - 1,
			.ring_entries = RING_SLOTS,
		},
		.cq = {
			.khead = &ring->cq_head,
			.ktail = &ring->cq_tail,
			.kflags = &ring->flags,
			.cqes = ring->cqes,
			.ring_mask = 2 * RING_SLOTS - 1,
			.ring_entries = 2 * RING_SLOTS,
		},
		.flags = params->flags,
		.ring_fd = -1,
	};
	return 0;
}

/* What is under way and what is complete, in the order of both. */
uint64_t ring_hash(uint64_t hash)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ring_count; i++) {
		const struct ring *ring = &rings[i];

		for (unsigned at = ring->cq_head; at != ring->cq_tail; at++)
			hash = hash_bytes(hash, &ring->cqes[at & (2 * RING_SLOTS - 1)],
					  sizeof(ring->cqes[0]));
		hash = hash_bytes(hash, &i, sizeof(i));
	}
	/* where they lie is nothing: added up */
	for (uint32_t i = 0; i < OPERATIONS; i++) {
		if (operations[i].in_use)
			sum += hash_bytes(0, &operations[i], sizeof(operations[i]));
	}
	return hash_bytes(hash, &sum, sizeof(sum));
}

static struct ring *ring_of(const struct io_uring *user)
{
	for (uint32_t i = 0; i < ring_count; i++) {
		if (rings[i].user == user)
			return &rings[i];
	}
	abort();
}

/* What was under way goes with the ring. */
void io_uring_queue_exit(struct io_uring *user)
{
	struct ring *ring = ring_of(user);

	for (uint32_t i = 0; i < OPERATIONS; i++)
		operations[i].in_use &= operations[i].ring != ring;
}

static void submit(struct ring *ring, const struct io_uring_sqe *sqe)
{
	struct operation *operation = operations;
	int result;

	while (operation->in_use)
		operation++;
	assert(operation < operations + OPERATIONS);
	*operation = (struct operation){
		.ring = ring,
		.user_data = sqe->user_data,
		.opcode = sqe->opcode,
		.fd = sqe->fd,
		.addr = sqe->addr,
		.off = sqe->off,
		.len = sqe->len,
		.in_use = true,
	};
	if (sqe->opcode == IORING_OP_URING_CMD) {
		const struct caisson_fuse_uring_cmd_req *arg = (const void *)sqe->cmd;

		operation->cmd_op = sqe->cmd_op;
		operation->commit_id = arg->commit_id;
	}
	if (kernel_submit(operation, &result))
		ring_complete(operation, result);
}

static bool has_completions(void *arg)
{
	const struct ring *ring = arg;

	return ring->cq_tail != ring->cq_head;
}

int io_uring_submit_and_wait(struct io_uring *user, unsigned wait_nr)
{
	struct ring *ring = ring_of(user);
	unsigned shift = user->flags & IORING_SETUP_SQE128 ? 1 : 0;

	for (; ring->sq_head != user->sq.sqe_tail; ring->sq_head++)
		submit(ring, &ring->sqes[(ring->sq_head & user->sq.ring_mask) << shift]);
	if (wait_nr)
		fiber_wait(has_completions, ring, true,
			   "waits for its ring: no completion will come");
	return 0;
}

unsigned io_uring_peek_batch_cqe(struct io_uring *user, struct io_uring_cqe **cqes, unsigned count)
{
	struct ring *ring = ring_of(user);
	unsigned n = 0;

	for (unsigned at = ring->cq_head; at != ring->cq_tail && n < count; at++)
		cqes[n++] = &ring->cqes[at & user->cq.ring_mask];
	return n;
}
