/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arena is one memfd that holds all tables and buffers of the server. Their sizes are fixed
 * before the first request, so that serving allocates nothing (S4). The arena holds no pointers:
 * rows refer to each other by index and to buffers by offset. Therefore another process can map
 * it at any address.
 *
 * Call arena_plan() for each table, then arena_create() once, then arena_table() for the rows.
 *
 * One table may have room for more rows in a mapping of its own. It is address space only, until
 * arena_make_more() gives it memory. It counts as locked memory nevertheless, so a process whose
 * limit is too low has no such room.
 */
#ifndef CAISSON_ARENA_H
#define CAISSON_ARENA_H

#include <stdbool.h>
#include <stdint.h>

enum arena_table {
	ARENA_QUEUE_STATS,    /* struct stats_queue, one for each queue */
	ARENA_REQUESTS,	      /* struct request: the slots of all queues, then the metadata slots */
	ARENA_IOS,	      /* struct io, with the index of its row in ARENA_REQUESTS */
	ARENA_DATA_BUFFERS,   /* for each queue slot: a lead page and max_write bytes of payload */
	ARENA_META_BUFFERS,   /* for each metadata slot: a lead page and a message */
	ARENA_WORKER_BUFFERS, /* reply and scratch buffers: of each worker, then each queue */
	ARENA_META_RING,      /* the metadata workers' inboxes */
	ARENA_INODES,	      /* struct inode; with room for more */
	ARENA_INODE_COMMON,   /* struct inode_common, one */
	ARENA_INODE_HASH,     /* uint32_t buckets */
	ARENA_FILES,	      /* struct file */
	ARENA_PREALLOC,	      /* see prealloc.h */
	ARENA_HANDOVER,	      /* struct handover, one; only with recovery=on */
	ARENA_TABLES
};

struct arena_span {
	uint64_t off, row_len, count;
};

/* The first page of the memfd. */
struct arena_header {
	uint64_t magic;
	uint32_t version;
	uint32_t tables;
	uint64_t len; /* without `more` */
	struct arena_span span[ARENA_TABLES];
	struct arena_span more; /* off is len; count 0: no table has room for more */
};

#define ARENA_MAGIC 0x6e6f737369616321ull
#ifndef ARENA_VERSION /* a test makes a program with another layout */
#define ARENA_VERSION 9u
#endif

struct arena {
	uint8_t *base; /* mapping in this process; NULL until arena_create() */
	uint8_t *more; /* mapping of the room for more rows, or NULL */
	int memfd;
	struct arena_header plan;
};

/* Starts an empty plan. */
void arena_init(struct arena *arena);

/*
 * Plans TABLE with COUNT rows of ROW_LEN bytes. The first row is aligned to ALIGN, a power of two
 * of at most one page. Returns 0, or -EOVERFLOW if the arena's length exceeds 63 bits.
 */
int arena_plan(struct arena *arena, enum arena_table table, uint64_t row_len, uint64_t count,
	       uint64_t align);

/*
 * Plans room for COUNT more rows of ROW_LEN bytes, which have no memory yet; once at most. Returns
 * 0, or -EOVERFLOW.
 */
int arena_plan_more(struct arena *arena, uint64_t row_len, uint64_t count);

/* The arena's length in bytes, a multiple of the page size, without the room for more rows. */
uint64_t arena_len(const struct arena *arena);

/*
 * Creates the memfd, reserves its memory and maps it. Memory that is missing is reported here
 * rather than by a signal at first use, and no later access faults (S3). Returns 0 or -errno
 * (-ENOMEM, -EMFILE, -ENFILE).
 */
int arena_create(struct arena *arena);

/* The first of the rows that arena_plan_more() made room for, or NULL if there is no room. */
void *arena_more(const struct arena *arena);

/*
 * Gives memory to COUNT of these rows from FIRST on, and makes them usable in this process. Rows
 * that have memory already keep what is in them. FIRST and COUNT must fill whole pages. Returns 0
 * or -errno: -ENOSPC or -ENOMEM if there is no memory or no room.
 */
int arena_make_more(struct arena *arena, uint64_t first, uint64_t count);

/*
 * Maps the existing arena in MEMFD and checks its header against its length. On success the arena
 * owns MEMFD. Returns 0, -EBADMSG if the header is unsound, or -errno.
 */
int arena_attach(struct arena *arena, int memfd);

/* Whether ARENA's tables are laid out as PLAN's, which arena_create() wasn't called for. */
bool arena_is_as_planned(const struct arena *arena, const struct arena *plan);

void arena_destroy(struct arena *arena);

/* The first row of TABLE in this mapping. It never moves, so any thread may call this. */
void *arena_table(const struct arena *arena, enum arena_table table);

static inline void *arena_at(const struct arena *arena, uint64_t off)
{
	return arena->base + off;
}

static inline uint64_t arena_off(const struct arena *arena, const void *pointer)
{
	return (uint64_t)((const uint8_t *)pointer - arena->base);
}

#endif
