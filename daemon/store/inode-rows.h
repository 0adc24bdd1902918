/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rows of the inode table: how they are stored, which ones are free, and the hash chains that
 * lead to those in use. Private to inode.c and its parts.
 *
 * The arena has a fixed number of rows. When all of them are in use, more are made in its
 * room for them.
 */
#ifndef CAISSON_INODE_ROWS_H
#define CAISSON_INODE_ROWS_H

#include <stdint.h>

#include "base/macro.h"

struct arena;
struct inode_table;

#define INODE_ROOT_ROW 0u

/* Empties all hash chains. */
void inode_rows_clear_hash(struct inode_table *table);

/* Makes all of TABLE but its rows, none of which is free. Allocates. Returns 0 or -errno. */
int inode_rows_open(struct inode_table *table, struct arena *arena);

/* Frees what inode_rows_open() made. Before there are other threads, or after they have ended. */
void inode_rows_close(struct inode_table *table);

/* Rows that exist, in use or free. Any thread. */
uint32_t inode_row_count(const struct inode_table *table);

/* Takes a free row. POOL_NONE: there is none until inode_rows_make_more(). The mutex is held. */
uint32_t inode_row_take(struct inode_table *table);

/* Gives ROW back, which is in no chain. The mutex is held. */
void inode_row_put(struct inode_table *table, uint32_t row);

/*
 * Makes more rows, unless some are free by now. Returns 0, or -ENFILE if there is no address space
 * or no memory. The mutex isn't held.
 */
int inode_rows_make_more(struct inode_table *table);

static inline uint64_t inode_hash(uint64_t dev, uint64_t ino)
{
	return mix_bits(ino + dev * 0x9e3779b97f4a7c15ull);
}

/* Where the chain of DEV and INO begins: its first row, or POOL_NONE. The mutex is held. */
uint32_t *inode_bucket(struct inode_table *table, uint64_t dev, uint64_t ino);

#endif
