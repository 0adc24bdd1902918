/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools: exhaustion, every order of failure, and many threads at once. */
#include "base/pool.h"

#include <pthread.h>

#include "base/macro.h"
#include "test.h"

static void hands_out_each_row_once(void)
{
	struct pool pool;
	uint32_t rows[8];
	bool seen[8] = { false };

	CHECK(pool_init(&pool, 100, ARRAY_SIZE(rows)) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		rows[i] = pool_take(&pool);
		CHECK(rows[i] >= 100 && rows[i] < 108);
		CHECK(!seen[rows[i] - 100]);
		seen[rows[i] - 100] = true;
	}
	CHECK(pool_take(&pool) == POOL_NONE);
	CHECK(atomic_load(&pool.shortages) == 1);
	CHECK(atomic_load(&pool.free) == 0);
	pool_put(&pool, rows[3]);
	CHECK(pool_take(&pool) == rows[3]);
	pool_destroy(&pool);
}

static void empty_pool_has_nothing(void)
{
	struct pool pool;

	CHECK(pool_init(&pool, 0, 0) == 0);
	CHECK(pool_take(&pool) == POOL_NONE);
	pool_destroy(&pool);
}

static void fails_when_told(void)
{
	for (uint32_t nth = 1; nth <= 4; nth++) {
		struct pool pool;

		CHECK(pool_init(&pool, 0, 4) == 0);
		atomic_store(&pool.fail_in, nth);
		for (uint32_t i = 1; i <= 4; i++)
			CHECK((pool_take(&pool) == POOL_NONE) == (i == nth));
		CHECK(atomic_load(&pool.free) == 1);
		pool_destroy(&pool);
	}
}

enum { THREADS = 4, ROUNDS = 200000, ROWS = 3 };

struct contest {
	struct pool pool;
	_Atomic uint32_t owners[ROWS];
	_Atomic uint32_t clashes;
};

static void *contend(void *arg)
{
	struct contest *contest = arg;

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t row = pool_take(&contest->pool);

		if (row == POOL_NONE)
			continue;
		if (atomic_fetch_add(&contest->owners[row], 1) != 0)
			atomic_fetch_add(&contest->clashes, 1);
		atomic_fetch_sub(&contest->owners[row], 1);
		pool_put(&contest->pool, row);
	}
	return NULL;
}

/* Few rows and many threads: the head's tag is what keeps a row from having two owners. */
static void one_owner_at_a_time(void)
{
	static struct contest contest;
	pthread_t threads[THREADS];

	CHECK(pool_init(&contest.pool, 0, ROWS) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, contend, &contest) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(atomic_load(&contest.clashes) == 0);
	CHECK(atomic_load(&contest.pool.free) == ROWS);
	for (int i = 0; i < ROWS; i++)
		CHECK(pool_take(&contest.pool) != POOL_NONE);
	CHECK(pool_take(&contest.pool) == POOL_NONE);
	pool_destroy(&contest.pool);
}

int main(void)
{
	RUN(hands_out_each_row_once);
	RUN(empty_pool_has_nothing);
	RUN(fails_when_told);
	RUN(one_owner_at_a_time);
	return test_result();
}
