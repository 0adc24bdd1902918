/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cpus.h"

#include <errno.h>

#include "test.h"

static struct cpus cpus;

static void reads_lists(void)
{
	CHECK_EQ(cpus_parse(&cpus, "0-1\n", "0-1\n"), 0);
	CHECK_EQ(cpus.possible, 2u);
	CHECK_EQ(cpus.online, 2u);
	CHECK_EQ(cpus_parse(&cpus, "0\n", "0"), 0);
	CHECK_EQ(cpus.possible, 1u);
	CHECK_EQ(cpus_parse(&cpus, "0-1,2-7\n", "0,2-3,6\n"), 0);
	CHECK_EQ(cpus.possible, 8u);
	CHECK_EQ(cpus.online, 4u);
}

/* Those that are there come first, and nobody is left out. */
static void sorts(void)
{
	static const uint16_t expected[] = { 0, 2, 3, 6, 1, 4, 5, 7 };

	CHECK_EQ(cpus_parse(&cpus, "0-7\n", "0,2-3,6\n"), 0);
	for (uint32_t i = 0; i < 8; i++)
		CHECK_EQ(cpus.list[i], expected[i]);
}

static void refuses(void)
{
	static const char *const wrong[] = { "", "\n", "x", "1-", "3-1", "0-8192", "1", "0,2" };

	for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_EQ(cpus_parse(&cpus, wrong[i], "0\n"), -EPROTO);
	CHECK_EQ(cpus_parse(&cpus, "0-8191\n", "0\n"), 0);
}

static void reads_this_machine(void)
{
	CHECK_EQ(cpus_read(&cpus), 0);
	CHECK(cpus.online >= 1 && cpus.online <= cpus.possible);
}

/* A thread keeps to a CPU that it may use, and to no other. */
static void keeps_to_one(void)
{
	static struct cpu_set all, one;
	uint32_t count = 0, last = CPU_NONE;

	CHECK_EQ(cpus_of_thread(&all), 0);
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (cpus_have(&all, cpu))
			last = cpu;
	}
	CHECK(last != CPU_NONE && !cpus_have(&all, CPU_NONE));
	CHECK_EQ(cpus_keep_to(last), 0);
	CHECK_EQ(cpus_of_thread(&one), 0);
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		count += cpus_have(&one, cpu);
	CHECK_EQ(count, 1u);
	CHECK(cpus_have(&one, last));
	CHECK_EQ(cpus_keep_to(CPUS_MAX - 1), -EINVAL); /* which isn't there */
}

int main(void)
{
	RUN(keeps_to_one);
	RUN(reads_lists);
	RUN(sorts);
	RUN(refuses);
	RUN(reads_this_machine);
	return test_result();
}
