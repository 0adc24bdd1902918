/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd-marks.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/stats.h"
#include "caisson/reclaim.h"
#include "serve/config.h"
#include "serve/engine.h"
#include "serve/outbox.h"
#include "serve/plan.h"
#include "serve/queue.h"
#include "serve/request.h"
#include "store/cached-open.h"
#include "store/creds.h"
#include "store/prealloc.h"

static struct queue_config queue_config(struct server *server, uint32_t qid)
{
	const struct serve_config *config = server->config;
	uint32_t slots = plan_slots(&server->plan), entry_count;
	const uint16_t *entries = ring_layout_of(&server->plan.layout, qid, &entry_count);

	return (struct queue_config){
		.qid = (uint16_t)qid,
		.arena = &server->arena,
		.fs = &server->fs,
		.outbox = &server->outboxes[qid],
		.workers = &server->workers,
		.queues = server->queues,
		.queue_count = server->plan.queues,
		.gates = &server->gates,
		.dropper = &server->dropper,
		.first_slot = qid * slots,
		.depth = slots,
		.max_write = config->max_write,
		.shared = &server->engines,
		.session_fd = server->session_fd,
		.entries = entries,
		.entry_count = entry_count,
		.online_count = ring_layout_online_of(&server->plan.layout, qid),
		.handover = server->handover ? &server->handover->queue[qid] : NULL,
		.inherits = server->inherits,
	};
}

static int open_queue(void *arg, uint32_t qid)
{
	struct server *server = arg;
	struct queue_config config = queue_config(server, qid);

	return queue_open(&server->queues[qid], &config);
}

static int start_engine(void *arg, uint32_t qid)
{
	struct server *server = arg;

	return engine_start(&server->queues[qid].engine);
}

static void run_queue(void *arg, uint32_t qid)
{
	struct server *server = arg;
	uint64_t one = 1;

	(void)queue_run(&server->queues[qid]); /* kept in queue->fault */
	affinity_end(&server->queues[qid].affinity);
	atomic_fetch_sub(&server->running, 1);
	(void)!write(server->ended_fd, &one, sizeof(one)); /* far from its end */
}

static const struct thread_role queue_role = {
	.name = "queue",
	/* mappings are locked, which takes a capability */
	.before = { "make its ring and clone /dev/fuse", open_queue },
	/* io-wq's workers inherit the capabilities that are left */
	.after = { "start its io-wq", start_engine },
	.run = run_queue,
};

static int take_umask(void *arg, uint32_t number)
{
	(void)arg, (void)number;
	return creds_thread_init();
}

static void run_worker(void *arg, uint32_t number)
{
	struct server *server = arg;

	worker_run(&server->workers, number);
}

static const struct thread_role worker_role = {
	.name = "meta",
	/* creds_resume() goes back to the credentials of this moment */
	.after = { "take a umask of its own", take_umask },
	.run = run_worker,
};

static void run_prune(void *arg, uint32_t number)
{
	struct server *server = arg;

	(void)number;
	prune_run(&server->prune, server->session_fd);
}

static const struct thread_role prune_role = { .name = "prune", .run = run_prune };

static void run_dropper(void *arg, uint32_t number)
{
	struct server *server = arg;

	(void)number;
	dropper_run(&server->dropper);
}

static const struct thread_role dropper_role = { .name = "drop", .run = run_dropper };

/* Attaches the arena of another server. -EBADMSG: that one has another layout. */
static int attach_memory(struct server *server, int arena_fd)
{
	struct arena planned;
	int r = plan_arena(&planned, server->config, &server->plan);

	if (!r)
		r = arena_attach(&server->arena, arena_fd);
	if (!r && !arena_is_as_planned(&server->arena, &planned))
		r = -EBADMSG;
	return r;
}

static int make_memory(struct server *server, int arena_fd)
{
	int r;

	if (arena_fd >= 0) {
		r = attach_memory(server, arena_fd);
		if (r == -EBADMSG) {
			log_fail("arena: take over: its tables are laid out in another way");
			return r;
		}
	} else {
		r = plan_arena(&server->arena, server->config, &server->plan);
		if (!r)
			r = arena_create(&server->arena);
	}
	if (!r)
		r = caisson_memory_prefault(server->arena.base, arena_len(&server->arena));
	if (r < 0)
		log_fail("arena: make %llu KiB of locked memory: %s",
			 (unsigned long long)(arena_len(&server->arena) / 1024), strerror(-r));
	else if (server->config->recovery)
		server->handover = arena_table(&server->arena, ARENA_HANDOVER);
	return r;
}

/* What INIT has agreed on is kept for another server. */
static void save_terms(const struct server *server)
{
	const struct fs *fs = &server->fs;
	struct handover *handover = server->handover;

	for (uint32_t qid = 0; qid < SERVE_QUEUES_MAX; qid++)
		handover->queue[qid] = (struct handover_queue){ .dev_fd = -1,
								.ring_fd = HANDOVER_OVER,
								.sentinel_fd = -1 };
	handover->session = server->session;
	handover->posix_acl = fs->posix_acl;
	handover->parallel_direct_writes = fs->parallel_direct_writes;
	handover->killpriv_v2 = fs->killpriv_v2;
	handover->dont_mask = fs->dont_mask;
	handover->setxattr_ext = fs->setxattr_ext;
	handover->passthrough = fs->passthrough;
	handover->default_permissions = fs->default_permissions;
}

static void load_terms(struct server *server)
{
	const struct handover *handover = server->handover;
	struct fs *fs = &server->fs;

	server->session = handover->session;
	fs->posix_acl = handover->posix_acl;
	fs->default_permissions = handover->default_permissions; /* as the kernel checks */
	fs->parallel_direct_writes = handover->parallel_direct_writes;
	fs->killpriv_v2 = handover->killpriv_v2;
	fs->dont_mask = handover->dont_mask;
	fs->setxattr_ext = handover->setxattr_ext;
	fs->passthrough = handover->passthrough;
}

static void set_fs(struct server *server, const struct store *store)
{
	struct fs *fs = &server->fs;

	fs->store = *store;
	fs->cache = server->config->cache;
	fs->default_permissions = server->config->default_permissions;
	fs->noatime = server->config->noatime;
	fs->entry_timeout_ns = server->config->entry_timeout_ns;
	fs->attr_timeout_ns = server->config->attr_timeout_ns;
}

static int make_tables(struct server *server)
{
	struct fs *fs = &server->fs;
	int r;

	r = inode_table_init(&fs->inodes, &server->arena);
	if (!r)
		r = inode_table_set_root(&fs->inodes, fs->store.root_fd);
	if (!r)
		r = file_table_init(&fs->files, &server->arena, &fs->inodes);
	return r;
}

/* As make_tables(), for tables that another server uses until it dies. */
static int prepare_tables(struct server *server)
{
	struct fs *fs = &server->fs;
	int r;

	r = inode_table_prepare(&fs->inodes, &server->arena);
	if (!r)
		r = file_table_prepare(&fs->files, &server->arena, &fs->inodes);
	return r;
}

static void mark_fds(const struct server *server, struct fd_marks *marks)
{
	const struct fs *fs = &server->fs;

	inode_table_mark_fds(&fs->inodes, marks);
	file_table_mark_fds(&fs->files, marks);
	fd_marks_add(marks, server->session_fd);
	fd_marks_add(marks, server->arena.memfd);
	fd_marks_add(marks, server->ended_fd);
	fd_marks_add(marks, server->prune.stop_fd);
	fd_marks_add(marks, server->workers.leases.timer_fd);
	fd_marks_add(marks, fs->store.root_fd);
	fd_marks_add(marks, fs->store.read_fd);
	fd_marks_add(marks, fs->store.proc_fd);
	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		queue_mark_fds(&server->queues[qid], marks);
		fd_marks_add(marks, server->handover->queue[qid].ring_fd);
		fd_marks_add(marks, server->handover->queue[qid].sentinel_fd);
	}
}

/* Step 1 of takeover.h. */
static int take_over_tables(struct server *server, const struct server_estate *estate)
{
	struct fs *fs = &server->fs;
	int r;

	r = inode_table_attach(&fs->inodes);
	if (r < 0) {
		log_fail("table of inodes: take over: %s", strerror(-r));
		return r;
	}
	file_table_attach(&fs->files);
	cached_open_attach(&fs->files);
	inode_table_free_unheld(&fs->inodes);
	mark_fds(server, estate->marks);
	fd_marks_sweep(estate->marks);
	estate->swept(estate->arg);
	return 0;
}

static int make_fs(struct server *server)
{
	struct fs *fs = &server->fs;
	int r;

	r = store_open_proc(&fs->store);
	if (r < 0) {
		log_fail("/proc/self/fd: open: %s", strerror(-r));
		return r;
	}
	r = server->inherits ? prepare_tables(server) : make_tables(server);
	fs->inodes.session_fd = server->session_fd;
	fs->inodes.fd_limit = server->config->inode_fds;
	/* a network filesystem may take long to tell its free space */
	prealloc_init(&fs->prealloc, &server->arena,
		      fs->store.local ? server->config->extent_size_hint : 0);
	prealloc_look(&fs->prealloc, fs->store.root_fd);
	if (!r)
		r = prune_init(&server->prune, fs);
	if (r < 0)
		log_fail("tables of inodes and files: make: %s", strerror(-r));
	return r;
}

static int make_queues_and_workers(struct server *server)
{
	const struct serve_config *config = server->config;
	struct worker_config workers = {
		.arena = &server->arena,
		.fs = &server->fs,
		.gates = &server->gates,
		.dropper = &server->dropper,
		.count = config->workers,
		.queue_count = server->plan.queues,
		.first_slot = server->plan.queues * plan_slots(&server->plan),
		.slots = PLAN_META_SLOTS,
		.layout = &server->plan.layout,
		.notes_progress = config->recovery,
		.inherits = server->inherits,
	};
	int r;

	server->queues = aligned_alloc(
		CACHE_LINE_BYTES,
		round_up(server->plan.queues * sizeof(*server->queues), CACHE_LINE_BYTES));
	server->outboxes =
		aligned_alloc(CACHE_LINE_BYTES, server->plan.queues * sizeof(*server->outboxes));
	if (!server->queues || !server->outboxes) {
		free(server->queues); /* server_close() looks into them */
		server->queues = NULL;
		return -ENOMEM;
	}
	memset(server->queues, 0, server->plan.queues * sizeof(*server->queues));
	memset(server->outboxes, 0, server->plan.queues * sizeof(*server->outboxes));
	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		struct queue_config queue = queue_config(server, qid);

		r = queue_init(&server->queues[qid], &queue);
		if (r < 0)
			return r;
	}
	workers.outboxes = server->outboxes;
	server->gates = (struct gate_table){
		.inodes = &server->fs.inodes,
		.requests = arena_table(&server->arena, ARENA_REQUESTS),
		.entered = worker_entered,
		.arg = &server->workers,
	};
	dropper_init(&server->dropper, &server->fs, arena_table(&server->arena, ARENA_REQUESTS),
		     plan_drops(&server->plan), worker_dropped, &server->workers);
	return worker_init(&server->workers, &workers);
}

static int start_threads(struct server *server)
{
	const struct serve_config *config = server->config;
	struct threads *threads = &server->threads;
	int ready, r;

	r = threads_init(threads, server->plan.queues + config->workers + 2, server);
	if (r < 0)
		return r;
	r = threads_start(threads, &queue_role, server->plan.queues);
	if (!r)
		r = threads_start(threads, &worker_role, config->workers);
	if (!r)
		r = threads_start(threads, &prune_role, 1);
	if (!r)
		r = threads_start(threads, &dropper_role, 1);
	ready = threads_wait_ready(threads);
	return r ? r : ready;
}

/* Registering buffers is optional, and counts against RLIMIT_MEMLOCK. */
static void tell_unpinned(const struct server *server)
{
	uint32_t unpinned = 0;

	for (uint32_t qid = 0; qid < server->plan.queues; qid++)
		unpinned += server->queues[qid].engine.buf_len &&
			    !server->queues[qid].engine.pinned;
	if (unpinned)
		log_info("buffers of %u queues: register with io_uring: refused by the kernel "
			 "(RLIMIT_MEMLOCK): each request looks up its pages",
			 unpinned);
}

int server_open(struct server *server, const struct serve_config *config, const struct store *store,
		int session_fd, int arena_fd)
{
	int r;

	*server = (struct server){
		.config = config,
		.session_fd = session_fd,
		.ended_fd = -1,
		.prune.stop_fd = -1,
		.arena.memfd = -1,
		.inherits = arena_fd >= 0,
	};
	for (uint32_t qid = 0; qid < SERVE_QUEUES_MAX; qid++)
		server->sentinels[qid] = -1;
	server->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->ended_fd < 0) {
		r = -errno;
		log_fail("eventfd: make: %s", strerror(-r));
		return r;
	}
	set_fs(server, store);
	server->plan = plan_dev(config);
	r = server->inherits
		    ? 0
		    : plan_agree(config, session_fd, &server->fs, &server->session, &server->plan);
	atomic_init(&server->running, server->plan.queues);
	if (!r)
		r = make_memory(server, arena_fd);
	if (r < 0)
		return r;
	if (server->inherits)
		load_terms(server);
	else if (server->handover)
		save_terms(server);
	if (server->inherits)
		takeover_map(&server->dead_rings, server->handover, server->plan.queues);
	r = make_fs(server);
	if (r < 0)
		return r;
	r = make_queues_and_workers(server);
	if (r < 0) {
		log_fail("queues and workers: make: %s", strerror(-r));
		return r;
	}
	r = start_threads(server);
	if (r == 0 && !server->inherits)
		tell_unpinned(server);
	return r;
}

/*
 * Notes the rings and sentinels of this server for its heir. Only now, as one that dies before it
 * has used its rings leaves those that it was waiting for.
 */
static void note_rings(struct server *server)
{
	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		const struct engine *engine = &server->queues[qid].engine;
		struct handover_queue *handover = &server->handover->queue[qid];

		handover->sentinel_fd = engine->sentinel_fd;
		handover->params = engine->params;
		KILL_FENCE();
		handover->ring_fd = engine->ring.ring_fd;
	}
}

/* Step 2 of takeover.h. */
static int await_io(struct server *server, int ms)
{
	int64_t end_ms = clock_ms() + ms;
	uint32_t slots = plan_slots(&server->plan);
	int r = 0;

	for (uint32_t qid = 0; qid < server->plan.queues && !r; qid++)
		r = takeover_await(&server->arena, server->handover, &server->dead_rings, qid,
				   qid * slots, slots, end_ms);
	return r;
}

/* Steps 2 and 3 of takeover.h. */
static int take_over_requests(struct server *server, const struct server_estate *estate)
{
	struct handover *handover = server->handover;
	struct takeover takeover = {
		.arena = &server->arena,
		.outboxes = server->outboxes,
		.workers = &server->workers,
		.dropper = &server->dropper,
		.handover = handover,
		.queue_slots = server->plan.queues * plan_slots(&server->plan),
		.meta_slots = PLAN_META_SLOTS,
		.failed = estate->failed,
	};
	int r = await_io(server, estate->wait_ms);

	if (r < 0) {
		log_fail("I/O of the server that has died: wait for its end: %s", strerror(-r));
		return r;
	}
	for (uint32_t qid = 0; qid < server->plan.queues; qid++)
		server->sentinels[qid] = handover->queue[qid].sentinel_fd;
	note_rings(server);
	worker_empty_inboxes(&server->workers);
	dropper_inherit(&server->dropper);
	takeover_requests(&takeover);
	handover->takeovers++;
	handover->pause_us = clock_us() - estate->died_us;
	handover->worst_pause_us = MAX(handover->worst_pause_us, handover->pause_us);
	return 0;
}

int server_seal(struct server *server, const struct server_estate *estate)
{
	struct session_config config = plan_session(server->config, &server->plan);
	int r;

	if (estate) {
		r = take_over_tables(server, estate);
		if (r == 0)
			r = take_over_requests(server, estate);
		if (r == 0)
			threads_let_go(&server->threads);
		return r;
	}
	if (server->handover)
		note_rings(server);
	r = session_answer(&server->session, server->session_fd, &config);
	if (r < 0) {
		log_fail("kernel: agree on the FUSE protocol: %s", strerror(-r));
		return r;
	}
	threads_let_go(&server->threads);
	return 0;
}

bool server_settle(struct server *server, int ms)
{
	struct pollfd sentinel = { .fd = -1 };

	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		sentinel.fd = server->sentinels[qid];
		if (sentinel.fd < 0)
			continue;
		if (poll(&sentinel, 1, ms) == 1)
			close_fd(&server->sentinels[qid]);
		/* also after the last one: what came before it may still wait */
		queue_look(server->queues, server->plan.queues);
		return false;
	}
	return true;
}

void server_check_affinity(struct server *server)
{
	for (uint32_t qid = 0; qid < server->plan.queues; qid++) {
		struct queue *queue = &server->queues[qid];

		/* a thread that takes no turns sleeps, or can't have the CPU that it keeps to */
		affinity_look(&queue->affinity, stat_get(&queue->stats->turns));
	}
}

/*
 * Ends the threads that notify the kernel, while the queues still serve: a notification may wait
 * for a client, and that client for an answer.
 */
static void stop_notifying(struct server *server)
{
	prune_stop(&server->prune);
	threads_join(&server->threads, &prune_role);
	dropper_stop(&server->dropper);
	threads_join(&server->threads, &dropper_role);
}

void server_stop(struct server *server)
{
	stop_notifying(server);
	worker_stop_waiting(&server->workers);
	for (uint32_t qid = 0; qid < server->plan.queues; qid++)
		queue_stop(&server->queues[qid]);
}

void server_clear_ended(struct server *server)
{
	uint64_t ended;

	(void)!read(server->ended_fd, &ended, sizeof(ended)); /* EAGAIN: was clear already */
}

bool server_has_ended(const struct server *server)
{
	return atomic_load(&server->running) == 0;
}

int server_fault(const struct server *server)
{
	for (uint32_t qid = 0; server->queues && qid < server->plan.queues; qid++) {
		int fault = atomic_load(&server->queues[qid].fault);

		if (fault)
			return fault;
	}
	return 0;
}

void server_join(struct server *server)
{
	if (server->threads.all) {
		threads_give_up(&server->threads);
		stop_notifying(server);
		threads_join(&server->threads, &queue_role);
		/* the queues have handed over their requests: the workers answer these */
		worker_stop(&server->workers);
		threads_join(&server->threads, &worker_role);
		threads_destroy(&server->threads);
	}
	if (server->fs.files.rows)
		file_table_destroy(&server->fs.files);
	if (server->fs.inodes.rows)
		inode_table_destroy(&server->fs.inodes);
	server->fs.files.rows = NULL;
	server->fs.inodes.rows = NULL;
}

void server_close(struct server *server)
{
	server_join(server);
	if (server->workers.stats)
		worker_destroy(&server->workers);
	for (uint32_t qid = 0; server->queues && qid < server->plan.queues; qid++)
		queue_destroy(&server->queues[qid]);
	free(server->queues);
	free(server->outboxes);
	prune_destroy(&server->prune);
	dropper_destroy(&server->dropper);
	arena_destroy(&server->arena);
	plan_destroy(&server->plan);
	close_fd(&server->ended_fd);
}

uint64_t server_memory_len(const struct server *server)
{
	return arena_len(&server->arena);
}
