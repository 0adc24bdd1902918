/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a server tells of itself: of one that is made up here and serves nobody. */
#include "host/server-status.h"

#include "base/stats.h"
#include "host/options.h"
#include "host/status.h"
#include "serve/queue.h"
#include "serve/server.h"
#include "test.h"

#define QUEUES	2
#define WORKERS 3

static char backing[] = "/srv/b", mountpoint[] = "/mnt/m";
static struct options options = {
	.backing = backing,
	.mountpoint = mountpoint,
	.require_io_flusher = true,
	.serve = {
		.queues = QUEUES,
		.queue_depth = 7,
		.workers = WORKERS,
		.cache = CACHE_WRITETHROUGH,
	},
};
static struct stats_queue stats[QUEUES];
static struct worker_stats worker_stats[WORKERS + QUEUES];
static struct queue queues[QUEUES];
static struct server server = {
	.config = &options.serve,
	.queues = queues,
	.plan = { .queues = QUEUES, .queue_depth = 7 },
};

static void make(void)
{
	for (uint32_t qid = 0; qid < QUEUES; qid++) {
		queues[qid].stats = &stats[qid];
		stat_add(&stats[qid].requests, 10 + qid);
		stat_add(&stats[qid].errors, 1 + qid);
		stat_add(&stats[qid].protocol_errors, 5);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		atomic_store(&worker_stats[i].calls, 100);
		atomic_store(&worker_stats[i].errors, i);
	}
	server.workers.stats = worker_stats;
	arena_init(&server.arena);
	server.fs.inodes.count = 1000;
	atomic_store(&server.fs.inodes.used, 900);
	atomic_store(&server.fs.inodes.refusals, 4);
	atomic_store(&server.fs.files.pool.shortages, 3);
	atomic_store(&server.fs.zone_refusals, 2);
}

static void fills_status(void)
{
	static struct status status;

	memset(&status, 0xff, sizeof(status));
	server_fill_status(&server, &options, &status);
	CHECK_STR(status.backing, backing);
	CHECK_STR(status.mountpoint, mountpoint);
	CHECK(status.io_flusher_required && !status.mlock_required);
	CHECK_STR(status.cache, "writethrough");
	CHECK_STR(status.transport, "dev");
	CHECK_EQ(status.queues, (uint64_t)QUEUES);
	CHECK_EQ(status.queue[0].requests, (uint64_t)10);
	CHECK_EQ(status.queue[1].requests, (uint64_t)11);
	CHECK_EQ(status.queue[2].requests, (uint64_t)0);
	CHECK_EQ(status.meta_calls, (uint64_t)300);
	CHECK_EQ(status.meta_errors, (uint64_t)3);
	CHECK_EQ(status.inodes_used, (uint64_t)900);
	CHECK_EQ(status.inodes_limit, (uint64_t)1000);
	CHECK_EQ(status.memory_bound, server_memory_len(&server));
	/* what it doesn't know */
	CHECK(!status.version && !status.keeper_alive && !status.safe_to_stack);
	CHECK_EQ(status.tasks, (uint64_t)0);
}

int main(void)
{
	make();
	RUN(fills_status);
	return test_result();
}
