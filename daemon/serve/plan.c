/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/cpus.h"
#include "base/fuse-kernel.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/procfs.h"
#include "base/stats.h"
#include "handlers/call.h"
#include "serve/config.h"
#include "serve/engine.h"
#include "serve/request.h"
#include "serve/takeover.h"
#include "serve/worker.h"
#include "store/creds.h"
#include "store/prealloc.h"
#include "store/privdrop.h"

/*
 * Slots of a queue for messages that come by /dev/fuse beside FUSE-over-io_uring: FORGET,
 * INTERRUPT, and at the start those that were sent before.
 */
#define DEV_SLOTS 2

uint32_t plan_slots(const struct plan *plan)
{
	return plan->layout.count ? plan->layout.per_queue + DEV_SLOTS : plan->queue_depth;
}

uint32_t plan_drops(const struct plan *plan)
{
	uint32_t entries = plan->layout.per_cpu;

	/* half of a CPU's entries may wait for leases (lease-wait.h), and one is for READs */
	return plan->layout.count ? MAX(entries - entries / 2, 1u) - 1
				  : plan->queues * plan->queue_depth / 2;
}

/*
 * The kernel counts background requests for the whole mount, so all may be of one CPU. It lets each
 * CPU have one more than that (fuse_uring_flush_bg(), fs/fuse/dev_uring.c), so all CPUs together
 * still keep a disk busy.
 */
uint32_t plan_background(const struct plan *plan)
{
	uint32_t slots = plan->layout.count ? plan->layout.per_cpu
					    : plan->queues * plan->queue_depth;

	return MAX(slots - (slots + 3) / 4, 1u);
}

int plan_arena(struct arena *arena, const struct serve_config *config, const struct plan *plan)
{
	uint32_t slots = plan->queues * plan_slots(plan);
	uint32_t requests = slots + PLAN_META_SLOTS;
	int r = 0;

	arena_init(arena);
	r = r ? r
	      : arena_plan(arena, ARENA_QUEUE_STATS, sizeof(struct stats_queue), plan->queues,
			   CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_REQUESTS, sizeof(struct request), requests,
			   CACHE_LINE_BYTES);
	r = r ? r : arena_plan(arena, ARENA_IOS, sizeof(struct io), slots, CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_META_RING, sizeof(struct worker_cell),
			   worker_cells(requests), CACHE_LINE_BYTES);
	r = r ? r : inode_table_plan(arena, config->inodes);
	r = r ? r : file_table_plan(arena, config->files);
	r = r ? r : prealloc_plan(arena, config->extent_size_hint);
	if (config->recovery)
		r = r ? r
		      : arena_plan(arena, ARENA_HANDOVER, sizeof(struct handover), 1,
				   CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_WORKER_BUFFERS, worker_buffer_len(),
			   config->workers + plan->queues, PAGE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_META_BUFFERS, request_stride(WORKER_MESSAGE_LEN),
			   PLAN_META_SLOTS, PAGE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_DATA_BUFFERS, request_stride(config->max_write), slots,
			   PAGE_BYTES);
	return r;
}

struct plan plan_dev(const struct serve_config *config)
{
	return (struct plan){ .queues = config->queues, .queue_depth = config->queue_depth };
}

static int lay_out(struct plan *plan, const struct cpus *cpus, uint32_t per_cpu)
{
	int r;

	ring_layout_destroy(&plan->layout);
	r = ring_layout_make(&plan->layout, cpus, plan->queues, per_cpu);
	plan->queue_depth = plan->layout.per_queue;
	return r;
}

int plan_len(const struct serve_config *config, const struct plan *plan, uint64_t *ret_len)
{
	struct arena arena;
	int r = plan_arena(&arena, config, plan);

	if (r == 0)
		*ret_len = arena_len(&arena);
	return r;
}

/* Plans as many entries for each CPU as are useful and memory= has room for, or else the fewest. */
static int lay_out_what_fits(const struct serve_config *config, struct plan *plan,
			     const struct cpus *cpus)
{
	uint32_t per_cpu = ring_layout_per_cpu(cpus->online);
	uint64_t len;
	int r;

	for (;; per_cpu--) {
		r = lay_out(plan, cpus, per_cpu);
		if (!r)
			r = plan_len(config, plan, &len);
		if (r || len <= config->memory || per_cpu <= RING_ENTRIES_MIN)
			return r;
	}
}

int plan_uring(const struct serve_config *config, const struct cpus *cpus, struct plan *plan)
{
	uint32_t depth = config->queues * config->queue_depth;

	*plan = plan_dev(config);
	if (config->queue_depth_given)
		return lay_out(plan, cpus, (depth + cpus->online - 1) / cpus->online);
	return lay_out_what_fits(config, plan, cpus);
}

static int plan_uring_here(const struct serve_config *config, struct plan *plan)
{
	autofree struct cpus *cpus = malloc(sizeof(*cpus));
	int r;

	if (!cpus)
		return -ENOMEM;
	r = cpus_read(cpus);
	return r < 0 ? r : plan_uring(config, cpus, plan);
}

void plan_destroy(struct plan *plan)
{
	ring_layout_destroy(&plan->layout);
}

int plan_memory(const struct serve_config *config, uint64_t *ret_len)
{
	const struct plan dev = plan_dev(config);
	uint64_t dev_len, uring_len = 0;
	struct plan uring = { 0 };
	int r;

	r = plan_len(config, &dev, &dev_len);
	if (!r && config->transport != TRANSPORT_DEV && plan_uring_here(config, &uring) == 0)
		r = plan_len(config, &uring, &uring_len);
	plan_destroy(&uring);
	if (r)
		return r;
	/* a plan that doesn't fit into memory= isn't used */
	*ret_len = uring_len <= config->memory ? MAX(dev_len, uring_len) : dev_len;
	return 0;
}

struct session_config plan_session(const struct serve_config *config, const struct plan *plan)
{
	return (struct session_config){
		.max_write = config->max_write,
		/* the kernel's default of 12 would cap every loop device */
		.background = plan_background(plan),
		.posix_acl = creds_act_for_callers(),
		/* passed-through reads change access times, so not with noatime */
		.passthrough = config->passthrough != PASSTHROUGH_OFF && !config->noatime &&
			       privdrop_has_sys_admin(),
		/* an entry must hold any reply */
		.uring = config->transport != TRANSPORT_DEV && config->max_write >= CALL_OUT_LEN &&
			 !config->recovery,
	};
}

static int refuse_option(const char *option, const char *reason)
{
	log_fail("%s: serve with it: %s", option, reason);
	return -EOPNOTSUPP;
}

/* Logs that something optional can't be had. */
static void tell_fallback(const char *option, const char *instead, const char *reason)
{
	log_info("%s: serve %s: %s", option, instead, reason);
}

/* The most bytes that the kernel puts into one message. The protocol doesn't tell. */
static uint32_t kernel_max_write(const struct session *session)
{
	uint64_t pages;

	if (!(session->flags & FUSE_MAX_PAGES))
		return session->max_write;
	if (procfs_read_setting("/proc/sys/fs/fuse/max_pages_limit", &pages) < 0)
		pages = 256; /* FUSE_MAX_MAX_PAGES, before it could be set (Linux 6.13) */
	return (uint32_t)MIN(pages * PAGE_BYTES, (uint64_t)session->max_write);
}

static void tell_max_write(uint32_t wanted, const struct session *session)
{
	uint32_t got = kernel_max_write(session);
	char option[32], instead[48];

	if (got >= wanted)
		return;
	(void)snprintf(option, sizeof(option), "max_write=%uK", wanted / 1024);
	(void)snprintf(instead, sizeof(instead), "with messages of at most %uK", got / 1024);
	tell_fallback(option, instead, "the kernel allows no more (fs.fuse.max_pages_limit)");
}

/* Chooses FUSE-over-io_uring if the kernel has offered it and there is room. */
static int choose_transport(const struct serve_config *config, struct session *session,
			    struct plan *plan)
{
	static const char missing[] =
		"not to be had (needs Linux 6.14, fuse.enable_uring=1 and max_write=64K)";
	static const char by_dev[] = "by /dev/fuse, not by FUSE-over-io_uring";
	bool must = config->transport == TRANSPORT_URING;
	const char *reason;
	uint64_t len;
	int r;

	*plan = plan_dev(config);
	if (!(session->flags & CAISSON_FUSE_OVER_IO_URING)) {
		if (must)
			return refuse_option("transport=uring", missing);
		if (config->transport == TRANSPORT_AUTO && !config->recovery)
			tell_fallback("transport=auto", by_dev, missing);
		return 0;
	}
	r = plan_uring_here(config, plan);
	if (!r)
		r = plan_len(config, plan, &len);
	if (!r && len <= config->memory)
		return 0;
	plan_destroy(plan);
	*plan = plan_dev(config);
	session->flags &= ~(uint64_t)CAISSON_FUSE_OVER_IO_URING;
	reason = r < 0 ? strerror(-r) : "memory= is too small";
	if (must)
		return refuse_option("transport=uring", reason);
	tell_fallback("transport=auto", by_dev, reason);
	return 0;
}

int plan_agree(const struct serve_config *config, int session_fd, struct fs *fs,
	       struct session *session, struct plan *plan)
{
	struct session_config wanted;
	int r;

	*plan = plan_dev(config);
	wanted = plan_session(config, plan);
	r = session_read(session, session_fd, &wanted, fs);
	if (r < 0) {
		log_fail("kernel: agree on the FUSE protocol: %s", strerror(-r));
		return r;
	}
	if (config->passthrough == PASSTHROUGH_ON && !fs->passthrough)
		return refuse_option("passthrough=on",
				     "not to be had (needs Linux 6.9 and CAP_SYS_ADMIN, and no "
				     "noatime; passthrough=auto does without)");
	if (config->passthrough == PASSTHROUGH_AUTO && !fs->passthrough)
		tell_fallback("passthrough=auto", "without passthrough",
			      "not to be had (needs Linux 6.9 and CAP_SYS_ADMIN, and no noatime)");
	tell_max_write(config->max_write, session);
	return choose_transport(config, session, plan);
}
