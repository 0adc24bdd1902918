/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arena: one memfd that holds everything that the server needs while it serves, as fixed
 * tables that are laid out before the first request. Nothing in it is a pointer: rows name each
 * other by index, and buffers by their offset (S4). So another process can map it anywhere.
 *
 * Use: arena_plan() for each table, arena_create() once, then arena_table() for the rows.
 */
#ifndef CAISSON_ARENA_H
#define CAISSON_ARENA_H

#include <stdint.h>

enum arena_table {
	ARENA_QUEUE_STATS,  /* struct stats_queue, one a queue */
	ARENA_REQUESTS,	    /* struct request, the slots of every queue, then the metadata slots */
	ARENA_IOS,	    /* struct io, same index as ARENA_REQUESTS */
	ARENA_DATA_BUFFERS, /* a lead page and max_write bytes of payload a queue slot */
	ARENA_META_BUFFERS, /* a lead page and a message a metadata slot */
	ARENA_WORKER_BUFFERS, /* reply and scratch buffers, one a metadata worker */
	ARENA_META_RING,      /* the metadata workers' inbox */
	ARENA_INODES,	      /* struct inode */
	ARENA_INODE_HASH,     /* uint32_t buckets */
	ARENA_FILES,	      /* struct file */
	ARENA_PREALLOC,	      /* see prealloc.h */
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
	uint64_t len;
	struct arena_span span[ARENA_TABLES];
};

#define ARENA_MAGIC   0x6e6f737369616321ull
#define ARENA_VERSION 3u

struct arena {
	uint8_t *base; /* this process's mapping, NULL while planning */
	int memfd;
	struct arena_header plan;
};

/* Begins an empty plan. */
void arena_init(struct arena *arena);

/*
 * Plans TABLE as COUNT rows of ROW_LEN bytes, the first row aligned to ALIGN (a power of two of at
 * most a page). Returns 0, or -EOVERFLOW where the arena's length no longer fits in 63 bits.
 */
int arena_plan(struct arena *arena, enum arena_table table, uint64_t row_len, uint64_t count,
	       uint64_t align);

/* The bytes that arena_create() will take, a multiple of the page size. */
uint64_t arena_len(const struct arena *arena);

/*
 * Makes the memfd, maps it shared and populates every page, so that no later access faults (S3)
 * and lack of memory shows here. Returns 0 or -errno (-ENOMEM, -EMFILE, -ENFILE).
 */
int arena_create(struct arena *arena);

/*
 * Checks the header found in MEMFD against its length and maps it: 0, -EBADMSG or -errno. Takes
 * MEMFD over when it succeeds.
 */
int arena_attach(struct arena *arena, int memfd);

void arena_destroy(struct arena *arena);

/* The first row of TABLE in this mapping. Constant after arena_create(): any thread. */
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
