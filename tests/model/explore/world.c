/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/stats.h"
#include "explore.h"
#include "handlers/op-zone.h"
#include "serve/gate.h"
#include "serve/outbox.h"
#include "serve/queue.h"
#include "serve/ring-layout.h"
#include "serve/takeover.h"
#include "serve/worker.h"
#include "store/cached-open.h"
#include "store/fs.h"
#include "store/progress.h"
#include "store/store.h"

#define QUEUES	  2
#define DEPTH	  4
#define WORKERS	  2
#define METAS	  2
#define SLOTS	  (QUEUES * DEPTH)
#define MAX_WRITE 8192u
#define PROCESSES 3

/* What a process has of its own. */
struct process {
	struct fs fs;
	struct worker_set workers;
	struct queue queues[QUEUES];
	struct outbox outboxes[QUEUES];
	struct queue_config configs[QUEUES];
	struct engine_shared shared;
	struct gate_table gates;
	struct takeover_rings dead_rings;
};

static struct {
	struct arena arena;
	struct store store;
	struct process processes[PROCESSES]; /* those that have died, and the one that lives */
	struct process *now;
	const struct scenario *scenario;
	struct inode *inode;
	uint32_t queues_ended;
	char path[64];
} world;

/* All entries are for one CPU, number 0. */
static uint16_t entry_cpus[SLOTS];

static void must(bool condition, const char *what)
{
	if (!condition)
		explore_fail(what);
}

void world_make(void)
{
	/* in memory, where that can be: the file is made anew for each run */
	const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct arena *arena = &world.arena;
	int r, fd;

	r = snprintf(world.path, sizeof(world.path), "%s/caisson-explore.XXXXXX", tmp);
	must(r < (int)sizeof(world.path) && mkdtemp(world.path), "no directory for a file");
	arena_init(arena);
	r = arena_plan(arena, ARENA_QUEUE_STATS, sizeof(struct stats_queue), QUEUES, 64);
	r = r ? r : arena_plan(arena, ARENA_REQUESTS, sizeof(struct request), SLOTS + METAS, 64);
	r = r ? r : arena_plan(arena, ARENA_IOS, sizeof(struct io), SLOTS, 64);
	r = r ? r
	      : arena_plan(arena, ARENA_META_RING, sizeof(struct worker_cell),
			   worker_cells(SLOTS + METAS), 64);
	r = r ? r : inode_table_plan(arena, 4);
	r = r ? r : file_table_plan(arena, FILES);
	r = r ? r : prealloc_plan(arena, 0);
	r = r ? r
	      : arena_plan(arena, ARENA_WORKER_BUFFERS, worker_buffer_len(), WORKERS + QUEUES,
			   4096);
	r = r ? r
	      : arena_plan(arena, ARENA_META_BUFFERS, request_stride(WORKER_MESSAGE_LEN), METAS,
			   4096);
	r = r ? r : arena_plan(arena, ARENA_DATA_BUFFERS, request_stride(MAX_WRITE), SLOTS, 4096);
	r = r ? r : arena_plan(arena, ARENA_HANDOVER, sizeof(struct handover), 1, 64);
	r = r ? r : arena_create(arena);
	must(r == 0, "no arena");
	must(store_open(&world.store, world.path) == 0, "the directory can't be opened");
	must(store_open_proc(&world.store) == 0, "/proc can't be opened");
	fd = openat(world.store.root_fd, "data", O_CREAT | O_WRONLY, 0600);
	must(fd >= 0, "no file");
	(void)close(fd);
}

/* As it was before anything used it, but for the buffers. */
static void clear_arena(void)
{
	static const enum arena_table used[] = {
		ARENA_QUEUE_STATS, ARENA_REQUESTS, ARENA_IOS,	   ARENA_META_RING,
		ARENA_INODES,	   ARENA_FILES,	   ARENA_HANDOVER,
	};

	for (size_t i = 0; i < ARRAY_SIZE(used); i++) {
		const struct arena_span *span = &world.arena.plan.span[used[i]];

		memset(arena_at(&world.arena, span->off), 0, span->row_len * span->count);
	}
}

/* The file, which is a zone where the scenario says so, open as often as there are handles. */
static void open_files(const struct scenario *scenario)
{
	struct fs *fs = &world.now->fs;
	struct statx stx;
	int fd;

	fd = openat(fs->store.root_fd, "data", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	must(fd >= 0 && store_statx(fd, STATX_BASIC_STATS, &stx) == 0 &&
		     inode_remember(&fs->inodes, &fd, &stx, &world.inode) == 0,
	     "the file can't be opened");
	if (scenario->zone_len)
		must(inode_make_zone(&fs->inodes, world.inode, ZONE_SEQUENTIAL, scenario->zone_len,
				     scenario->zone_len) == 0,
		     "the file can't be a zone");
	for (uint32_t i = 0; i < FILES; i++) {
		struct file fill = { .buffered_fd = -1, .flags = O_RDWR };
		uint64_t fh;

		fill.fd = openat(fs->store.root_fd, "data", O_RDWR | O_CLOEXEC);
		must(fill.fd >= 0, "the file can't be opened");
		if (scenario->two_ways && i == 0) {
			fill.dio_off_align = BLOCK_BYTES;
			fill.buffered_fd = openat(fs->store.root_fd, "data", O_RDWR | O_CLOEXEC);
			must(fill.buffered_fd >= 0, "the file can't be opened");
		}
		if (i == 0)
			must(ftruncate(fill.fd, 0) == 0, "the file can't be emptied");
		must(file_open(&fs->files, world.inode, &fill, &fh) == 0 && fh == FH(i),
		     "no handle");
		if (scenario->zone_len)
			op_zone_load(world.inode, fill.fd);
	}
}

static void run_queue(void *arg, uint32_t number)
{
	struct queue *queue = &((struct queue *)arg)[number];

	must(queue_run(queue) == 0 || atomic_load(&queue->fault) == -ECONNABORTED,
	     "a queue has failed");
	world.queues_ended++;
}

static void run_worker(void *arg, uint32_t number)
{
	struct worker_set *set = arg;

	worker_run(set, number);
}

static bool queues_have_ended(void *arg)
{
	const struct scenario *scenario = arg;

	return world.queues_ended == scenario->queues;
}

static bool main_is_due(void *arg)
{
	return kernel_timer_is_due() || queues_have_ended(arg);
}

/* The main thread: rounds, and the end as server_close() has it. */
static void close_server(void *arg, uint32_t number)
{
	(void)number;
	for (;;) {
		fiber_wait(main_is_due, arg, true, "waits for the queues to end");
		if (queues_have_ended(arg))
			break;
		worker_retry(&world.now->workers);
	}
	worker_stop(&world.now->workers);
}

static void stop_queues(void)
{
	for (uint32_t i = 0; i < world.scenario->queues; i++)
		queue_stop(&world.now->queues[i]);
}

/* Nothing tells of what a run before was about. */
static void clear_messages(void)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	for (uint32_t i = 0; i < SLOTS + METAS; i++) {
		if (requests[i].buf_off)
			memset(arena_at(&world.arena, requests[i].buf_off - PAGE_BYTES), 0,
			       PAGE_BYTES);
	}
}

static void make_workers(struct process *process, bool inherits)
{
	const struct scenario *scenario = world.scenario;
	const struct ring_layout layout = {
		.entries = entry_cpus,
		.per_queue = scenario->entries,
		.queues = 1,
		.count = scenario->entries,
	};
	struct worker_config workers = {
		.arena = &world.arena,
		.fs = &process->fs,
		.gates = &process->gates,
		.outboxes = process->outboxes,
		.count = scenario->workers,
		.queue_count = scenario->queues,
		.first_slot = scenario->queues * scenario->depth,
		.slots = scenario->metas,
		.layout = &layout,
		.notes_progress = scenario->freedom.deaths,
		.inherits = inherits,
	};

	must(worker_init(&process->workers, &workers) == 0, "the workers can't be made");
	process->gates = (struct gate_table){
		.inodes = &process->fs.inodes,
		.requests = arena_table(&world.arena, ARENA_REQUESTS),
		.entered = worker_entered,
		.arg = &process->workers,
	};
}

static void make_queue(struct process *process, uint32_t qid, bool inherits)
{
	struct handover *handover = arena_table(&world.arena, ARENA_HANDOVER);
	const struct scenario *scenario = world.scenario;
	struct queue_config *config = &process->configs[qid];

	*config = (struct queue_config){
		.qid = (uint16_t)qid,
		.arena = &world.arena,
		.fs = &process->fs,
		.outbox = &process->outboxes[qid],
		.workers = &process->workers,
		.queues = process->queues,
		.queue_count = scenario->queues,
		.gates = &process->gates,
		.first_slot = qid * scenario->depth,
		.depth = scenario->depth,
		.max_write = MAX_WRITE,
		.shared = &process->shared,
		.entries = entry_cpus,
		.entry_count = scenario->entries,
		.handover = scenario->freedom.deaths ? &handover->queue[qid] : NULL,
		.inherits = inherits,
	};
	must(queue_init(&process->queues[qid], config) == 0 &&
		     queue_open(&process->queues[qid], config) == 0,
	     "a queue can't be made");
}

/* As note_rings() of server.c. */
static void note_rings(const struct process *process)
{
	struct handover *handover = arena_table(&world.arena, ARENA_HANDOVER);

	for (uint32_t qid = 0; qid < world.scenario->queues; qid++) {
		const struct engine *engine = &process->queues[qid].engine;

		handover->queue[qid].sentinel_fd = engine->sentinel_fd;
		handover->queue[qid].params = engine->params;
		handover->queue[qid].ring_fd = engine->ring.ring_fd;
	}
}

static void start_fibers(struct process *process)
{
	for (uint32_t i = 0; i < world.scenario->queues; i++)
		fiber_start("queue", run_queue, process->queues, i);
	for (uint32_t i = 0; i < world.scenario->workers; i++)
		fiber_start("worker", run_worker, &process->workers, i);
	fiber_start("main", close_server, (void *)world.scenario, 0);
}

/* What is answered isn't done again, as that might undo what came later. */
static void check_inherited(void)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	for (uint32_t i = 0; i < SLOTS + METAS; i++)
		must(request_state(&requests[i]) == REQUEST_FREE ||
			     !kernel_has_answered(requests[i].unique),
		     "what was answered is to be done again");
	world_check();
}

/* As take_over_tables() and take_over_requests() of server.c. */
static void take_over(void *arg, uint32_t number)
{
	struct handover *handover = arena_table(&world.arena, ARENA_HANDOVER);
	const struct scenario *scenario = world.scenario;
	struct process *process = arg;
	struct takeover takeover = {
		.arena = &world.arena,
		.outboxes = process->outboxes,
		.workers = &process->workers,
		.handover = handover,
		.queue_slots = scenario->queues * scenario->depth,
		.meta_slots = scenario->metas,
	};
	struct fs *fs = &process->fs;

	(void)number;
	must(inode_table_attach(&fs->inodes) == 0, "the inode table can't be taken over");
	file_table_attach(&fs->files);
	cached_open_attach(&fs->files);
	inode_table_free_unheld(&fs->inodes);
	for (uint32_t qid = 0; qid < scenario->queues; qid++)
		must(takeover_await(&world.arena, handover, &process->dead_rings, qid,
				    qid * scenario->depth, scenario->depth,
				    clock_ms() + 600000) == 0,
		     "I/O that doesn't end");
	note_rings(process);
	worker_empty_inboxes(&process->workers);
	takeover_requests(&takeover);
	check_inherited();
	start_fibers(process);
}

/* The heir makes its own, leaves the arena alone, and then takes over. */
static void start_heir(void)
{
	struct process *process = ++world.now;
	struct fs *fs = &process->fs;

	assert(process < world.processes + PROCESSES);
	fiber_reset();
	/* what was the thread's own: all fibers are one thread */
	(void)inode_unpin(0);
	progress_end();
	world.queues_ended = 0;
	*process = (struct process){ .fs.store = world.store };
	must(inode_table_prepare(&fs->inodes, &world.arena) == 0 &&
		     file_table_prepare(&fs->files, &world.arena, &fs->inodes) == 0,
	     "the tables can't be made");
	takeover_map(&process->dead_rings, arena_table(&world.arena, ARENA_HANDOVER),
		     world.scenario->queues);
	make_workers(process, true);
	for (uint32_t qid = 0; qid < world.scenario->queues; qid++)
		make_queue(process, qid, true);
	fiber_start("heir", take_over, process, 0);
}

void world_begin(const struct scenario *scenario)
{
	struct handover *handover = arena_table(&world.arena, ARENA_HANDOVER);
	struct process *process = world.now = world.processes;
	struct fs *fs = &process->fs;

	world.scenario = scenario;
	world.queues_ended = 0;
	*process = (struct process){ .fs.store = world.store };
	kernel_on_stop = stop_queues;
	kernel_on_death = start_heir;
	kernel_reset(scenario->messages, scenario->message_count, &scenario->freedom);
	ring_reset();
	fiber_reset();
	clear_arena();
	must(inode_table_init(&fs->inodes, &world.arena) == 0 &&
		     inode_table_set_root(&fs->inodes, fs->store.root_fd) == 0 &&
		     file_table_init(&fs->files, &world.arena, &fs->inodes) == 0,
	     "the tables can't be made");
	make_workers(process, false);
	open_files(scenario);
	for (uint32_t i = 0; i < scenario->queues; i++) {
		handover->queue[i].ring_fd = HANDOVER_OVER;
		make_queue(process, i, false);
	}
	if (scenario->freedom.deaths)
		note_rings(process);
	clear_messages();
	start_fibers(process);
}

/*
 * Whether a slot tells of the request of that UNIQUE: by its row, or by what was put into its
 * buffer.
 */
static bool tells_of(const struct request *request, uint64_t unique)
{
	const struct caisson_fuse_uring_req_header *entry;
	const struct fuse_in_header *message, *put;

	if (request_state(request) == REQUEST_FREE)
		return false;
	entry = arena_at(&world.arena, request->buf_off - PAGE_BYTES);
	message = request_message(&world.arena, request);
	put = (const void *)entry->in_out;
	return request->unique == unique || message->unique == unique ||
	       (request->entry && put->unique == unique);
}

/* S10: what was taken can be found, by whoever takes over. */
static void check_taken(void)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	for (uint32_t i = 0; i < MESSAGES; i++) {
		bool told = !kernel_awaits(i);

		for (uint32_t k = 0; k < SLOTS + METAS && !told; k++)
			told = tells_of(&requests[k], UNIQUE(i));
		must(told, "a request that no slot tells of: a crash would lose it");
	}
}

static bool is_inherited(void)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	for (uint32_t i = 0; i < SLOTS + METAS; i++) {
		if (requests[i].inherited)
			return true;
	}
	return false;
}

/*
 * A zone that nobody is at has as many bytes as it says that it has: data first, then the pointer.
 * Of a write whose process has died only the data may be there, until it is made again.
 */
static void check_zone(void)
{
	const struct zone *zone = &world.inode->zone;
	struct stat st;

	if (!world.scenario->zone_len || zone_state(zone) != ZONE_IDLE || is_inherited())
		return;
	must(fstat(world.now->fs.files.rows[0].fd, &st) == 0 && (uint64_t)st.st_size == zone->wp,
	     "the write pointer isn't where the data ends");
}

void world_check(void)
{
	check_taken();
	check_zone();
}

static void check_requests(void)
{
	const struct kernel_freedom *freedom = &world.scenario->freedom;
	bool sudden = freedom->abort || freedom->stop;
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	for (uint32_t i = 0; i < SLOTS + METAS; i++) {
		enum request_state state = request_state(&requests[i]);

		/*
		 * An entry on offer goes with its ring; and so does, where the end may come at
		 * any time, what a worker hands back to a queue that has ended.
		 */
		must(state == REQUEST_FREE ||
			     (requests[i].entry && (state == REQUEST_FETCH || sudden)),
		     "a request that is not through");
	}
}

static void check_pools(const struct scenario *scenario)
{
	for (uint32_t i = 0; i < scenario->queues; i++) {
		uint32_t there = atomic_load(&world.now->outboxes[i].slots.free);

		must(there <= scenario->depth && there + scenario->entries >= scenario->depth,
		     "a slot that was not given back");
	}
	must(atomic_load(&world.now->workers.slots.free) == scenario->metas,
	     "a metadata slot that was not given back");
	must(atomic_load(&world.now->workers.leases.places->used) == 0,
	     "a place that was not given back");
	must(atomic_load(&world.now->shared.in_flight) == 0, "I/O that nobody knows of");
	for (uint32_t i = 0; i < METAS + SLOTS; i++)
		must(!((const struct request *)arena_table(&world.arena, ARENA_REQUESTS))[i]
			      .in_gate,
		     "a gate that was not left");
}

void world_check_end(void)
{
	must(kernel_is_content(world.now->fs.files.rows[0].fd), "the clients were let down");
	must(!world.scenario->zone_len || zone_state(&world.inode->zone) == ZONE_IDLE,
	     "a zone that was left as it was");
	world_check();
	check_requests();
	check_pools(world.scenario);
}

/* What PROCESS had, but for what lives in the arena. */
static void forget(struct process *process)
{
	for (uint32_t i = 0; i < world.scenario->queues; i++)
		queue_destroy(&process->queues[i]);
	worker_destroy(&process->workers);
}

void world_end(void)
{
	struct process *process = world.now;

	forget(process);
	file_table_destroy(&process->fs.files);
	inode_table_destroy(&process->fs.inodes);
	while (process-- != world.processes) {
		forget(process);
		pool_destroy(&process->fs.files.pool);
	}
}

static uint64_t hash_pool(uint64_t hash, const struct pool *pool)
{
	uint32_t top = (uint32_t)atomic_load(&pool->head); /* without its turn */

	hash = hash_bytes(hash, &top, sizeof(top));
	return hash_bytes(hash, pool->next, pool->count * sizeof(*pool->next));
}

static uint64_t hash_queue(uint64_t hash, const struct queue *queue)
{
	const uint32_t fields[] = {
		queue->dev.armed,
		queue->dev.offered,
		queue->dev.ended,
		queue->wake_armed,
		queue->dev.replies,
		queue->lookup_backoff,
		(uint32_t)queue->end_reason,
		queue->engine.in_flight,
		queue->parked,
		atomic_load(&queue->outbox->starved),
		atomic_load(&queue->look),
		atomic_load(&queue->stopping),
		atomic_load(&queue->outbox->returned),
	};

	return hash_pool(hash_bytes(hash, fields, sizeof(fields)), &queue->outbox->slots);
}

static uint64_t hash_inbox(uint64_t hash, const struct worker_set *set,
			   const struct worker_inbox *inbox)
{
	uint64_t tail = atomic_load(&inbox->tail);

	for (; tail != atomic_load(&inbox->head); tail++)
		hash = hash_bytes(hash, &inbox->cells[tail & set->cell_mask].index,
				  sizeof(uint32_t));
	return hash_bytes(hash, "", 1);
}

static uint64_t hash_workers(uint64_t hash, const struct worker_set *set)
{
	const uint32_t fields[] = {
		atomic_load(&set->stopping),
		atomic_load(&set->changing),
		atomic_load(&set->leases.aside),
		atomic_load(&set->leases.places[0].used),
		world.scenario->entries ? atomic_load(&set->leases.places[1].used) : 0,
	};

	for (uint32_t i = 0; i < MESSAGES; i++) {
		bool interrupted = lease_wait_is_interrupted(&set->leases, UNIQUE(i));

		hash = hash_bytes(hash, &interrupted, sizeof(interrupted));
	}
	hash = hash_inbox(hash, set, &set->inbox);
	hash = hash_inbox(hash, set, &set->aside);
	hash = hash_inbox(hash, set, &set->changes);
	return hash_pool(hash_bytes(hash, fields, sizeof(fields)), &set->slots);
}

/* What a free slot was used for before is nothing. */
static uint64_t hash_requests(uint64_t hash)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);
	const struct io *ios = arena_table(&world.arena, ARENA_IOS);

	for (uint32_t i = 0; i < SLOTS + METAS; i++) {
		enum request_state state = request_state(&requests[i]);

		hash = hash_bytes(hash, &state, sizeof(state));
		/* what an heir would find in it */
		if (state == REQUEST_FETCH && world.scenario->freedom.deaths)
			hash = hash_bytes(hash, request_message(&world.arena, &requests[i]),
					  sizeof(struct fuse_in_header));
		if (state != REQUEST_FREE && state != REQUEST_FETCH)
			hash = hash_bytes(hash, &requests[i], sizeof(requests[i]));
		if (state == REQUEST_IO)
			hash = hash_bytes(hash, &ios[i], sizeof(ios[i]));
	}
	return hash;
}

uint64_t world_unique(uint32_t slot)
{
	const struct request *requests = arena_table(&world.arena, ARENA_REQUESTS);

	return requests[slot].unique;
}

uint64_t world_nodeid(void)
{
	return inode_nodeid(&world.now->fs.inodes, world.inode);
}

bool world_is_direct(int fd)
{
	const struct file *file = &world.now->fs.files.rows[0];

	return file->dio_off_align && fd == file->fd;
}

/* Who writes after a death is a ghost, and may write anything. */
static uint64_t hash_data(uint64_t hash)
{
	uint8_t data[2 * BLOCK_BYTES] = { 0 };
	ssize_t n = pread(world.now->fs.files.rows[0].fd, data, sizeof(data), 0);

	hash = hash_bytes(hash, &n, sizeof(n));
	for (size_t i = 0; i < sizeof(data); i += BLOCK_BYTES / 2)
		hash = hash_bytes(hash, &data[i], 1);
	return hash;
}

uint64_t world_hash(void)
{
	static const enum arena_table tables[] = { ARENA_INODES, ARENA_FILES, ARENA_HANDOVER };
	uint64_t hash = hash_requests(kernel_hash(0));
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct arena_span *span = &world.arena.plan.span[tables[i]];

		hash = hash_bytes(hash, arena_at(&world.arena, span->off),
				  span->row_len * span->count);
	}
	for (uint32_t i = 0; i < world.scenario->queues; i++)
		hash = hash_queue(hash, &world.now->queues[i]);
	hash = hash_workers(hash, &world.now->workers);
	if (world.scenario->freedom.deaths) {
		hash = hash_data(hash);
		hash = hash_bytes(hash, &world.now->fs.inodes.common->step,
				  sizeof(struct inode_step));
		hash = hash_bytes(hash, world.now->dead_rings.is_mapped, world.scenario->queues);
	}
	if (world.scenario->zone_len && fstat(world.now->fs.files.rows[0].fd, &st) == 0)
		hash = hash_bytes(hash, &st.st_size, sizeof(st.st_size));
	return hash;
}

void world_remove(void)
{
	(void)unlinkat(world.store.root_fd, "data", 0);
	(void)rmdir(world.path);
}
