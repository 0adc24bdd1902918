/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters with one writer each, the thread that owns the row. Anyone may read them at any time,
 * and gets values that were true a moment ago. No lock, no locked instruction.
 */
#ifndef CAISSON_STATS_H
#define CAISSON_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/macro.h"

typedef _Atomic uint64_t stat_counter;

/* What one queue thread counts. In the arena (ARENA_QUEUE_STATS), one cache line apart. */
struct stats_queue {
	stat_counter requests; /* messages read */
	stat_counter replies;  /* answers that the kernel took */
	stat_counter lost;     /* … that it no longer wanted (interrupted or aborted) */
	stat_counter reads, read_bytes;
	stat_counter writes, write_bytes;
	stat_counter syncs;
	stat_counter allocates; /* FALLOCATE, so also discards of a loop device */
	stat_counter buffered;	/* reads and writes that weren't aligned for O_DIRECT */
	stat_counter resumed;	/* backing operations that came back short and were gone on with */
	stat_counter errors;	/* data requests answered with an error */
	stat_counter protocol_errors; /* messages that didn't parse */
	stat_counter steals;	      /* wake-ups for a request that another queue had taken */
	stat_counter turns;	      /* io_uring_enter() calls */
	stat_counter starved;	      /* times that no slot was free to fetch into */
	stat_counter metadata;	      /* metadata requests, whoever handles them */
	stat_counter ran_inline;      /* metadata requests that the queue's thread ran itself */
} __attribute__((aligned(CACHE_LINE_BYTES)));

/* By the owner only. */
static inline void stat_add(stat_counter *counter, uint64_t n)
{
	uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, value + n, memory_order_relaxed);
}

static inline uint64_t stat_get(const stat_counter *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
