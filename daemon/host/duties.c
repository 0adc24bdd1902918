/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/duties.h"

#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "base/stats.h"
#include "host/control.h"
#include "host/self-audit.h"
#include "host/server-status.h"
#include "serve/queue.h"
#include "serve/server.h"
#include "store/prealloc.h"

static void free_held_up_threads(struct duties *duties)
{
	server_check_affinity(duties->server);
}

static void answer_behind_slow_drops(struct duties *duties)
{
	dropper_look(&duties->server->dropper);
}

static void settle(struct duties *duties)
{
	(void)server_settle(duties->server, 0); /* nothing to do, as a rule */
}

static void tell_transport(struct duties *duties)
{
	int refusal = duties->told_transport ? 0 : server_transport_refusal(duties->server);

	if (!refusal)
		return;
	duties->told_transport = true;
	log_warn("%s: serve by /dev/fuse, not by FUSE-over-io_uring: the kernel refused an "
		 "entry: %s",
		 duties->mountpoint, strerror(-refusal));
}

static void audit(struct duties *duties)
{
	self_audit_run(duties->audit);
}

struct duty_counters duties_count(const struct server *server)
{
	struct duty_counters counters = {
		.inodes_refused = atomic_load(&server->fs.inodes.refusals),
		.files_refused = atomic_load(&server->fs.files.pool.shortages),
		.zone_refusals = atomic_load(&server->fs.zone_refusals),
	};

	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		const struct stats_queue *stats = server->queues[qid].stats;

		counters.io_errors += stat_get(&stats->errors);
		counters.protocol_errors += stat_get(&stats->protocol_errors);
	}
	return counters;
}

static void log_growth(const struct duties *duties, const char *what, uint64_t *logged,
		       uint64_t now)
{
	if (now > *logged)
		log_warn("%s: serve: %llu %s", duties->mountpoint,
			 (unsigned long long)(now - *logged), what);
	*logged = now;
}

static void log_counters(struct duties *duties)
{
	struct duty_counters now = duties_count(duties->server), *logged = &duties->logged;

	log_growth(duties, "reads, writes or flushes were answered with an error",
		   &logged->io_errors, now.io_errors);
	log_growth(duties, "messages of the kernel didn't parse", &logged->protocol_errors,
		   now.protocol_errors);
	log_growth(duties, "look-ups were refused: the inode table is full (inodes=)",
		   &logged->inodes_refused, now.inodes_refused);
	log_growth(duties, "opens were refused: the file table is full (files=)",
		   &logged->files_refused, now.files_refused);
	log_growth(duties, "operations were refused: zones don't allow them",
		   &logged->zone_refusals, now.zone_refusals);
}

static void check_free_space(struct duties *duties)
{
	struct fs *fs = &duties->server->fs;

	prealloc_look(&fs->prealloc, fs->store.root_fd);
}

static void look_for_hangs(struct duties *duties)
{
	duties->hangs |= hang_look(&duties->hang, duties->server, duties->mountpoint);
}

static void look_for_old_requests(struct duties *duties)
{
	oldest_look(&duties->oldest, duties->server, duties->mountpoint);
}

static const struct duty {
	uint32_t period_ms; /* a multiple of CONTROL_TICK_MS */
	void (*run)(struct duties *duties);
} table[] = {
	{ 500, free_held_up_threads },
	{ 500, answer_behind_slow_drops },
	{ CONTROL_TICK_MS, settle },
	{ 500, tell_transport },
	{ 1000, audit },
	{ 1000, log_counters },
	{ 1000, check_free_space },
	{ 1000, look_for_hangs },
	{ 1000, look_for_old_requests },
};

void duties_tick(struct duties *duties)
{
	duties->ticks++;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (duties->ticks * CONTROL_TICK_MS % table[i].period_ms == 0)
			table[i].run(duties);
	}
}
