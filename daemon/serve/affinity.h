/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CPU affinity: a queue thread moves to the CPU of its client and stays there as long as requests
 * come one at a time. The client has just gone to sleep on that CPU. Left to itself, the kernel
 * chooses an idle CPU for the thread, and waking one takes longer than most requests do.
 *
 * S7: a thread that is bound to a CPU can't leave it. If something else has that CPU for itself,
 * such as a client of a real-time class, the thread's requests would wait as long. So another
 * thread looks at intervals, and lets a bound thread that hasn't progressed run anywhere again.
 *
 * All calls but affinity_look() are made by the thread itself.
 */
#ifndef CAISSON_AFFINITY_H
#define CAISSON_AFFINITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cpus.h"

struct affinity {
	pid_t tid;
	struct cpu_set home;  /* the CPUs that the thread might use at the start */
	_Atomic uint32_t cpu; /* CPU that the thread is bound to, or CPU_NONE. Set before binding */
	_Atomic bool freed;   /* affinity_look() has unbound the thread since */
	uint32_t lone_cpu;    /* CPU that the last lone requests came from */
	uint64_t lone;	      /* number of these in a row */
	uint32_t enough;      /* lone requests in a row after which the thread is bound */
	uint64_t seen;	      /* progress at the last affinity_look() */
};

/* Reads which CPUs the calling thread may use. Returns 0 or -errno. */
int affinity_init(struct affinity *affinity);

/* Binds the thread to CPU, if it may use that. */
void affinity_set(struct affinity *affinity, uint32_t cpu);

/* A request came alone, from CPU: binds the thread there after enough of these in a row. */
void affinity_lone(struct affinity *affinity, uint32_t cpu);

/* Several requests came at once: unbinds the thread, as the kernel spreads them best. */
void affinity_many(struct affinity *affinity);

/* Unbinds the thread before it ends, as its number may then become another thread's. */
void affinity_end(struct affinity *affinity);

/*
 * Unbinds the thread if it is bound and PROGRESS, a number that grows with the work it does, is the
 * same as at the last call. Called by one other thread, between affinity_init() and affinity_end().
 * Doesn't block.
 */
void affinity_look(struct affinity *affinity, uint64_t progress);

#endif
