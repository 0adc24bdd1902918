/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Statistics of the queues. Only the thread that owns a row writes its counters, so it needs no
 * lock and no locked instruction. Any thread may read them at any time.
 */
#ifndef CAISSON_STATS_H
#define CAISSON_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/macro.h"

typedef _Atomic uint64_t stat_counter;

/* Counters of one queue, in the arena (ARENA_QUEUE_STATS). */
struct stats_queue {
	stat_counter requests; /* messages read */
	stat_counter replies;  /* answers that the kernel accepted */
	stat_counter lost;     /* answers to requests that were interrupted or aborted meanwhile */
	stat_counter reads, read_bytes;
	stat_counter writes, write_bytes;
	stat_counter syncs;
	stat_counter allocates; /* FALLOCATE requests; a loop device sends them for discards */
	stat_counter buffered;	/* reads and writes that weren't aligned for O_DIRECT */
	stat_counter resumed;	/* backing operations that were short and had to be continued */
	stat_counter errors;	/* data requests answered with an error */
	stat_counter protocol_errors; /* messages that were malformed */
	stat_counter steals;	      /* wake-ups for a request that another queue had taken */
	stat_counter turns;	      /* io_uring_enter() calls */
	stat_counter starved;	      /* times that no slot was free for the next request */
	stat_counter metadata;	      /* metadata requests, handled by any thread */
	stat_counter ran_inline;      /* metadata requests that the queue's thread handled inline */
} __attribute__((aligned(CACHE_LINE_BYTES)));

/* Only the row's owner may call this. */
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
