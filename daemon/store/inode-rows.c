/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode-rows.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/macro.h"
#include "base/mutex.h"
#include "store/inode-fd.h"
#include "store/inode.h"
#include "store/passthrough.h"

/* At least so many, because the table may grow beyond the arena's rows. */
#define BUCKETS_MIN (1u << 16)

/* Rows that inode_rows_make_more() makes at a time. They fill whole pages. */
#define MORE_PIECE 4096u

static uint32_t buckets_for(uint32_t count)
{
	uint32_t buckets = 1;

	while (buckets < MAX(count, BUCKETS_MIN) && buckets < 1u << 31)
		buckets *= 2;
	return buckets;
}

int inode_table_plan(struct arena *arena, uint32_t count)
{
	int r = arena_plan(arena, ARENA_INODES, sizeof(struct inode), count, CACHE_LINE_BYTES);

	r = r ? r
	      : arena_plan(arena, ARENA_INODE_COMMON, sizeof(struct inode_common), 1,
			   CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_INODE_HASH, sizeof(uint32_t), buckets_for(count),
			   CACHE_LINE_BYTES);
	/* the room is there from the start, as it counts as locked memory: once CAP_IPC_LOCK has
	 * been dropped, the limit may forbid a new mapping */
	return r ? r : arena_plan_more(arena, sizeof(struct inode), INODE_MORE_ROWS);
}

static void clear_row(struct inode *inode)
{
	*inode = (struct inode){
		.fd = -1,
		.dropping = -1,
		.hash_next = POOL_NONE,
		.older = POOL_NONE,
		.newer = POOL_NONE,
	};
	atomic_init(&inode->sync_fd, -1);
	atomic_init(&inode->backing_id, PASSTHROUGH_NONE);
}

int inode_rows_open(struct inode_table *table, struct arena *arena)
{
	uint32_t count = (uint32_t)arena->plan.span[ARENA_INODES].count;
	uint32_t buckets = (uint32_t)arena->plan.span[ARENA_INODE_HASH].count;
	int r;

	*table = (struct inode_table){
		.arena = arena,
		.rows = arena_table(arena, ARENA_INODES),
		.common = arena_table(arena, ARENA_INODE_COMMON),
		.buckets = arena_table(arena, ARENA_INODE_HASH),
		.more = arena_more(arena),
		.count = count,
		.bucket_mask = buckets - 1,
		.more_max = arena_more(arena) ? INODE_MORE_ROWS : 0,
		.more_free = POOL_NONE,
	};
	assert(is_power_of_two(buckets));
	table->pressure_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (table->pressure_fd < 0)
		return -errno;
	r = pool_init_in_use(&table->pool, 0, count);
	if (r < 0)
		goto err_fd;
	r = -pthread_mutex_init(&table->mutex, NULL);
	if (r < 0)
		goto err_pool;
	r = -pthread_mutex_init(&table->more_mutex, NULL);
	if (r < 0)
		goto err_mutex;
	inode_fd_init(table);
	return 0;

err_mutex:
	(void)pthread_mutex_destroy(&table->mutex); /* no thread has it */
err_pool:
	pool_destroy(&table->pool);
err_fd:
	close_fd(&table->pressure_fd);
	return r;
}

void inode_rows_clear_hash(struct inode_table *table)
{
	/* POOL_NONE */
	memset(table->buckets, 0xff, (table->bucket_mask + 1ul) * sizeof(*table->buckets));
}

int inode_table_init(struct inode_table *table, struct arena *arena)
{
	int r = inode_rows_open(table, arena);

	if (r < 0)
		return r;
	inode_rows_clear_hash(table);
	for (uint32_t i = 0; i < INODE_MOUNTS; i++)
		table->common->mounts[i].fd = -1;
	for (uint32_t i = table->count; i > 0; i--) {
		clear_row(&table->rows[i - 1]);
		pool_put(&table->pool, i - 1);
	}
	return 0;
}

uint32_t inode_row_count(const struct inode_table *table)
{
	return table->count + atomic_load(&table->common->more_made);
}

void inode_rows_close(struct inode_table *table)
{
	close_fd(&table->pressure_fd);
	pool_destroy(&table->pool);
	/* no other thread has a mutex now */
	(void)pthread_mutex_destroy(&table->more_mutex);
	(void)pthread_mutex_destroy(&table->mutex);
	table->count = 0;
}

void inode_table_destroy(struct inode_table *table)
{
	for (uint32_t i = 0; i < inode_row_count(table); i++) {
		struct inode *inode = inode_at(table, i);
		int sync_fd = atomic_exchange(&inode->sync_fd, -1);

		close_fd(&sync_fd);
		close_fd(&inode->fd);
	}
	inode_fd_destroy(table);
	atomic_store(&table->common->more_made, 0);
	inode_rows_close(table);
}

uint32_t *inode_bucket(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	return &table->buckets[inode_hash(dev, ino) & table->bucket_mask];
}

int inode_rows_make_more(struct inode_table *table)
{
	uint32_t first, made;
	bool enough;

	mutex_lock(&table->more_mutex);
	mutex_lock(&table->mutex);
	enough = table->more_free != POOL_NONE;
	made = atomic_load(&table->common->more_made);
	mutex_unlock(&table->mutex);
	if (!enough && (made + MORE_PIECE > table->more_max ||
			arena_make_more(table->arena, made, MORE_PIECE) < 0)) {
		mutex_unlock(&table->more_mutex);
		return -ENFILE;
	}
	if (!enough) {
		first = table->count + made;
		for (uint32_t i = 0; i < MORE_PIECE; i++) {
			clear_row(&table->more[made + i]);
			if (i + 1 < MORE_PIECE)
				table->more[made + i].hash_next = first + i + 1;
		}
		KILL_FENCE();
		mutex_lock(&table->mutex);
		table->more[made + MORE_PIECE - 1].hash_next = table->more_free;
		table->more_free = first;
		atomic_store(&table->common->more_made, made + MORE_PIECE);
		mutex_unlock(&table->mutex);
	}
	mutex_unlock(&table->more_mutex);
	return 0;
}

uint32_t inode_row_take(struct inode_table *table)
{
	uint32_t row = pool_take(&table->pool);

	if (row == POOL_NONE && table->more_free != POOL_NONE) {
		row = table->more_free;
		table->more_free = inode_at(table, row)->hash_next;
	}
	return row;
}

void inode_row_put(struct inode_table *table, uint32_t row)
{
	if (row < table->count) {
		pool_put(&table->pool, row);
	} else {
		inode_at(table, row)->hash_next = table->more_free;
		table->more_free = row;
	}
}

int inode_reserve(struct inode_table *table, uint32_t *ret_row)
{
	uint32_t row;
	int r = 0;

	do {
		mutex_lock(&table->mutex);
		row = inode_row_take(table);
		mutex_unlock(&table->mutex);
		if (row == POOL_NONE)
			r = inode_rows_make_more(table);
	} while (row == POOL_NONE && r == 0);
	if (r < 0) {
		atomic_fetch_add(&table->refusals, 1);
		return r;
	}
	*ret_row = row;
	return 0;
}

void inode_unreserve(struct inode_table *table, uint32_t row)
{
	mutex_lock(&table->mutex);
	inode_row_put(table, row);
	mutex_unlock(&table->mutex);
}
