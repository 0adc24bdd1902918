/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Macros and small functions without state. */
#ifndef CAISSON_MACRO_H
#define CAISSON_MACRO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* These can stand in static initialisers. They evaluate their arguments twice. */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The page size of every supported machine. Buffers are laid out for it. */
#define PAGE_BYTES 4096u

/* Counters of different threads lie at least this far apart, to avoid false sharing. */
#define CACHE_LINE_BYTES 64

/*
 * For shared memory that outlives this process. If the process is killed at any moment, a store
 * after KILL_FENCE() was made only if all stores before it were: a thread is killed between two
 * instructions, so only the compiler could change the order.
 */
#define KILL_FENCE() atomic_signal_fence(memory_order_seq_cst)

/* Rounds VALUE up to the next multiple of ALIGN, which is a power of two. */
static inline uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t value, uint64_t align)
{
	return (value & (align - 1)) == 0;
}

/* Mixes all bits of VALUE into each one of the result (the finaliser of SplitMix64). */
static inline uint64_t mix_bits(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

/* A number for TEXT; another text has another one, as good as always. */
static inline uint64_t mix_text(const char *text)
{
	uint64_t number = 0;

	for (; *text; text++)
		number = mix_bits(number ^ (uint8_t)*text);
	return number;
}

static inline bool is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

#endif
