/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deal.h"

#include "cpus.h"
#include "test.h"

static struct cpus cpus;
static struct deal deal;

static uint32_t entries_of(uint32_t qid, uint16_t cpu)
{
	uint32_t count, found = 0;
	const uint16_t *entries = deal_of(&deal, qid, &count);

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

static void make(const char *possible, const char *online, uint32_t queues, uint32_t depth)
{
	uint32_t total = 0;

	CHECK_EQ(cpus_parse(&cpus, possible, online), 0);
	CHECK_EQ(deal_make(&deal, &cpus, queues, depth), 0);
	for (uint32_t qid = 0; qid < queues; qid++) {
		uint32_t count;

		(void)deal_of(&deal, qid, &count);
		CHECK(count <= deal.per_queue);
		total += count;
	}
	CHECK_EQ(total, deal.count);
	total = 0;
	for (uint16_t cpu = 0; cpu < cpus.possible; cpu++) {
		CHECK(entries_of_all(queues, cpu) > 0); /* or the kernel would use none */
		total += entries_of_all(queues, cpu);
	}
	CHECK_EQ(total, deal.count);
}

static uint32_t queues_of(uint32_t queues, uint16_t cpu)
{
	uint32_t found = 0;

	for (uint32_t qid = 0; qid < queues; qid++)
		found += entries_of(qid, cpu) > 0;
	return found;
}

static void deals_evenly(void)
{
	make("0-1", "0-1", 6, 16);
	CHECK_EQ(deal.count, 6u * 16);
	for (uint32_t qid = 0; qid < 6; qid++) {
		CHECK_EQ(entries_of(qid, 0), 8u);
		CHECK_EQ(entries_of(qid, 1), 8u);
	}
	deal_destroy(&deal);
}

/* No CPU's requests are one thread's alone as long as there are slots. */
static void spreads_over_threads(void)
{
	make("0-63", "0-63", 16, 16);
	CHECK_EQ(deal.count, 256u);
	for (uint16_t cpu = 0; cpu < 64; cpu++) {
		CHECK_EQ(entries_of_all(16, cpu), 4u);
		CHECK_EQ(queues_of(16, cpu), 4u);
	}
	deal_destroy(&deal);
}

static void serves_every_cpu(void)
{
	make("0-239", "0-1", 6, 16); /* as some virtual machines have it */
	CHECK_EQ(entries_of_all(6, 0), 48u);
	CHECK_EQ(entries_of_all(6, 239), 1u);
	CHECK_EQ(deal.count, 96u + 238);
	deal_destroy(&deal);
	make("0-63", "0-63", 1, 1);
	CHECK_EQ(deal.count, 64u);
	deal_destroy(&deal);
	make("0", "0", 1, 1);
	CHECK_EQ(deal.count, 1u);
	deal_destroy(&deal);
	make("0-2", "0-2", 2, 1); /* the last queue gets what is left */
	CHECK_EQ(deal.count, 3u);
	CHECK_EQ(deal.per_queue, 2u);
	deal_destroy(&deal);
}

static void is_as_deep_as_cpus_need(void)
{
	CHECK_EQ(deal_depth(1, 3), 8u);
	CHECK_EQ(deal_depth(2, 6), 8u);
	CHECK_EQ(deal_depth(8, 16), 12u);
	CHECK_EQ(deal_depth(8, 3), 64u);   /* few threads for many CPUs */
	CHECK_EQ(deal_depth(16, 16), 16u); /* the most */
	CHECK_EQ(deal_depth(512, 16), 16u);
	CHECK_EQ(deal_depth(512, 64), 8u);
}

int main(void)
{
	RUN(deals_evenly);
	RUN(spreads_over_threads);
	RUN(serves_every_cpu);
	RUN(is_as_deep_as_cpus_need);
	return test_result();
}
