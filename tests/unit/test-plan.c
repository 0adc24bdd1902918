/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How large a server is planned, on machines of many sizes. */
#include "serve/plan.h"

#include <stdio.h>

#include "base/cpus.h"
#include "base/macro.h"
#include "serve/config.h"
#include "test.h"

static struct cpus cpus;
static struct serve_config config;
static struct plan plan;
static uint64_t len;

static void machine(uint32_t possible, uint32_t online)
{
	char can_be[32], are[32];

	(void)snprintf(can_be, sizeof(can_be), "0-%u", possible - 1);
	(void)snprintf(are, sizeof(are), "0-%u", online - 1);
	CHECK_EQ(cpus_parse(&cpus, can_be, are), 0);
	config = (struct serve_config){
		.queues = MIN(online * 3, (uint32_t)SERVE_QUEUES_DEFAULT),
		.queue_depth = 12,
		.workers = 8,
		.inodes = 65536,
		.files = 16384,
		.max_write = 1 << 20,
		.memory = 1ull << 30,
	};
}

static void lay_out(void)
{
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan_len(&config, &plan, &len), 0);
	CHECK_EQ(plan.queue_depth, plan.layout.per_queue);
	CHECK(plan.layout.per_cpu >= RING_ENTRIES_MIN);
	plan_destroy(&plan);
}

/* memory= bounds it, and is made use of; a CPU that is there has depth. */
static void keeps_within_memory(void)
{
	static const struct {
		uint32_t possible, online, per_cpu_min, mib_max;
	} machines[] = {
		{ 1, 1, 64, 112 },     { 2, 2, 64, 176 },     { 16, 8, 32, 336 },
		{ 16, 16, 24, 448 },   { 64, 64, 12, 1024 },  { 240, 2, 64, 420 },
		{ 256, 256, 3, 1024 }, { 512, 512, 1, 1024 }, { 512, 64, 7, 1024 },
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(machines); i++) {
		machine(machines[i].possible, machines[i].online);
		CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
		CHECK(plan.layout.per_cpu >= machines[i].per_cpu_min);
		CHECK_EQ(plan_len(&config, &plan, &len), 0);
		CHECK(len <= (uint64_t)machines[i].mib_max << 20);
		plan_destroy(&plan);
	}
}

/* More memory, and no more than is of use; less, down to what a CPU needs. */
static void makes_use_of_memory(void)
{
	machine(256, 256);
	config.memory = 16ull << 30;
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.per_cpu, 24u);
	plan_destroy(&plan);

	config.memory = 1 << 20;
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.per_cpu, 1u);
	CHECK_EQ(plan_len(&config, &plan, &len), 0);
	CHECK(len > config.memory); /* so /dev/fuse it is */
	plan_destroy(&plan);
}

/* A depth that was asked for isn't made smaller, but for each CPU's two. */
static void does_as_it_is_told(void)
{
	machine(4, 2);
	config.queue_depth_given = true;
	config.queue_depth = 7;
	config.memory = 1 << 20;
	lay_out();
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.per_cpu, 21u);
	CHECK_EQ(plan_slots(&plan), 10u); /* 44 entries of six queues, and two for /dev/fuse */
	plan_destroy(&plan);

	config.queues = config.queue_depth = 1;
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.count, 4u);
	plan_destroy(&plan);
}

/* What nobody waits for leaves slots to those who wait. */
static void keeps_slots_free(void)
{
	machine(2, 2);
	plan = (struct plan){ .queues = 6, .queue_depth = 12 };
	CHECK_EQ(plan_background(&plan), 54u);
	plan = (struct plan){ .queues = 1, .queue_depth = 1 };
	CHECK_EQ(plan_background(&plan), 1u);
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan_background(&plan), 48u);
	plan_destroy(&plan);
}

/* By io_uring all that is let through may be of one CPU, however many there are. */
static void keeps_entries_of_each_cpu_free(void)
{
	static const uint32_t online[] = { 1, 2, 3, 4, 8, 16, 64, 128 };

	for (uint32_t i = 0; i < ARRAY_SIZE(online); i++) {
		machine(online[i], online[i]);
		CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
		CHECK(plan_background(&plan) <= plan.layout.per_cpu * 3 / 4);
		/* the kernel adds one for each CPU: that keeps a disk busy */
		CHECK(plan_background(&plan) + online[i] > RING_ENTRIES_BUSY);
		plan_destroy(&plan);
	}
	machine(2, 2);
	config.queue_depth_given = true;
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.per_cpu, 36u);
	CHECK_EQ(plan_background(&plan), 27u);
	plan_destroy(&plan);
	config.queue_depth = 1; /* and with two for each CPU there is still one */
	config.queues = 4;
	CHECK_EQ(plan_uring(&config, &cpus, &plan), 0);
	CHECK_EQ(plan.layout.per_cpu, 2u);
	CHECK_EQ(plan_background(&plan), 1u);
	plan_destroy(&plan);
}

int main(void)
{
	RUN(keeps_within_memory);
	RUN(makes_use_of_memory);
	RUN(does_as_it_is_told);
	RUN(keeps_slots_free);
	RUN(keeps_entries_of_each_cpu_free);
	return test_result();
}
