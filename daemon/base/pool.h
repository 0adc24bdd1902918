/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool: the free rows of one arena table, handed out by index. It is lock-free (a stack of free
 * indices whose head carries a tag against ABA). So any thread may take or put a row, and no
 * thread is held up by another that was preempted while it held a lock (S5).
 *
 * The links are an array of the pool's own, outside of the rows: a row in use is all its owner's.
 */
#ifndef CAISSON_POOL_H
#define CAISSON_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX

struct pool {
	_Atomic uint64_t head;	    /* tag << 32 | index of the first free row, or POOL_NONE */
	_Atomic uint32_t *next;	    /* next[i]: the free row below i */
	uint32_t first, count;	    /* the rows are first … first + count - 1 */
	_Atomic uint32_t free;	    /* rows on the stack, for status only: lags behind */
	_Atomic uint64_t shortages; /* takes that found the pool empty */
	/* Test hook: the Nth take from now on fails, 0 for never. */
	_Atomic uint32_t fail_in;
};

/*
 * Makes all rows FIRST … FIRST + COUNT - 1 free. Allocates the links: before the seal.
 * Returns 0 or -ENOMEM.
 */
int pool_init(struct pool *pool, uint32_t first, uint32_t count);
void pool_destroy(struct pool *pool);

/* A free row's index, or POOL_NONE. Any thread. */
uint32_t pool_take(struct pool *pool);

/* Gives INDEX back. Any thread. It must be in use: its owner gives it up once. */
void pool_put(struct pool *pool, uint32_t index);

#endif
