/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Value of next[i] while row i is in use. With it pool_put() detects a row that is put twice. */
#define IN_USE (UINT32_MAX - 1)

static uint64_t head_make(uint64_t old, uint32_t index)
{
	return ((old >> 32) + 1) << 32 | index;
}

int pool_init_in_use(struct pool *pool, uint32_t first, uint32_t count)
{
	assert(count < IN_USE - first);

	*pool = (struct pool){ .first = first, .count = count };
	pool->next = calloc(count ? count : 1, sizeof(*pool->next));
	if (!pool->next)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		atomic_init(&pool->next[i], IN_USE);
	atomic_init(&pool->head, POOL_NONE);
	return 0;
}

int pool_init(struct pool *pool, uint32_t first, uint32_t count)
{
	int r = pool_init_in_use(pool, first, count);

	/* the lowest index is on top, so that few requests use few rows, which stay in the cache */
	for (uint32_t i = count; r == 0 && i > 0; i--)
		pool_put(pool, first + i - 1);
	return r;
}

void pool_destroy(struct pool *pool)
{
	free(pool->next);
	pool->next = NULL;
}

static bool told_to_fail(struct pool *pool)
{
	uint32_t left = atomic_load_explicit(&pool->fail_in, memory_order_relaxed);

	while (left) {
		if (atomic_compare_exchange_weak(&pool->fail_in, &left, left - 1))
			return left == 1;
	}
	return false;
}

uint32_t pool_take(struct pool *pool)
{
	uint64_t head = atomic_load(&pool->head);
	uint32_t index, below;

	if (told_to_fail(pool)) {
		atomic_fetch_add(&pool->shortages, 1);
		return POOL_NONE;
	}
	do {
		index = (uint32_t)head;
		if (index == POOL_NONE) {
			atomic_fetch_add(&pool->shortages, 1);
			return POOL_NONE;
		}
		/* if another thread takes the row first, `below` is stale, but the tag differs */
		below = atomic_load(&pool->next[index - pool->first]);
	} while (!atomic_compare_exchange_weak(&pool->head, &head, head_make(head, below)));

	atomic_store(&pool->next[index - pool->first], IN_USE);
	atomic_fetch_sub_explicit(&pool->free, 1, memory_order_relaxed);
	return index;
}

void pool_put(struct pool *pool, uint32_t index)
{
	uint32_t row = index - pool->first;
	uint64_t head = atomic_load(&pool->head);

	assert(index >= pool->first && row < pool->count);
	assert(atomic_load(&pool->next[row]) == IN_USE);
	atomic_fetch_add_explicit(&pool->free, 1, memory_order_relaxed);
	do
		atomic_store(&pool->next[row], (uint32_t)head);
	while (!atomic_compare_exchange_weak(&pool->head, &head, head_make(head, index)));
}
