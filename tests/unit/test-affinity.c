/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread keeps to the CPU of a client that waits for each answer, and to none otherwise. */
#include "serve/affinity.h"

#include <pthread.h>

#include "test.h"

/* Lone requests after which a thread follows for certain; and what never suffices. */
#define MANY 1000u
#define FEW  4u

static struct affinity affinity;
static uint32_t own; /* a CPU that this process may use */

static uint32_t cpus_left(void)
{
	static struct cpu_set set;
	uint32_t count = 0;

	CHECK_EQ(cpus_of_thread(&set), 0);
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		count += cpus_have(&set, cpu);
	return count;
}

static uint32_t setup(void)
{
	affinity_end(&affinity);
	CHECK_EQ(affinity_init(&affinity), 0);
	for (own = 0; !cpus_have(&affinity.home, own);)
		own++;
	return cpus_left();
}

static void lone(uint32_t cpu, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		affinity_lone(&affinity, cpu);
}

static void follows_the_lone(void)
{
	uint32_t all = setup();

	lone(own, FEW);
	CHECK_EQ(cpus_left(), all);
	lone(own, MANY);
	CHECK_EQ(cpus_left(), 1u);
	affinity_many(&affinity);
	CHECK_EQ(cpus_left(), all);
	lone(own, FEW);
	CHECK_EQ(cpus_left(), all);
}

static void in_a_row_only(void)
{
	uint32_t all = setup();

	for (uint32_t i = 0; i < MANY; i++) {
		lone(own, FEW);
		affinity_many(&affinity);
	}
	for (uint32_t i = 0; i < MANY; i++) {
		lone(own, FEW);
		lone(own + 1, FEW);
	}
	CHECK_EQ(cpus_left(), all);
}

static void leaves_for_another(void)
{
	uint32_t all = setup();

	lone(own, MANY);
	CHECK_EQ(cpus_left(), 1u);
	lone(own + 1, 1);
	CHECK_EQ(cpus_left(), all);
}

/* Which isn't there, or not for this thread. */
static void goes_where_it_may(void)
{
	uint32_t all = setup();

	lone(CPUS_MAX - 1, MANY);
	affinity_set(&affinity, CPUS_MAX - 1);
	CHECK_EQ(cpus_left(), all);
}

static void *look(void *arg)
{
	affinity_look(&affinity, *(const uint64_t *)arg);
	return NULL;
}

/* From another thread, as who is stuck can't look. */
static void look_from_outside(uint64_t progress)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, look, &progress), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void is_freed_when_it_stands_still(void)
{
	uint32_t all = setup();

	affinity_set(&affinity, own);
	look_from_outside(7);
	look_from_outside(8);
	CHECK_EQ(cpus_left(), 1u);
	look_from_outside(8);
	CHECK_EQ(cpus_left(), all);

	/* goes on, and may be stuck again */
	affinity_set(&affinity, own);
	CHECK_EQ(cpus_left(), 1u);
	look_from_outside(9);
	CHECK_EQ(cpus_left(), 1u);
	look_from_outside(9);
	CHECK_EQ(cpus_left(), all);

	lone(own, MANY);
	CHECK_EQ(cpus_left(), 1u);
	affinity_many(&affinity);
	CHECK_EQ(cpus_left(), all);
	look_from_outside(9);
	CHECK_EQ(cpus_left(), all);
}

int main(void)
{
	CHECK_EQ(affinity_init(&affinity), 0);
	RUN(follows_the_lone);
	RUN(in_a_row_only);
	RUN(leaves_for_another);
	RUN(goes_where_it_may);
	RUN(is_freed_when_it_stands_still);
	return test_result();
}
