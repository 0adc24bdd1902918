/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The periodic duties: how often each is done, and what is logged. The server is made up. */
#include "host/duties.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/stats.h"
#include "host/self-audit.h"
#include "host/server-status.h"
#include "serve/queue.h"
#include "serve/server.h"
#include "store/prealloc.h"
#include "test.h"

#define QUEUES 2

static struct stats_queue stats[QUEUES];
static struct queue queues[QUEUES];
static struct server server;
static struct self_audit self_audit;
static unsigned affinities, drops, audits, looks, ages, lines;
static char last_line[512];
static int refusal;

void server_check_affinity(struct server *checked)
{
	CHECK(checked == &server);
	affinities++;
}

void dropper_look(struct dropper *dropper)
{
	CHECK(dropper == &server.dropper);
	drops++;
}

int server_transport_refusal(const struct server *asked)
{
	CHECK(asked == &server);
	return refusal;
}

void self_audit_run(struct self_audit *self)
{
	CHECK(self == &self_audit);
	audits++;
}

void prealloc_look(struct prealloc *prealloc, int root_fd)
{
	CHECK(prealloc == &server.fs.prealloc && root_fd == 55);
	looks++;
}

void oldest_look(struct oldest *oldest, const struct server *looked_at, const char *mountpoint)
{
	CHECK(oldest->count == 3 && looked_at == &server && mountpoint);
	ages++;
}

void log_message(enum log_level level, const char *format, ...)
{
	va_list args;

	(void)level;
	va_start(args, format);
	vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	lines++;
}

bool server_settle(struct server *settled, int ms)
{
	(void)ms;
	CHECK(settled == &server);
	return true;
}

static struct duties make(void)
{
	memset(stats, 0, sizeof(stats));
	memset(&server, 0, sizeof(server));
	server.queues = queues;
	server.plan.queues = QUEUES;
	server.fs.store.root_fd = 55;
	for (uint32_t qid = 0; qid < QUEUES; qid++)
		queues[qid].stats = &stats[qid];
	affinities = drops = audits = looks = ages = lines = 0;
	refusal = 0;
	return (struct duties){
		.oldest.count = 3,
		.server = &server,
		.audit = &self_audit,
		.mountpoint = "/mnt",
	};
}

static void tick(struct duties *duties, unsigned times)
{
	while (times--)
		duties_tick(duties);
}

static void keeps_to_the_periods(void)
{
	struct duties duties = make();

	tick(&duties, 20); /* ten seconds */
	CHECK_EQ(affinities, 20u);
	CHECK_EQ(drops, 20u);
	CHECK_EQ(audits, 10u);
	CHECK_EQ(looks, 10u);
	CHECK_EQ(ages, 10u);
	CHECK_EQ(lines, 0u);
}

static void logs_what_the_data_path_counts(void)
{
	struct duties duties = make();

	stat_add(&stats[0].errors, 1);
	stat_add(&stats[1].errors, 2);
	tick(&duties, 2);
	CHECK_STR(last_line, "/mnt: serve: 3 reads, writes or flushes were answered with an error");
	tick(&duties, 2);
	CHECK_EQ(lines, 1u);

	stat_add(&stats[0].errors, 1);
	stat_add(&stats[1].protocol_errors, 1);
	atomic_store(&server.fs.inodes.refusals, 2);
	atomic_store(&server.fs.files.pool.shortages, 3);
	atomic_store(&server.fs.zone_refusals, 4);
	tick(&duties, 2);
	CHECK_EQ(lines, 6u);
	CHECK_STR(last_line, "/mnt: serve: 4 operations were refused: zones don't allow them");
}

static void tells_once_that_the_kernel_went_back(void)
{
	struct duties duties = make();

	refusal = -EINVAL;
	tick(&duties, 4);
	CHECK_EQ(lines, 1u);
	CHECK_STR(last_line,
		  "/mnt: serve by /dev/fuse, not by FUSE-over-io_uring: the kernel refused an "
		  "entry: Invalid argument");
}

int main(void)
{
	RUN(keeps_to_the_periods);
	RUN(logs_what_the_data_path_counts);
	RUN(tells_once_that_the_kernel_went_back);
	return test_result();
}
