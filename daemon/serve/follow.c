/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/follow.h"

#include <unistd.h>

#include "base/macro.h"

/*
 * To go to a CPU and to leave it again costs some µs. So many lone requests are enough to go there; twice as
 * many as before, up to the most, where the last time hadn't lasted for as many as makes it worth it.
 */
#define ENOUGH	   8u
#define ENOUGH_MAX 4096u
#define WORTH_IT   64u

int follow_init(struct follow *follow)
{
	*follow = (struct follow){ .tid = gettid(), .lone_cpu = CPU_NONE, .enough = ENOUGH };
	atomic_init(&follow->cpu, CPU_NONE);
	return cpus_of_thread(&follow->home);
}

static bool keeps_to_one(const struct follow *follow)
{
	return atomic_load_explicit(&follow->cpu, memory_order_relaxed) != CPU_NONE;
}

/* What fails is tried again, here or by follow_look(). */
static void leave(struct follow *follow)
{
	if (keeps_to_one(follow) && cpus_let(0, &follow->home) == 0)
		atomic_store(&follow->cpu, CPU_NONE);
}

void follow_to(struct follow *follow, uint32_t cpu)
{
	if (atomic_load_explicit(&follow->cpu, memory_order_relaxed) == cpu &&
	    !atomic_load_explicit(&follow->freed, memory_order_relaxed))
		return;
	if (!cpus_have(&follow->home, cpu))
		return;
	atomic_store(&follow->freed, false);
	atomic_store(&follow->cpu, cpu);
	if (cpus_keep_to(cpu) < 0)
		leave(follow);
}

void follow_lone(struct follow *follow, uint32_t cpu)
{
	if (cpu != follow->lone_cpu)
		follow_many(follow);
	follow->lone_cpu = cpu;
	if (++follow->lone > follow->enough)
		follow_to(follow, cpu);
}

void follow_many(struct follow *follow)
{
	uint64_t lone = follow->lone;

	follow->lone = 0;
	if (!keeps_to_one(follow))
		return;
	leave(follow);
	follow->enough = lone < follow->enough + WORTH_IT ? MIN(follow->enough * 2, ENOUGH_MAX)
							  : ENOUGH;
}

void follow_end(struct follow *follow)
{
	leave(follow);
}

void follow_look(struct follow *follow, uint64_t progress)
{
	bool moves = progress != follow->seen;

	follow->seen = progress;
	if (moves || !keeps_to_one(follow))
		return;
	atomic_store(&follow->freed, true);
	(void)cpus_let(follow->tid, &follow->home); /* tried again at the next look */
}
