/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arena.h"
#include "cleanup.h"
#include "creds.h"
#include "dispatch.h"
#include "gate.h"
#include "queue.h"
#include "request.h"

/* One worker's part of ARENA_WORKER_BUFFERS. */
struct worker_buffers {
	uint8_t lead[PAGE_BYTES - sizeof(struct fuse_out_header)];
	struct fuse_out_header out; /* directly before the body: a reply is one write */
	uint8_t body[CALL_OUT_LEN];
	uint8_t scratch[CALL_SCRATCH_LEN];
};

uint64_t worker_buffer_len(void)
{
	return sizeof(struct worker_buffers);
}

uint64_t worker_cells(uint32_t requests)
{
	uint64_t cells = 2;

	while (cells < requests)
		cells *= 2;
	return cells;
}

int worker_init(struct worker_set *set, const struct worker_config *config)
{
	const struct arena *arena = config->arena;
	uint64_t buffers = arena_off(arena, arena_table(arena, ARENA_META_BUFFERS));
	uint64_t cells = arena->plan.span[ARENA_META_RING].count;
	size_t stats_len = (config->count + config->queue_count) * sizeof(*set->stats);
	int r;

	*set = (struct worker_set){
		.arena = arena,
		.fs = config->fs,
		.gates = config->gates,
		.queues = config->queues,
		.requests = arena_table(arena, ARENA_REQUESTS),
		.cells = arena_table(arena, ARENA_META_RING),
		.cell_mask = cells - 1,
		.count = config->count,
		.max_write = config->max_write,
		.here_max = config->queue_count / 2,
		.work_fd = -1,
	};
	assert(is_power_of_two(cells) && cells >= arena->plan.span[ARENA_REQUESTS].count);

	r = pool_init(&set->slots, config->first_slot, config->slots);
	if (r < 0)
		return r;
	set->stats = aligned_alloc(CACHE_LINE_BYTES, stats_len);
	if (!set->stats) {
		r = -ENOMEM;
		goto err_pool;
	}
	memset(set->stats, 0, stats_len);
	set->work_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	if (set->work_fd < 0) {
		r = -errno;
		goto err_stats;
	}

	for (uint32_t i = 0; i < config->slots; i++) {
		struct request *request = &set->requests[config->first_slot + i];

		request_init(request, config->first_slot + i, 0,
			     buffers + i * request_stride(WORKER_MESSAGE_LEN), WORKER_MESSAGE_LEN);
		request->meta = true;
	}
	for (uint64_t i = 0; i < cells; i++)
		atomic_init(&set->cells[i].turn, i);
	return 0;

err_stats:
	free(set->stats);
	set->stats = NULL;
err_pool:
	pool_destroy(&set->slots);
	return r;
}

void worker_destroy(struct worker_set *set)
{
	close_fd(&set->work_fd);
	free(set->stats);
	set->stats = NULL;
	pool_destroy(&set->slots);
}

struct request *worker_adopt(struct worker_set *set, const struct request *request)
{
	struct request *slot;
	uint32_t index;

	if (request->msg_len > REQUEST_LEAD + WORKER_MESSAGE_LEN)
		return NULL;
	index = pool_take(&set->slots);
	if (index == POOL_NONE)
		return NULL;
	slot = &set->requests[index];
	request_move(slot, REQUEST_RUN);
	slot->qid = request->qid;
	slot->unique = request->unique;
	slot->opcode = request->opcode;
	slot->msg_len = request->msg_len;
	memcpy(request_message(set->arena, slot), request_message(set->arena, request),
	       request->msg_len);
	return slot;
}

void worker_submit(struct worker_set *set, struct request *request)
{
	uint64_t at = atomic_fetch_add(&set->head, 1);
	struct worker_cell *cell = &set->cells[at & set->cell_mask];
	uint64_t one = 1;

	request_move(request, REQUEST_QUEUED);
	/* a request is in the inbox once and there are cells for all: the last reader is through,
	 * or about to be: it has nothing to do but to store the turn */
	while (atomic_load_explicit(&cell->turn, memory_order_acquire) != at)
		;
	cell->index = request->index;
	atomic_store_explicit(&cell->turn, at + 1, memory_order_release);
	(void)!write(set->work_fd, &one, sizeof(one)); /* a counter of 64 bits doesn't fill up */
}

/* The oldest request in the inbox, or NULL. */
static struct request *take(struct worker_set *set)
{
	uint64_t at = atomic_load(&set->tail);
	struct worker_cell *cell;
	uint32_t index;

	do {
		if (at == atomic_load(&set->head))
			return NULL;
	} while (!atomic_compare_exchange_weak(&set->tail, &at, at + 1));

	cell = &set->cells[at & set->cell_mask];
	/* its submitter may not have filled it yet, while a later one has filled the next */
	while (atomic_load_explicit(&cell->turn, memory_order_acquire) != at + 1)
		;
	index = cell->index;
	atomic_store_explicit(&cell->turn, at + set->cell_mask + 1, memory_order_release);
	request_move(&set->requests[index], REQUEST_RUN);
	return &set->requests[index];
}

static void put_slot(struct worker_set *set, struct request *request)
{
	request_move(request, REQUEST_FREE);
	pool_put(&set->slots, request->index);
}

/* Ends REQUEST, which gets no answer. */
static void drop(struct worker_set *set, struct request *request)
{
	if (request->meta)
		put_slot(set, request);
	else
		queue_drop(&set->queues[request->qid], request);
}

/* Ends REQUEST with an answer. Returns 0 or -errno. */
static int answer(struct worker_set *set, struct request *request, struct fuse_out_header *out,
		  int error, uint32_t body_len)
{
	bool meta = request->meta;
	int r;

	*out = (struct fuse_out_header){
		.len = (uint32_t)sizeof(*out) + body_len,
		.error = error,
		.unique = request->unique,
	};
	request_move(request, REQUEST_REPLY);
	r = queue_answer(&set->queues[request->qid], request, out);
	if (meta)
		put_slot(set, request);
	return r;
}

static void run(struct worker_set *set, struct worker_buffers *buffers, struct worker_stats *stats,
		struct request *request)
{
	const struct fuse_in_header *in = request_message(set->arena, request);
	const struct dispatch_entry *entry = dispatch_entry(request->opcode);
	struct call call = {
		.fs = set->fs,
		.in = in,
		.moved = request->opcode == FUSE_WRITE ? request->moved : 0,
		.out = buffers->body,
		.out_cap = sizeof(buffers->body),
		.scratch = buffers->scratch,
	};
	int r;

	atomic_fetch_add_explicit(&stats->calls, 1, memory_order_relaxed);
	/* parsed once already: what was pointers is not kept in a request */
	r = dispatch_parse(in, request->msg_len, set->max_write, &call);
	if (r == 0)
		r = dispatch_handle(entry, &call);
	if (request->in_gate)
		gate_leave(set->gates, request);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->errors, 1, memory_order_relaxed);
	if (entry->no_reply && r >= 0) {
		drop(set, request);
		return;
	}
	assert(r <= 0 && call.out_len <= call.out_cap);
	r = answer(set, request, &buffers->out, r, r < 0 ? 0 : call.out_len);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->lost, 1, memory_order_relaxed);
}

static struct worker_buffers *buffers_of(const struct worker_set *set, uint32_t number)
{
	return (struct worker_buffers *)arena_table(set->arena, ARENA_WORKER_BUFFERS) + number;
}

bool worker_try_here(struct worker_set *set, uint32_t qid, struct request *request)
{
	uint32_t number = set->count + qid;

	if (atomic_fetch_add(&set->here, 1) >= set->here_max) {
		atomic_fetch_sub(&set->here, 1);
		return false;
	}
	run(set, buffers_of(set, number), &set->stats[number], request);
	atomic_fetch_sub(&set->here, 1);
	return true;
}

bool worker_try_briefly(struct worker_set *set, uint32_t qid, struct request *request,
			const struct call *parsed, int *ret_error, uint32_t *ret_body_len)
{
	const struct dispatch_entry *entry = dispatch_entry(request->opcode);
	uint32_t number = set->count + qid;
	struct worker_buffers *buffers = buffers_of(set, number);
	struct worker_stats *stats = &set->stats[number];
	struct call call = *parsed;
	int r;

	if (!entry->brief)
		return false;
	call.out = buffers->body;
	call.out_cap = sizeof(buffers->body);
	call.scratch = buffers->scratch;
	call.brief = true;
	r = dispatch_handle(entry, &call);
	if (r == CALL_WAITS)
		return false;

	assert(r <= 0 && call.out_len <= request->buf_len);
	atomic_fetch_add_explicit(&stats->calls, 1, memory_order_relaxed);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->errors, 1, memory_order_relaxed);
	*ret_error = r;
	*ret_body_len = r < 0 ? 0 : call.out_len;
	memcpy(request_payload(set->arena, request), buffers->body, *ret_body_len);
	return true;
}

void worker_run(struct worker_set *set, uint32_t number)
{
	struct request *request;
	uint64_t unit;

	for (;;) {
		if (read(set->work_fd, &unit, sizeof(unit)) < 0)
			continue; /* EINTR */
		request = take(set);
		if (request)
			run(set, buffers_of(set, number), &set->stats[number], request);
		else if (atomic_load(&set->stopping))
			return; /* a unit for each worker follows the requests' own */
	}
}

void worker_stop(struct worker_set *set)
{
	uint64_t units = set->count;

	atomic_store(&set->stopping, true);
	(void)!write(set->work_fd, &units, sizeof(units)); /* far from the counter's end */
}
