/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/sync-group.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "serve/gate.h"
#include "serve/request.h"
#include "store/inode.h"

/*
 * A group is one word: how many have no result yet (bits 32 to 63), and the first parked request
 * (its index + 1 in bits 0 to 31; 0: none). While any is parked, the number isn't 0.
 */
#define ONE (1ull << 32)

static _Atomic uint64_t *group_of(const struct gate_table *table, uint32_t row)
{
	return &inode_at(table->inodes, row)->syncs;
}

static uint32_t parked_of(uint64_t word)
{
	return (uint32_t)word - 1; /* POOL_NONE: none */
}

void sync_group_join(struct gate_table *table, uint32_t row, struct request *request)
{
	assert(!request->in_gate);
	request->gate = row;
	request->in_gate = true;
	atomic_fetch_add(group_of(table, row), ONE);
}

static void let_all_go(struct gate_table *table, uint32_t first)
{
	for (uint32_t index = first; index != POOL_NONE;) {
		struct request *request = &table->requests[index];

		index = request->next;
		table->entered(table->arg, request);
	}
}

bool sync_group_leave(struct gate_table *table, struct request *request)
{
	_Atomic uint64_t *group = group_of(table, request->gate);
	uint64_t word = ONE;

	assert(request->in_gate);
	request->in_gate = false;
	if (atomic_compare_exchange_strong(group, &word, 0)) /* it was alone */
		return true;
	request_move(request, REQUEST_GATE);
	for (;;) {
		assert(word >= ONE);
		if (word < 2 * ONE) {
			if (!atomic_compare_exchange_weak(group, &word, 0))
				continue;
			request_move(request, REQUEST_RUN);
			let_all_go(table, parked_of(word));
			return true;
		}
		request->next = parked_of(word);
		if (atomic_compare_exchange_weak(group, &word,
						 ((word >> 32) - 1) << 32 | (request->index + 1)))
			return false;
	}
}
