/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock-owner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cleanup.h"
#include "macro.h"

#define RANGES_PER_ROW 4u

int lock_owners_plan(struct arena *arena, uint32_t count)
{
	/* one table: all rows, then all ranges */
	return arena_plan(arena, ARENA_LOCKS,
			  sizeof(struct lock_owner) + RANGES_PER_ROW * sizeof(struct lock_range),
			  count, CACHE_LINE_BYTES);
}

int lock_owners_init(struct lock_owners *owners, const struct arena *arena)
{
	uint32_t count = (uint32_t)arena->plan.span[ARENA_LOCKS].count;
	uint32_t buckets = 1;
	int r;

	while (buckets < count)
		buckets *= 2;
	*owners = (struct lock_owners){
		.rows = arena_table(arena, ARENA_LOCKS),
		.count = count,
		.bucket_mask = buckets - 1,
	};
	owners->ranges = (struct lock_range *)(owners->rows + count);
	owners->buckets = malloc(buckets * sizeof(*owners->buckets));
	if (!owners->buckets)
		return -ENOMEM;
	memset(owners->buckets, 0xff, buckets * sizeof(*owners->buckets)); /* POOL_NONE */
	for (uint32_t i = 0; i < count; i++)
		owners->rows[i] = (struct lock_owner){ .fd = -1 };

	r = pool_init(&owners->pool, 0, count);
	if (r < 0)
		goto err_buckets;
	r = pool_init(&owners->range_pool, 0, count * RANGES_PER_ROW);
	if (r < 0)
		goto err_pool;
	return 0;

err_pool:
	pool_destroy(&owners->pool);
err_buckets:
	free(owners->buckets);
	owners->buckets = NULL;
	return r;
}

void lock_owners_destroy(struct lock_owners *owners)
{
	for (uint32_t i = 0; i < owners->count; i++)
		close_fd(&owners->rows[i].fd);
	pool_destroy(&owners->range_pool);
	pool_destroy(&owners->pool);
	free(owners->buckets);
	owners->buckets = NULL;
	owners->count = 0;
}

static uint32_t *bucket(struct lock_owners *owners, uint64_t nodeid)
{
	/* a nodeid's low half is a row of the inode table: it spreads by itself */
	return &owners->buckets[(uint32_t)nodeid & owners->bucket_mask];
}

struct lock_owner *lock_owner_find(struct lock_owners *owners, uint64_t nodeid, uint64_t owner)
{
	uint32_t i = *bucket(owners, nodeid);

	while (i != POOL_NONE) {
		struct lock_owner *row = &owners->rows[i];

		if (row->nodeid == nodeid && row->owner == owner)
			return row;
		i = row->next;
	}
	return NULL;
}

struct lock_owner *lock_owner_add(struct lock_owners *owners, uint64_t nodeid, uint64_t owner,
				  int *fd)
{
	uint32_t *head = bucket(owners, nodeid);
	uint32_t i = pool_take(&owners->pool);
	struct lock_owner *row;

	if (i == POOL_NONE)
		return NULL;
	row = &owners->rows[i];
	assert(row->fd < 0);
	*row = (struct lock_owner){
		.nodeid = nodeid,
		.owner = owner,
		.fd = steal_fd(fd),
		.ranges = POOL_NONE,
		.next = *head,
	};
	*head = i;
	atomic_fetch_add(&owners->used, 1);
	return row;
}

int lock_owner_remove(struct lock_owners *owners, struct lock_owner *row)
{
	uint32_t i = (uint32_t)(row - owners->rows);
	uint32_t *link = bucket(owners, row->nodeid);
	int fd;

	assert(row->waiters == 0);
	while (*link != i) {
		assert(*link != POOL_NONE);
		link = &owners->rows[*link].next;
	}
	*link = row->next;
	while (row->ranges != POOL_NONE) {
		uint32_t range = row->ranges;

		row->ranges = owners->ranges[range].next;
		pool_put(&owners->range_pool, range);
	}
	fd = steal_fd(&row->fd);
	atomic_fetch_sub(&owners->used, 1);
	pool_put(&owners->pool, i);
	return fd;
}

static bool overlaps(const struct lock_range *range, uint64_t start, uint64_t end)
{
	return range->start <= end && start <= range->end;
}

/* Ends are at most INT64_MAX: adding 1 is safe. */
static bool touches(const struct lock_range *range, uint64_t start, uint64_t end)
{
	return range->start <= end + 1 && start <= range->end + 1;
}

/* Whether [START, END] of TYPE cuts a range of ROW into two. */
static bool splits(const struct lock_owners *owners, const struct lock_owner *row, uint32_t type,
		   uint64_t start, uint64_t end)
{
	for (uint32_t i = row->ranges; i != POOL_NONE; i = owners->ranges[i].next) {
		const struct lock_range *range = &owners->ranges[i];

		if (range->type != type && range->start < start && range->end > end)
			return true;
	}
	return false;
}

int lock_owner_reserve(struct lock_owners *owners, const struct lock_owner *row, uint32_t type,
		       uint64_t start, uint64_t end, struct lock_spares *ret_spares)
{
	uint32_t needed = (type != F_UNLCK) + splits(owners, row, type, start, end);

	*ret_spares = (struct lock_spares){ { POOL_NONE, POOL_NONE } };
	for (uint32_t i = 0; i < needed; i++) {
		ret_spares->range[i] = pool_take(&owners->range_pool);
		if (ret_spares->range[i] == POOL_NONE) {
			lock_owner_unreserve(owners, ret_spares);
			return -ENOLCK;
		}
	}
	return 0;
}

void lock_owner_unreserve(struct lock_owners *owners, struct lock_spares *spares)
{
	for (unsigned i = 0; i < ARRAY_SIZE(spares->range); i++) {
		if (spares->range[i] != POOL_NONE)
			pool_put(&owners->range_pool, spares->range[i]);
		spares->range[i] = POOL_NONE;
	}
}

/* Puts a range before *LINK. There is a spare left for it. */
static void insert(struct lock_owners *owners, struct lock_spares *spares, uint32_t *link,
		   struct lock_range range)
{
	unsigned which = spares->range[0] == POOL_NONE;
	uint32_t i = spares->range[which];

	assert(i != POOL_NONE);
	spares->range[which] = POOL_NONE;
	range.next = *link;
	owners->ranges[i] = range;
	*link = i;
}

static void unlink_range(struct lock_owners *owners, uint32_t *link)
{
	uint32_t i = *link;

	*link = owners->ranges[i].next;
	pool_put(&owners->range_pool, i);
}

/* Takes [START, END] out of the range at *LINK, which overlaps it. */
static void cut(struct lock_owners *owners, struct lock_spares *spares, uint32_t *link,
		uint64_t start, uint64_t end)
{
	struct lock_range *range = &owners->ranges[*link];

	if (range->start < start && range->end > end) {
		struct lock_range upper = *range;

		upper.start = end + 1;
		range->end = start - 1;
		insert(owners, spares, &range->next, upper);
	} else if (range->start < start) {
		range->end = start - 1;
	} else if (range->end > end) {
		range->start = end + 1;
	} else {
		unlink_range(owners, link);
	}
}

void lock_owner_set(struct lock_owners *owners, struct lock_owner *row, uint32_t type,
		    uint64_t start, uint64_t end, struct lock_spares *spares)
{
	uint32_t *link = &row->ranges;

	while (*link != POOL_NONE) {
		uint32_t i = *link;
		struct lock_range *range = &owners->ranges[i];

		if (range->type == type && touches(range, start, end)) {
			/*
			 * Grows over what is of this type already: nothing else is there, and
			 * nothing of this type touches it, so what was passed needn't be looked at
			 * again.
			 */
			start = MIN(start, range->start);
			end = MAX(end, range->end);
			unlink_range(owners, link);
		} else if (range->type != type && overlaps(range, start, end)) {
			cut(owners, spares, link, start, end);
		}
		if (*link == i)
			link = &range->next;
	}
	if (type != F_UNLCK)
		insert(owners, spares, &row->ranges,
		       (struct lock_range){ .start = start, .end = end, .type = type });
	lock_owner_unreserve(owners, spares);
}

struct lock_owner *lock_owners_conflict(struct lock_owners *owners, uint64_t nodeid, uint64_t owner,
					uint32_t type, uint64_t start, uint64_t end,
					struct lock_range *ret_range)
{
	for (uint32_t i = *bucket(owners, nodeid); i != POOL_NONE; i = owners->rows[i].next) {
		struct lock_owner *row = &owners->rows[i];

		if (row->nodeid != nodeid || row->owner == owner)
			continue;
		for (uint32_t k = row->ranges; k != POOL_NONE; k = owners->ranges[k].next) {
			const struct lock_range *range = &owners->ranges[k];

			if (!overlaps(range, start, end) ||
			    (type == F_RDLCK && range->type == F_RDLCK))
				continue;
			if (ret_range)
				*ret_range = *range;
			return row;
		}
	}
	return NULL;
}

struct lock_owner *lock_owners_by_fh(struct lock_owners *owners, uint64_t nodeid, uint64_t fh)
{
	for (uint32_t i = *bucket(owners, nodeid); i != POOL_NONE; i = owners->rows[i].next) {
		if (owners->rows[i].nodeid == nodeid && owners->rows[i].fh == fh)
			return &owners->rows[i];
	}
	return NULL;
}
