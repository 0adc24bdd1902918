/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool hands out the free rows of one arena table by index. It is a lock-free stack of free
 * indices; a tag in its head prevents ABA errors. Any thread may take or put a row, and none has to
 * wait for another that was preempted while it held a lock (S5).
 *
 * The links lie in an array of their own, so the pool never writes to a row.
 */
#ifndef CAISSON_POOL_H
#define CAISSON_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#define POOL_NONE UINT32_MAX

struct pool {
	_Atomic uint64_t head;	    /* tag << 32 | index of the first free row, or POOL_NONE */
	_Atomic uint32_t *next;	    /* index of the free row below; by row - first */
	uint32_t first, count;	    /* the rows are first … first + count - 1 */
	_Atomic uint32_t free;	    /* free rows; for status only, as it may lag behind */
	_Atomic uint64_t shortages; /* calls of pool_take() that found the pool empty */
	/* Test hook: if N > 0, the Nth call of pool_take() from now on fails. */
	_Atomic uint32_t fail_in;
};

/*
 * Makes the rows FIRST … FIRST + COUNT - 1 free. Allocates memory, so call it before the seal.
 * Returns 0 or -ENOMEM.
 */
int pool_init(struct pool *pool, uint32_t first, uint32_t count);

/*
 * pool_init() that leaves all rows in use. The caller puts those that are free, the highest first,
 * so that the lowest is taken first. Returns 0 or -ENOMEM.
 */
int pool_init_in_use(struct pool *pool, uint32_t first, uint32_t count);
void pool_destroy(struct pool *pool);

/* Takes a free row. Returns its index, or POOL_NONE if there is none. Any thread. */
uint32_t pool_take(struct pool *pool);

/* Makes row INDEX free again; it must be in use. Any thread. */
void pool_put(struct pool *pool, uint32_t index);

#endif
