/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "server.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caisson/reclaim.h"
#include "cleanup.h"
#include "creds.h"
#include "engine.h"
#include "log.h"
#include "macro.h"
#include "op-lock.h"
#include "options.h"
#include "privdrop.h"
#include "queue.h"
#include "request.h"
#include "stats.h"

/*
 * Slots for metadata requests, common to all queues, and of these the most that may wait for a
 * lock: so that waiting lockers, who may wait for ever, leave as many for everybody else.
 */
#define META_SLOTS   512
#define LOCK_WAITERS (META_SLOTS / 2)
#define LOCK_OWNERS  4096

/*
 * io-wq workers of one queue: for writes to holes, buffered I/O, fsync, fallocate. Writes to one
 * file take turns there anyway; two let an fsync not wait for them.
 */
#define IOWQ_WORKERS 2

#define STACK_LEN (256u << 10)
#define STACK_TOUCHED                                                                              \
	(96u << 10) /* no handler keeps a buffer on its stack: far more than any uses */

enum role { ROLE_QUEUE, ROLE_WORKER, ROLE_EVICT };

static const char *const role_names[] = {
	[ROLE_QUEUE] = "queue",
	[ROLE_WORKER] = "meta",
	[ROLE_EVICT] = "evict",
};

struct server_thread {
	struct server *server;
	pthread_t thread;
	enum role role;
	uint32_t number; /* of those with this role */
	bool joined;
	int result; /* of getting ready, 0 or -errno */
};

/* Where threads wait until all are ready and the mount may go live. */
static struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uint32_t ready;
	enum { GATE_SHUT, GATE_OPEN, GATE_GIVEN_UP } state;
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static bool gate_wait(void)
{
	bool go;

	pthread_mutex_lock(&gate.mutex);
	gate.ready++;
	pthread_cond_broadcast(&gate.changed);
	while (gate.state == GATE_SHUT)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	go = gate.state == GATE_OPEN;
	pthread_mutex_unlock(&gate.mutex);
	return go;
}

static void gate_wait_for_ready(uint32_t count)
{
	pthread_mutex_lock(&gate.mutex);
	while (gate.ready < count)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	pthread_mutex_unlock(&gate.mutex);
}

static void gate_set(int state)
{
	pthread_mutex_lock(&gate.mutex);
	gate.state = state;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

static struct queue_config queue_config(struct server *server, uint32_t qid)
{
	const struct options *options = server->options;

	return (struct queue_config){
		.qid = (uint16_t)qid,
		.arena = &server->arena,
		.fs = &server->fs,
		.workers = &server->workers,
		.first_slot = qid * options->queue_depth,
		.depth = options->queue_depth,
		.max_write = options->max_write,
		.iowq_workers = IOWQ_WORKERS,
		.session_fd = server->session_fd,
	};
}

/* Where one thread can't, its siblings most likely can't either: the first one tells. */
static int prepare_failed(const struct server_thread *self, const char *action, int error)
{
	static atomic_flag told = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&told))
		log_fail("thread %s-%u: %s: %s", role_names[self->role], self->number, action,
			 strerror(-error));
	return error;
}

/* What a thread does before the gate: its stack, its ring, its identity. */
static int thread_prepare(struct server_thread *self)
{
	struct queue_config config;
	int r;

	r = caisson_stack_prefault(STACK_TOUCHED);
	if (r < 0)
		return prepare_failed(self, "populate its stack", r);
	if (self->role == ROLE_QUEUE) {
		/* before its capabilities go: what is mapped is locked */
		config = queue_config(self->server, self->number);
		r = queue_open(&self->server->queues[self->number], &config);
		if (r < 0)
			return prepare_failed(self, "make its ring and clone /dev/fuse", r);
	}
	r = privdrop_thread();
	if (r < 0)
		return prepare_failed(self, "drop capabilities", r);
	if (self->role == ROLE_QUEUE) {
		/* after they have gone: io-wq's workers inherit what is left */
		r = engine_start(&self->server->queues[self->number].engine);
		if (r < 0)
			return prepare_failed(self, "start its io-wq", r);
	}
	if (self->role == ROLE_WORKER) {
		/* after they have gone: it notes what to go back to behind each caller */
		r = creds_thread_init();
		if (r < 0)
			return prepare_failed(self, "take a umask of its own", r);
	}
	return 0;
}

static void *thread_main(void *arg)
{
	struct server_thread *self = arg;
	struct server *server = self->server;
	uint64_t one = 1;

	self->result = thread_prepare(self);
	if (!gate_wait())
		return NULL;
	switch (self->role) {
	case ROLE_QUEUE:
		(void)queue_run(&server->queues[self->number]); /* kept in queue->fault */
		atomic_fetch_sub(&server->running, 1);
		(void)!write(server->ended_fd, &one, sizeof(one)); /* far from its end */
		break;
	case ROLE_WORKER:
		worker_run(&server->workers, self->number);
		break;
	case ROLE_EVICT:
		evict_run(&server->evict, server->session_fd);
		break;
	}
	return NULL;
}

static int plan_arena(struct arena *arena, const struct options *options)
{
	uint32_t slots = options->queues * options->queue_depth;
	uint32_t requests = slots + META_SLOTS;
	int r = 0;

	arena_init(arena);
	r = r ? r
	      : arena_plan(arena, ARENA_QUEUE_STATS, sizeof(struct stats_queue), options->queues,
			   CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_REQUESTS, sizeof(struct request), requests,
			   CACHE_LINE_BYTES);
	r = r ? r : arena_plan(arena, ARENA_IOS, sizeof(struct io), slots, CACHE_LINE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_META_RING, sizeof(struct worker_cell),
			   worker_cells(requests), CACHE_LINE_BYTES);
	r = r ? r : inode_table_plan(arena, options->inodes);
	r = r ? r : file_table_plan(arena, options->files);
	r = r ? r : lock_plan(arena, LOCK_OWNERS, LOCK_WAITERS);
	r = r ? r
	      : arena_plan(arena, ARENA_WORKER_BUFFERS, worker_buffer_len(), options->workers,
			   PAGE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_META_BUFFERS, request_stride(WORKER_MESSAGE_LEN),
			   META_SLOTS, PAGE_BYTES);
	r = r ? r
	      : arena_plan(arena, ARENA_DATA_BUFFERS, request_stride(options->max_write), slots,
			   PAGE_BYTES);
	return r;
}

int server_plan_memory(const struct options *options, uint64_t *ret_len)
{
	struct arena arena;
	int r = plan_arena(&arena, options);

	if (r == 0)
		*ret_len = arena_len(&arena);
	return r;
}

static int make_memory(struct server *server)
{
	int r;

	r = plan_arena(&server->arena, server->options);
	if (!r)
		r = arena_create(&server->arena);
	if (!r)
		r = caisson_memory_prefault(server->arena.base, arena_len(&server->arena));
	if (r < 0)
		log_fail("arena: make %llu KiB of locked memory: %s",
			 (unsigned long long)(arena_len(&server->arena) / 1024), strerror(-r));
	return r;
}

static int make_fs(struct server *server, const struct store *store)
{
	struct fs *fs = &server->fs;
	int r;

	fs->store = *store;
	fs->cache = server->options->cache;
	fs->mmap = server->options->mmap;
	fs->default_permissions = server->options->default_permissions;
	fs->entry_timeout_ns = server->options->entry_timeout_ns;
	fs->attr_timeout_ns = server->options->attr_timeout_ns;

	r = store_open_proc(&fs->store);
	if (r < 0) {
		log_fail("/proc/self/fd: open: %s", strerror(-r));
		return r;
	}
	r = inode_table_init(&fs->inodes, &server->arena);
	if (!r)
		r = inode_table_set_root(&fs->inodes, fs->store.root_fd);
	if (!r)
		r = file_table_init(&fs->files, &server->arena);
	if (!r)
		r = lock_init(fs, &server->arena);
	if (!r)
		r = evict_init(&server->evict, fs);
	if (r < 0)
		log_fail("tables of inodes, files and locks: make: %s", strerror(-r));
	return r;
}

static int make_queues_and_workers(struct server *server)
{
	const struct options *options = server->options;
	struct worker_config workers = {
		.arena = &server->arena,
		.fs = &server->fs,
		.count = options->workers,
		.first_slot = options->queues * options->queue_depth,
		.slots = META_SLOTS,
		.max_write = options->max_write,
	};
	int r;

	server->queues =
		aligned_alloc(CACHE_LINE_BYTES, round_up(options->queues * sizeof(*server->queues),
							 CACHE_LINE_BYTES));
	if (!server->queues)
		return -ENOMEM;
	memset(server->queues, 0, options->queues * sizeof(*server->queues));
	for (uint32_t qid = 0; qid < options->queues; qid++) {
		struct queue_config config = queue_config(server, qid);

		r = queue_init(&server->queues[qid], &config);
		if (r < 0)
			return r;
	}
	workers.queues = server->queues;
	return worker_init(&server->workers, &workers);
}

static int start_thread(struct server *server, enum role role, uint32_t number)
{
	struct server_thread *thread = &server->threads[server->thread_count];
	pthread_attr_t attr;
	char name[16];
	int r;

	*thread = (struct server_thread){ .server = server, .role = role, .number = number };
	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_LEN);
	if (!r)
		r = pthread_create(&thread->thread, &attr, thread_main, thread);
	(void)pthread_attr_destroy(&attr); /* has no way to fail */
	if (r)
		return -r;
	server->thread_count++;
	(void)snprintf(name, sizeof(name), "%s-%u", role_names[role], number);
	(void)pthread_setname_np(thread->thread, name); /* a name is for people only */
	return 0;
}

static int start_threads(struct server *server)
{
	const struct options *options = server->options;
	uint32_t count = options->queues + options->workers + 1;
	int r = 0;

	server->threads = calloc(count, sizeof(*server->threads));
	if (!server->threads)
		return -ENOMEM;
	for (uint32_t i = 0; i < options->queues && !r; i++)
		r = start_thread(server, ROLE_QUEUE, i);
	for (uint32_t i = 0; i < options->workers && !r; i++)
		r = start_thread(server, ROLE_WORKER, i);
	if (!r)
		r = start_thread(server, ROLE_EVICT, 0);
	if (r < 0)
		log_fail("thread %u of %u: start: %s", server->thread_count + 1, count,
			 strerror(-r));

	gate_wait_for_ready(server->thread_count);
	for (uint32_t i = 0; i < server->thread_count && !r; i++)
		r = server->threads[i].result;
	return r;
}

int server_open(struct server *server, const struct options *options, const struct store *store,
		int session_fd)
{
	int r;

	*server = (struct server){
		.options = options,
		.session_fd = session_fd,
		.ended_fd = -1,
		.evict.stop_fd = -1,
		.arena.memfd = -1,
	};
	atomic_init(&server->running, options->queues);
	server->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->ended_fd < 0) {
		r = -errno;
		log_fail("eventfd: make: %s", strerror(-r));
		return r;
	}
	r = make_memory(server);
	if (r < 0)
		return r;
	r = make_fs(server, store);
	if (r < 0)
		return r;
	r = make_queues_and_workers(server);
	if (r < 0) {
		log_fail("queues and workers: make: %s", strerror(-r));
		return r;
	}
	return start_threads(server);
}

int server_seal(struct server *server)
{
	const struct options *options = server->options;
	uint32_t slots = options->queues * options->queue_depth;
	struct session_config config = {
		.max_write = options->max_write,
		/* the kernel's default of 12 would cap every loop device */
		.background = MAX(slots, 256u),
		.posix_acl = creds_act_for_callers(),
	};
	int r;

	r = session_handshake(&server->session, server->session_fd, &config, &server->fs);
	if (r < 0) {
		log_fail("kernel: agree on the FUSE protocol: %s", strerror(-r));
		return r;
	}
	gate_set(GATE_OPEN);
	return 0;
}

static void join_threads(struct server *server, enum role role)
{
	for (uint32_t i = 0; i < server->thread_count; i++) {
		struct server_thread *thread = &server->threads[i];

		if (thread->role == role && !thread->joined) {
			(void)pthread_join(thread->thread, NULL); /* ours, once */
			thread->joined = true;
		}
	}
}

/*
 * Eviction ends first, while the queues still serve: its notification may wait in the kernel for a
 * client, and that client for an answer.
 */
static void stop_evicting(struct server *server)
{
	evict_stop(&server->evict);
	join_threads(server, ROLE_EVICT);
}

void server_stop(struct server *server)
{
	stop_evicting(server);
	for (uint32_t qid = 0; qid < server->options->queues; qid++)
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
	for (uint32_t qid = 0; server->queues && qid < server->options->queues; qid++) {
		int fault = atomic_load(&server->queues[qid].fault);

		if (fault)
			return fault;
	}
	return 0;
}

void server_close(struct server *server)
{
	if (server->threads) {
		if (gate.state == GATE_SHUT)
			gate_set(GATE_GIVEN_UP);
		stop_evicting(server);
		join_threads(server, ROLE_QUEUE);
		/* the queues have handed over all that they took in: the workers answer it */
		lock_abort_all(&server->fs);
		worker_stop(&server->workers);
		join_threads(server, ROLE_WORKER);
	}
	if (server->workers.stats)
		worker_destroy(&server->workers);
	for (uint32_t qid = 0; server->queues && qid < server->options->queues; qid++)
		queue_destroy(&server->queues[qid]);
	free(server->queues);
	free(server->threads);
	evict_destroy(&server->evict);
	lock_destroy(&server->fs);
	if (server->fs.files.rows)
		file_table_destroy(&server->fs.files);
	if (server->fs.inodes.rows)
		inode_table_destroy(&server->fs.inodes);
	arena_destroy(&server->arena);
	close_fd(&server->ended_fd);
}

uint64_t server_memory_len(const struct server *server)
{
	return arena_len(&server->arena);
}
