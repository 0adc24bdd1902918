/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/affinity.h"

#include <unistd.h>

#include "base/macro.h"

/*
 * Binding and unbinding cost some µs. A thread is bound after ENOUGH lone requests in a row. If it
 * then wasn't bound for WORTH_IT requests, the next time takes twice as many, up to ENOUGH_MAX.
 */
#define ENOUGH	   8u
#define ENOUGH_MAX 4096u
#define WORTH_IT   64u

int affinity_init(struct affinity *affinity)
{
	*affinity = (struct affinity){ .tid = gettid(), .lone_cpu = CPU_NONE, .enough = ENOUGH };
	atomic_init(&affinity->cpu, CPU_NONE);
	return cpus_of_thread(&affinity->home);
}

static bool keeps_to_one(const struct affinity *affinity)
{
	return atomic_load_explicit(&affinity->cpu, memory_order_relaxed) != CPU_NONE;
}

/* If it fails, it is tried again, here or by affinity_look(). */
static void leave(struct affinity *affinity)
{
	if (keeps_to_one(affinity) && cpus_let(0, &affinity->home) == 0)
		atomic_store(&affinity->cpu, CPU_NONE);
}

void affinity_set(struct affinity *affinity, uint32_t cpu)
{
	if (atomic_load_explicit(&affinity->cpu, memory_order_relaxed) == cpu &&
	    !atomic_load_explicit(&affinity->freed, memory_order_relaxed))
		return;
	if (!cpus_have(&affinity->home, cpu))
		return;
	atomic_store(&affinity->freed, false);
	atomic_store(&affinity->cpu, cpu);
	if (cpus_keep_to(cpu) < 0)
		leave(affinity);
}

void affinity_lone(struct affinity *affinity, uint32_t cpu)
{
	if (cpu != affinity->lone_cpu)
		affinity_many(affinity);
	affinity->lone_cpu = cpu;
	if (++affinity->lone > affinity->enough)
		affinity_set(affinity, cpu);
}

void affinity_many(struct affinity *affinity)
{
	uint64_t lone = affinity->lone;

	affinity->lone = 0;
	if (!keeps_to_one(affinity))
		return;
	leave(affinity);
	affinity->enough =
		lone < affinity->enough + WORTH_IT ? MIN(affinity->enough * 2, ENOUGH_MAX) : ENOUGH;
}

void affinity_end(struct affinity *affinity)
{
	leave(affinity);
}

void affinity_look(struct affinity *affinity, uint64_t progress)
{
	bool moves = progress != affinity->seen;

	affinity->seen = progress;
	if (moves || !keeps_to_one(affinity))
		return;
	atomic_store(&affinity->freed, true);
	(void)cpus_let(affinity->tid, &affinity->home); /* tried again at the next look */
}
