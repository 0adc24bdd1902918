/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/server-status.h"

#include "base/stats.h"
#include "host/options.h"
#include "host/status.h"
#include "serve/queue.h"
#include "serve/server.h"

int server_transport_refusal(const struct server *server)
{
	for (uint32_t qid = 0; server->plan.layout.count && qid < server->plan.queues; qid++) {
		int refusal = atomic_load(&server->queues[qid].uring.refusal);

		if (refusal)
			return refusal;
	}
	return 0;
}

/* If the kernel has refused a ring entry, it uses /dev/fuse for all requests. */
static const char *transport_name(const struct server *server)
{
	bool uring = server->plan.layout.count && !server_transport_refusal(server);

	return uring ? "uring" : "dev";
}

void server_fill_status(const struct server *server, const struct options *options,
			struct status *status)
{
	const struct fs *fs = &server->fs;

	*status = (struct status){
		.backing = options->backing,
		.mountpoint = options->mountpoint,
		.io_flusher_required = options->require_io_flusher,
		.mlock_required = options->require_mlock,
		.cache = options_cache_name(options->serve.cache),
		.transport = transport_name(server),
		.kernel_minor = server->session.kernel_minor,
		.max_write = server->session.max_write,
		.queues = server->plan.queues,
		.queue_depth = server->plan.queue_depth,
		.workers = options->serve.workers,
		.memory_bound = server_memory_len(server),
		.inodes_used = atomic_load(&fs->inodes.used),
		.inodes_limit = fs->inodes.count,
		.inodes_refused = atomic_load(&fs->inodes.refusals),
		.zone_refusals = atomic_load(&fs->zone_refusals),
		.files_used = atomic_load(&fs->files.used),
		.files_limit = fs->files.count,
		.meta_free_slots = atomic_load(&server->workers.slots.free),
		.meta_shortages = atomic_load(&server->workers.slots.shortages),
	};
	session_flag_names(server->session.flags, status->features, sizeof(status->features));
	for (uint32_t i = 0; i < options->serve.workers + server->plan.queues; i++) {
		const struct worker_stats *stats = &server->workers.stats[i];

		status->meta_calls += atomic_load(&stats->calls);
		status->meta_errors += atomic_load(&stats->errors);
		status->meta_lost += atomic_load(&stats->lost);
	}
	if (server->handover) {
		status->takeovers = server->handover->takeovers;
		status->redone = server->handover->redone;
		status->resent = server->handover->resent;
		status->refused = server->handover->refused;
		status->pause_ms = server->handover->pause_us / 1000;
		status->worst_pause_ms = server->handover->worst_pause_us / 1000;
	}
	for (uint32_t qid = 0; qid < server->plan.queues; qid++)
		status_fill_queue(&status->queue[qid], server->queues[qid].stats);
}
