/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/ring-layout.h"

#include "base/cpus.h"
#include "base/macro.h"
#include "test.h"

static struct cpus cpus;
static struct ring_layout layout;

static uint32_t entries_of(uint32_t qid, uint16_t cpu)
{
	uint32_t count, found = 0;
	const uint16_t *entries = ring_layout_of(&layout, qid, &count);

	for (uint32_t i = 0; i < count; i++)
		found += entries[i] == cpu;
	return found;
}

static uint32_t entries_of_all(uint32_t queues, uint16_t cpu)
{
	uint32_t found = 0;

	for (uint32_t qid = 0; qid < queues; qid++)
		found += entries_of(qid, cpu);
	return found;
}

static uint32_t queues_of(uint32_t queues, uint16_t cpu)
{
	uint32_t found = 0;

	for (uint32_t qid = 0; qid < queues; qid++)
		found += entries_of(qid, cpu) > 0;
	return found;
}

/* That the first entries of queue QID are of CPUs that are online, and no others. */
static void check_online(uint32_t qid)
{
	uint32_t count, online = ring_layout_online_of(&layout, qid);
	const uint16_t *entries = ring_layout_of(&layout, qid, &count);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = 0;

		while (cpus.list[at] != entries[i])
			at++;
		CHECK_EQ(i < online, at < cpus.online);
	}
}

/* What holds of every layout. */
static void make(const char *possible, const char *online, uint32_t queues, uint32_t per_cpu)
{
	uint32_t total = 0, most = 0, fewest = UINT32_MAX;

	CHECK_EQ(cpus_parse(&cpus, possible, online), 0);
	CHECK_EQ(ring_layout_make(&layout, &cpus, queues, per_cpu), 0);
	for (uint32_t qid = 0; qid < queues; qid++) {
		uint32_t count;

		(void)ring_layout_of(&layout, qid, &count);
		most = count > most ? count : most;
		fewest = count < fewest ? count : fewest;
		total += count;
		check_online(qid);
	}
	CHECK_EQ(total, layout.count);
	CHECK_EQ(most, layout.per_queue);
	CHECK(most - fewest <= 1);
	total = 0;
	for (uint32_t i = 0; i < cpus.possible; i++) {
		uint32_t wanted = i < cpus.online ? layout.per_cpu : RING_ENTRIES_MIN;
		uint16_t cpu = cpus.list[i];

		CHECK_EQ(entries_of_all(queues, cpu), wanted);
		CHECK_EQ(queues_of(queues, cpu), wanted < queues ? wanted : queues);
		total += wanted;
	}
	CHECK_EQ(total, layout.count);
	ring_layout_destroy(&layout);
}

/* Of whatever machine, with whatever number of threads. */
static void deals_evenly(void)
{
	static const char *const possible[] = { "0", "0-1", "0-15", "0-63", "0-255", "0-511" };
	static const char *const online[] = { "0", "0-1", "0-7", "0,2,4,6-63", "0-255", "0-511" };
	static const uint32_t queues[] = { 1, 2, 3, 6, 16, 64 };

	for (uint32_t i = 0; i < ARRAY_SIZE(possible); i++) {
		for (uint32_t j = 0; j <= i; j++) {
			for (uint32_t k = 0; k < ARRAY_SIZE(queues); k++) {
				make(possible[i], online[j], queues[k], 2);
				make(possible[i], online[j], queues[k], 7);
				make(possible[i], online[j], queues[k], 24);
				make(possible[i], online[j], queues[k], 128);
			}
		}
	}
}

/* The kernel uses none of the rings before each CPU has one. */
static void gives_one_at_least(void)
{
	CHECK_EQ(cpus_parse(&cpus, "0-3", "0-1"), 0);
	CHECK_EQ(ring_layout_make(&layout, &cpus, 3, 0), 0);
	CHECK_EQ(layout.per_cpu, 1u);
	CHECK_EQ(layout.count, 4u);
	CHECK_EQ(layout.absent, 2u);
	ring_layout_destroy(&layout);
}

/*
 * Absent CPUs, of which some virtual machines have many, take no thread from those that are there.
 */
static void keeps_every_thread_busy(void)
{
	CHECK_EQ(cpus_parse(&cpus, "0-239", "0-1"), 0);
	CHECK_EQ(ring_layout_make(&layout, &cpus, 6, 24), 0);
	CHECK_EQ(layout.count, 2u * 24 + 238);
	for (uint32_t qid = 0; qid < 6; qid++) {
		CHECK_EQ(entries_of(qid, 0), 4u);
		CHECK_EQ(entries_of(qid, 1), 4u);
	}
	ring_layout_destroy(&layout);
}

static void has_none(void)
{
	uint32_t count = 1;

	layout = (struct ring_layout){ 0 };
	CHECK(!ring_layout_of(&layout, 0, &count));
	CHECK_EQ(count, 0u);
}

static void is_as_deep_as_cpus_need(void)
{
	CHECK_EQ(ring_layout_per_cpu(1), 64u);
	CHECK_EQ(ring_layout_per_cpu(4), 64u);
	CHECK_EQ(ring_layout_per_cpu(8), 32u);
	CHECK_EQ(ring_layout_per_cpu(16), 24u);
	CHECK_EQ(ring_layout_per_cpu(64), 24u);
	CHECK_EQ(ring_layout_per_cpu(256), 24u);
	CHECK_EQ(ring_layout_per_cpu(512), 24u);
}

int main(void)
{
	RUN(deals_evenly);
	RUN(gives_one_at_least);
	RUN(keeps_every_thread_busy);
	RUN(has_none);
	RUN(is_as_deep_as_cpus_need);
	return test_result();
}
