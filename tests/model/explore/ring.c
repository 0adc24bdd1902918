/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of liburing as engine.c and takeover.c call, in the same rings of submissions and
 * completions, with no kernel behind them but ours.
 */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore.h"

#define RINGS	   8
#define RING_SLOTS 64u
#define OPERATIONS 64

struct ring {
	bool closed, dead;
	int sentinel; /* write end of a pipe, or -1 */
	unsigned sq_head, sq_tail, cq_head, cq_tail, flags;
	unsigned wait_nr;			  /* completions that its thread waits for */
	struct io_uring_sqe sqes[2 * RING_SLOTS]; /* of 128 bytes, where commands are sent */
	struct io_uring_cqe cqes[2 * RING_SLOTS];
};

static struct ring rings[RINGS];
static uint32_t ring_count;
static struct operation operations[OPERATIONS];
static unsigned cq_mask = 2 * RING_SLOTS - 1;

void ring_reset(void)
{
	for (uint32_t i = 0; i < ring_count; i++) {
		if (rings[i].sentinel >= 0)
			(void)close(rings[i].sentinel);
	}
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

/* Whether OPERATION is on a file, and so goes on without its ring. */
static bool is_io(const struct operation *operation)
{
	return (operation->opcode == IORING_OP_READ || operation->opcode == IORING_OP_WRITE ||
		operation->opcode == IORING_OP_FSYNC) &&
	       !kernel_has_fd(operation->fd);
}

/* A ring that was closed has gone when its I/O is over: then its sentinel hangs up. */
static void end_closed(struct ring *ring)
{
	for (uint32_t i = 0; i < OPERATIONS; i++) {
		if (operations[i].in_use && operations[i].ring == ring)
			return;
	}
	if (ring->sentinel >= 0)
		(void)close(ring->sentinel);
	ring->sentinel = -1;
}

void ring_complete(struct operation *operation, int result)
{
	struct ring *ring = operation->ring;

	assert(operation->in_use);
	operation->in_use = false;
	if (ring->closed)
		end_closed(ring);
	else
		post(ring, operation->user_data, result);
}

/* Makes USER what a process has of RING. */
static void map(struct ring *ring, unsigned flags, struct io_uring *user)
{
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
			.kring_mask = &cq_mask,
			.cqes = ring->cqes,
			.ring_mask = 2 * RING_SLOTS - 1,
			.ring_entries = 2 * RING_SLOTS,
		},
		.flags = flags,
		.ring_fd = RING_FD + (int)(ring - rings),
	};
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *user,
			       struct io_uring_params *params)
{
	struct ring *ring = &rings[ring_count++];

	assert(ring_count <= RINGS && entries <= RING_SLOTS);
	memset(ring, 0, offsetof(struct ring, sqes));
	ring->sentinel = -1;
	map(ring, params->flags, user);
	return 0;
}

/* Fails where memory is short, which may be. */
int io_uring_queue_mmap(int fd, struct io_uring_params *params, struct io_uring *user)
{
	if (choose(2))
		return -ENOMEM;
	map(&rings[fd - RING_FD], params->flags, user);
	return 0;
}

/* The one file is the sentinel. */
int io_uring_register_files(struct io_uring *user, const int *files, unsigned count)
{
	assert(count == 1);
	return (rings[user->ring_fd - RING_FD].sentinel = dup(files[0])) < 0 ? -errno : 0;
}

/* What is under way and what is complete, in the order of both. */
uint64_t ring_hash(uint64_t hash)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ring_count; i++) {
		const struct ring *ring = &rings[i];

		hash = hash_bytes(hash, &ring->closed, sizeof(ring->closed));
		hash = hash_bytes(hash, &ring->dead, sizeof(ring->dead));
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
	return &rings[user->ring_fd - RING_FD];
}

/* What is under way on RING ends, but for I/O. */
static void cancel_all(struct ring *ring)
{
	for (uint32_t i = 0; i < OPERATIONS; i++)
		operations[i].in_use &= operations[i].ring != ring || is_io(&operations[i]);
}

bool ring_close(int fd)
{
	struct ring *ring;

	if (fd < RING_FD)
		return false;
	ring = &rings[fd - RING_FD];
	cancel_all(ring);
	ring->closed = true;
	end_closed(ring);
	return true;
}

void io_uring_queue_exit(struct io_uring *user)
{
	(void)ring_close(user->ring_fd);
}

int io_uring_register_sync_cancel(struct io_uring *user, struct io_uring_sync_cancel_reg *reg)
{
	(void)reg;
	cancel_all(ring_of(user));
	return 0;
}

void ring_die(void)
{
	for (uint32_t i = 0; i < ring_count; i++)
		rings[i].dead = true;
}

bool ring_has_late_io(void)
{
	for (uint32_t i = 0; i < OPERATIONS; i++) {
		const struct ring *ring = operations[i].ring;

		if (operations[i].in_use && ring->dead && is_io(&operations[i]))
			return true;
	}
	return false;
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

	return ring->cq_tail - ring->cq_head >= ring->wait_nr;
}

int io_uring_submit_and_wait(struct io_uring *user, unsigned wait_nr)
{
	struct ring *ring = ring_of(user);
	unsigned shift = user->flags & IORING_SETUP_SQE128 ? 1 : 0;

	for (; ring->sq_head != user->sq.sqe_tail; ring->sq_head++)
		submit(ring, &ring->sqes[(ring->sq_head & user->sq.ring_mask) << shift]);
	ring->wait_nr = wait_nr;
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
