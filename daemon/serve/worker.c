/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"
#include "handlers/dispatch.h"
#include "handlers/op-meta.h"
#include "serve/dropper.h"
#include "serve/gate.h"
#include "serve/outbox.h"
#include "serve/request.h"
#include "store/creds.h"

/* One worker's part of ARENA_WORKER_BUFFERS. */
struct worker_buffers {
	uint8_t lead[PAGE_BYTES - sizeof(struct fuse_out_header)];
	struct fuse_out_header out; /* directly before the body: a reply is one write */
	uint8_t body[CALL_OUT_LEN];
	uint8_t scratch[CALL_SCRATCH_LEN];
};

#define INBOXES 3 /* worker.h: inbox, changes, aside */

uint64_t worker_buffer_len(void)
{
	return sizeof(struct worker_buffers);
}

uint64_t worker_cells(uint32_t requests)
{
	uint64_t cells = 2;

	while (cells < requests)
		cells *= 2;
	return cells * INBOXES;
}

/* A quarter of COUNT workers never make changes, and no fewer than two; one always does. */
static uint32_t changing_max(uint32_t count)
{
	uint32_t lookers = MAX(count / 4, 2u);

	return count > lookers ? count - lookers : 1;
}

int worker_init(struct worker_set *set, const struct worker_config *config)
{
	const struct arena *arena = config->arena;
	uint64_t buffers = arena_off(arena, arena_table(arena, ARENA_META_BUFFERS));
	uint64_t cells = arena->plan.span[ARENA_META_RING].count / INBOXES;
	size_t stats_len = (config->count + config->queue_count) * sizeof(*set->stats);
	int r;

	*set = (struct worker_set){
		.arena = arena,
		.fs = config->fs,
		.gates = config->gates,
		.dropper = config->dropper,
		.outboxes = config->outboxes,
		.requests = arena_table(arena, ARENA_REQUESTS),
		.inbox.cells = arena_table(arena, ARENA_META_RING),
		.cell_mask = cells - 1,
		.changing_max = changing_max(config->count),
		.notes_progress = config->notes_progress,
		.count = config->count,
	};
	assert(is_power_of_two(cells) && cells >= arena->plan.span[ARENA_REQUESTS].count);

	r = lease_wait_init(&set->leases, config->slots, config->layout);
	if (r < 0)
		return r;
	r = pool_init_in_use(&set->slots, config->first_slot, config->slots);
	if (r < 0)
		goto err_leases;
	set->stats = aligned_alloc(CACHE_LINE_BYTES, stats_len);
	set->entered = calloc(config->count, sizeof(*set->entered));
	if (!set->stats || !set->entered) {
		r = -ENOMEM;
		goto err_pool;
	}
	memset(set->stats, 0, stats_len);
	for (uint32_t i = 0; i < config->count; i++)
		atomic_init(&set->stats[i].has, POOL_NONE);
	(void)sem_init(&set->work, 0, 0); /* can't fail with these */
	for (uint32_t i = 0; i < config->count; i++)
		(void)sem_init(&set->entered[i], 0, 0);

	for (uint32_t i = config->slots; i-- > 0;) {
		struct request *request = &set->requests[config->first_slot + i];

		if (config->inherits)
			continue;

		request_init(request, config->first_slot + i, 0,
			     buffers + i * request_stride(WORKER_MESSAGE_LEN), WORKER_MESSAGE_LEN);
		request->meta = true;
		pool_put(&set->slots, request->index);
	}
	set->changes.cells = set->inbox.cells + cells;
	set->aside.cells = set->changes.cells + cells;
	if (!config->inherits)
		worker_empty_inboxes(set);
	return 0;

err_pool:
	free(set->entered);
	free(set->stats);
	set->stats = NULL;
	pool_destroy(&set->slots);
err_leases:
	lease_wait_destroy(&set->leases);
	return r;
}

void worker_empty_inboxes(struct worker_set *set)
{
	uint64_t cells = set->cell_mask + 1;

	for (uint64_t i = 0; i < INBOXES * cells; i++)
		atomic_init(&set->inbox.cells[i].turn, i % cells);
}

void worker_destroy(struct worker_set *set)
{
	(void)sem_destroy(&set->work);
	for (uint32_t i = 0; i < set->count; i++)
		(void)sem_destroy(&set->entered[i]);
	free(set->entered);
	free(set->stats);
	set->stats = NULL;
	pool_destroy(&set->slots);
	lease_wait_destroy(&set->leases);
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
	request_count(slot);
	slot->qid = request->qid;
	slot->unique = request->unique;
	slot->opcode = request->opcode;
	slot->changes = request->changes;
	slot->parts = request->parts;
	slot->msg_len = request->msg_len;
	slot->inherited = request->inherited;
	slot->deaths = request->deaths;
	slot->progress = request->progress;
	slot->begun = false;
	memcpy(request_message(set->arena, slot), request_message(set->arena, request),
	       request->msg_len);
	/* last: from now on it is whole, in case the process dies */
	request_move(slot, REQUEST_RUN);
	return slot;
}

/* Puts REQUEST (state RUN) into INBOX. */
static void put(struct worker_set *set, struct worker_inbox *inbox, struct request *request)
{
	uint64_t at = atomic_fetch_add(&inbox->head, 1);
	struct worker_cell *cell = &inbox->cells[at & set->cell_mask];

	request_move(request, REQUEST_QUEUED);
	/* There are cells for all requests, and each is in the inbox only once. So the last reader
	 * of this cell has taken its request, and needs no more than to store the turn. */
	while (atomic_load_explicit(&cell->turn, memory_order_acquire) != at)
		;
	cell->index = request->index;
	atomic_store_explicit(&cell->turn, at + 1, memory_order_release);
}

static bool is_empty(const struct worker_inbox *inbox)
{
	return atomic_load(&inbox->tail) == atomic_load(&inbox->head);
}

/* The oldest request in INBOX, or NULL. */
static struct request *take(struct worker_set *set, struct worker_inbox *inbox)
{
	uint64_t at = atomic_load(&inbox->tail);
	struct worker_cell *cell;
	uint32_t index;

	do {
		if (at == atomic_load(&inbox->head))
			return NULL;
	} while (!atomic_compare_exchange_weak(&inbox->tail, &at, at + 1));

	cell = &inbox->cells[at & set->cell_mask];
	/* its submitter may not have filled it yet, though a later one has filled the next cell */
	while (atomic_load_explicit(&cell->turn, memory_order_acquire) != at + 1)
		;
	index = cell->index;
	atomic_store_explicit(&cell->turn, at + set->cell_mask + 1, memory_order_release);
	request_move(&set->requests[index], REQUEST_RUN);
	return &set->requests[index];
}

void worker_submit(struct worker_set *set, struct request *request)
{
	put(set, &set->inbox, request);
	(void)sem_post(&set->work); /* fails only beyond SEM_VALUE_MAX, of which we are far */
}

static void put_slot(struct worker_set *set, struct request *request)
{
	request_move(request, REQUEST_FREE);
	pool_put(&set->slots, request->index);
}

/* Ends REQUEST without an answer. */
static void drop(struct worker_set *set, struct request *request)
{
	if (request->meta)
		put_slot(set, request);
	else
		outbox_drop(&set->outboxes[request->qid], request);
}

/* Answers REQUEST with ERROR or with CALL's body. Returns 0 or -errno. */
static int answer(struct worker_set *set, struct request *request, struct fuse_out_header *out,
		  int error, const struct call *call)
{
	bool meta = request->meta;
	int r;

	*out = (struct fuse_out_header){
		.len = (uint32_t)sizeof(*out) + (error < 0 ? 0 : call->out_len),
		.error = request_error(error),
		.unique = request->unique,
	};
	request->drops = error == 0 && call->drops;
	if (request->drops)
		request->drop = call->drop;
	request_set_reply(set->arena, request, out);
	request_move(request, REQUEST_REPLY);
	if (request->drops) {
		request_copy_reply(set->arena, request);
		if (dropper_put(set->dropper, request))
			return 0;
	}
	r = outbox_answer(&set->outboxes[request->qid], request);
	if (meta)
		put_slot(set, request);
	return r;
}

void worker_dropped(void *arg, struct request *request)
{
	struct worker_set *set = arg;
	bool meta = request->meta;

	/* fails if the client doesn't wait for it any more */
	(void)outbox_answer(&set->outboxes[request->qid], request);
	if (meta)
		put_slot(set, request);
}

static struct worker_buffers *buffers_of(const struct worker_set *set, uint32_t number)
{
	return (struct worker_buffers *)arena_table(set->arena, ARENA_WORKER_BUFFERS) + number;
}

/* REQUEST's handler has run in worker NUMBER and returned R, with its answer in CALL. */
static void finish(struct worker_set *set, uint32_t number, struct request *request, int r,
		   const struct call *call)
{
	struct worker_stats *stats = &set->stats[number];

	lease_wait_leave(&set->leases, request);
	atomic_fetch_add_explicit(&stats->calls, 1, memory_order_relaxed);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->errors, 1, memory_order_relaxed);
	if (dispatch_entry(request->opcode)->no_reply && r >= 0) {
		drop(set, request);
		return;
	}
	assert(r <= 0);
	r = answer(set, request, &buffers_of(set, number)->out, r, call);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->lost, 1, memory_order_relaxed);
}

/* Answers all requests that were put aside: no round will come any more. Worker NUMBER. */
static void end_waiting(struct worker_set *set, uint32_t number)
{
	const struct call call = { .fs = set->fs };
	struct request *request;

	while ((request = take(set, &set->aside)))
		finish(set, number, request, -EINTR, &call);
}

/*
 * Puts REQUEST aside to wait for a lease. Returns 0, and takes it; or the error to answer with. A
 * message in a data slot is copied to a metadata slot first, so that the data slot is free.
 */
static int put_aside(struct worker_set *set, uint32_t number, struct request *request)
{
	struct request *waiter = request;

	if (atomic_load(&set->stopping) || lease_wait_is_interrupted(&set->leases, request->unique))
		return -EINTR;
	if (lease_wait_is_over(&set->leases, request))
		return -EAGAIN;
	if (!request->meta && !request->entry)
		waiter = worker_adopt(set, request);
	if (!waiter)
		return -EAGAIN;
	if (!lease_wait_enter(&set->leases, waiter)) {
		if (waiter != request)
			put_slot(set, waiter);
		return -EAGAIN;
	}
	if (waiter != request)
		drop(set, request);
	put(set, &set->aside, waiter);
	lease_wait_count(&set->leases);
	if (atomic_load(&set->stopping))
		end_waiting(set, number); /* worker_stop_waiting() may have missed it */
	return 0;
}

void worker_entered(void *arg, struct request *request)
{
	struct worker_set *set = arg;

	if (request->worker != POOL_NONE)
		(void)sem_post(&set->entered[request->worker]); /* one at a time */
	else
		outbox_return(&set->outboxes[request->qid], request);
}

/* Worker NUMBER enters the gate of REQUEST, whose call is CALL, if it needs one. */
static void enter_gate(struct worker_set *set, uint32_t number, struct request *request,
		       const struct call *call)
{
	uint32_t row = op_gate(call);

	if (row == POOL_NONE)
		return;
	request->worker = number;
	if (gate_enter(set->gates, row, GATE_CACHED, request))
		return;
	while (sem_wait(&set->entered[number]) < 0)
		; /* EINTR */
	request_move(request, REQUEST_RUN);
}

/* Has CALL, which is about REQUEST, note its progress in the arena. */
static void note_progress(const struct worker_set *set, struct request *request, struct call *call)
{
	if (!set->notes_progress)
		return;
	call->progress = &request->progress;
	if (request->opcode != FUSE_READDIRPLUS)
		return; /* it looks up one name at most */
	/* the reply stands elsewhere, so there is room in the lead page */
	call->nodeids = request_short_body(set->arena, request);
	call->nodeids_count = REQUEST_SHORT / sizeof(*call->nodeids);
}

/*
 * REQUEST's handler has done nothing, as it would have to wait. What was noted is of this moment,
 * unless it is what a process had done that has died.
 */
static void forget_try(struct request *request)
{
	if (request->inherited)
		return;
	request->progress.noted = false;
	KILL_FENCE();
	request->progress = (struct progress){ 0 };
}

/* Runs REQUEST's handler in worker NUMBER and answers it. */
static void handle(struct worker_set *set, uint32_t number, struct request *request)
{
	const struct dispatch_entry *entry = dispatch_entry(request->opcode);
	struct worker_buffers *buffers = buffers_of(set, number);
	struct call call = {
		.fs = set->fs,
		.around = request->opcode == FUSE_WRITE && request->around,
		.out = buffers->body,
		.out_cap = sizeof(buffers->body),
		.scratch = buffers->scratch,
	};
	int r;

	call_load(&call, request_message(set->arena, request), &request->parts);
	note_progress(set, request, &call);
	request->begun = true;
	call.again = request->inherited;
	if (call.again)
		dispatch_take_back(&call);
	if (request->deaths >= REQUEST_DEATHS_MAX) {
		finish(set, number, request, entry->no_reply ? 0 : -EIO, &call);
		return;
	}
	enter_gate(set, number, request, &call);
	r = dispatch_handle(entry, &call);
	if (request->in_gate)
		gate_leave(set->gates, request);
	if (r == CALL_WAITS) {
		forget_try(request);
		r = put_aside(set, number, request);
		if (r == 0)
			return;
	}
	dispatch_slow_down(entry, set->fs);
	assert(call.out_len <= call.out_cap);
	finish(set, number, request, r, &call);
}

static void run(struct worker_set *set, uint32_t number, struct request *request)
{
	atomic_store_explicit(&set->stats[number].has, request->index, memory_order_relaxed);
	handle(set, number, request);
	atomic_store_explicit(&set->stats[number].has, POOL_NONE, memory_order_relaxed);
}

bool worker_run_inline(struct worker_set *set, uint32_t qid, struct request *request,
		       const struct call *parsed, int *ret_error, uint32_t *ret_body_len)
{
	const struct dispatch_entry *entry = dispatch_entry(request->opcode);
	uint32_t number = set->count + qid;
	struct worker_buffers *buffers = buffers_of(set, number);
	struct worker_stats *stats = &set->stats[number];
	struct call call = *parsed;
	int r;

	assert(entry->nonblocking); /* any other handler could hold the queue up (S7) */
	call.out = buffers->body;
	call.out_cap = sizeof(buffers->body);
	call.scratch = buffers->scratch;
	call.nonblocking = true;
	note_progress(set, request, &call);
	r = dispatch_handle(entry, &call);
	if (r == CALL_WAITS) {
		forget_try(request);
		return false;
	}

	assert(r <= 0 && call.out_len <= REQUEST_SHORT);
	atomic_fetch_add_explicit(&stats->calls, 1, memory_order_relaxed);
	if (r < 0)
		atomic_fetch_add_explicit(&stats->errors, 1, memory_order_relaxed);
	*ret_error = r;
	*ret_body_len = r < 0 ? 0 : call.out_len;
	memcpy(request_short_body(set->arena, request), buffers->body, *ret_body_len);
	return true;
}

/* Counts the calling worker as one that makes changes, if one more may. Returns whether it may. */
static bool begin_changing(struct worker_set *set)
{
	uint32_t changing = atomic_load(&set->changing);

	do {
		if (changing >= set->changing_max)
			return false;
	} while (!atomic_compare_exchange_weak(&set->changing, &changing, changing + 1));
	return true;
}

/* Worker NUMBER makes REQUEST's change, or leaves it to workers that make others. */
static void make_changes(struct worker_set *set, uint32_t number, struct request *request)
{
	put(set, &set->changes, request);
	while (!is_empty(&set->changes) && begin_changing(set)) {
		while ((request = take(set, &set->changes)))
			run(set, number, request);
		atomic_fetch_sub(&set->changing, 1);
	}
}

void worker_retry(struct worker_set *set)
{
	uint32_t count = lease_wait_begin_round(&set->leases);
	struct request *request;

	/* there may be fewer: worker_stop_waiting() takes them, too */
	for (uint32_t i = 0; i < count && (request = take(set, &set->aside)); i++)
		worker_submit(set, request);
	lease_wait_end_round(&set->leases, count);
}

void worker_interrupt(struct worker_set *set, uint64_t unique)
{
	lease_wait_interrupt(&set->leases, unique);
}

void worker_run(struct worker_set *set, uint32_t number)
{
	struct request *request;

	for (;;) {
		if (sem_wait(&set->work) < 0)
			continue; /* EINTR */
		request = take(set, &set->inbox);
		if (request && request->changes)
			make_changes(set, number, request);
		else if (request)
			run(set, number, request);
		else if (atomic_load(&set->stopping))
			break; /* this was the unit for its end */
	}
}

void worker_stop_waiting(struct worker_set *set)
{
	struct request *request;

	atomic_store(&set->stopping, true);
	while ((request = take(set, &set->aside)))
		worker_submit(set, request); /* put_aside() refuses it, and it is answered */
}

void worker_stop(struct worker_set *set)
{
	worker_stop_waiting(set);
	for (uint32_t i = 0; i < set->count; i++)
		(void)sem_post(&set->work);
}
