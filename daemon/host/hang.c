/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/hang.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/procfs.h"
#include "base/stats.h"
#include "caisson/reclaim.h"
#include "handlers/dispatch.h"
#include "serve/queue.h"
#include "serve/request.h"
#include "serve/server.h"

/* Notes that thread NUMBER has made MOVES so far. Returns whether it has stood still for long. */
static bool stands_still(struct hang *hang, uint32_t number, bool is_busy, uint64_t moves)
{
	if (!is_busy || hang->threads[number].moves != moves)
		hang->threads[number].still = hang->threads[number].ticks = 0;
	else
		hang->threads[number].still++;
	hang->threads[number].moves = moves;
	return hang->threads[number].still >= hang->limit;
}

struct look_up {
	const char *name;
	pid_t tid; /* 0: there is none of that name */
	char state;
};

static int find(const struct caisson_task *task, void *arg)
{
	struct look_up *wanted = arg;

	if (strcmp(task->comm, wanted->name) != 0)
		return 0;
	wanted->tid = task->tid;
	wanted->state = task->state;
	return 1;
}

/* Whether thread TID has run outside of the kernel since *TICKS, which is set to its time now. */
static bool has_run(pid_t tid, uint64_t *ticks)
{
	uint64_t before = *ticks, now = 0;
	char path[64], text[512], *end;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	if (procfs_read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	end = strrchr(text, ')');
	if (!end ||
	    sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64, &now) != 1)
		return false;
	*ticks = now;
	return before && now > before;
}

/*
 * Whether THREAD works in a system call, or waits there for something else than a thread of ours.
 * Of one that runs, a second look tells.
 */
static bool is_in_kernel(const struct look_up *thread, uint64_t *ticks)
{
	char path[64];
	uint64_t number;

	if (thread->state == 'R')
		return !has_run(thread->tid, ticks);
	if (thread->state == 't')
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)thread->tid);
	return procfs_read_setting(path, &number) < 0 || number != SYS_futex;
}

/* Whether thread ROLE-NUMBER, which has REQUEST or NULL and stands still, hangs. Logs that. */
static bool hangs(const struct hang *hang, const char *role, uint32_t number, uint64_t *ticks,
		  const struct request *request, const char *mountpoint)
{
	struct caisson_audit_summary summary;
	char name[CAISSON_COMM_SIZE];
	struct look_up thread = { .name = name };

	/* it fits, see struct thread_role */
	(void)snprintf(name, sizeof(name), "%s-%u", role, number);
	/* fails if there is no such thread any more */
	(void)caisson_audit(0, find, &thread, &summary);
	if (!thread.tid || is_in_kernel(&thread, ticks))
		return false;
	log_fail("%s: thread %s (%d): go on with %s: it hasn't for %u s (hang_timeout=)",
		 mountpoint, name, (int)thread.tid,
		 request ? dispatch_entry(request->opcode)->name : "its requests", hang->limit);
	return true;
}

/* The request that worker NUMBER has, unless that waits at a gate; or NULL. */
static const struct request *worker_request(const struct server *server, uint32_t number)
{
	const struct request *requests = arena_table(&server->arena, ARENA_REQUESTS);
	uint32_t index = atomic_load(&server->workers.stats[number].has);

	if (index == POOL_NONE || request_state(&requests[index]) == REQUEST_GATE)
		return NULL;
	return &requests[index];
}

bool hang_look(struct hang *hang, const struct server *server, const char *mountpoint)
{
	uint32_t queues = server->plan.queues;

	assert(queues + server->workers.count <= HANG_THREADS);
	if (!hang->limit)
		return false;
	for (uint32_t i = 0; i < queues; i++) {
		const struct queue *queue = &server->queues[i];

		if (stands_still(hang, i, !atomic_load(&queue->engine.waits),
				 stat_get(&queue->stats->turns)) &&
		    hangs(hang, "queue", i, &hang->threads[i].ticks, NULL, mountpoint))
			return true;
	}
	for (uint32_t i = 0; i < server->workers.count; i++) {
		const struct request *request = worker_request(server, i);

		if (stands_still(hang, queues + i, request,
				 atomic_load(&server->workers.stats[i].calls)) &&
		    hangs(hang, "meta", i, &hang->threads[queues + i].ticks, request, mountpoint))
			return true;
	}
	return false;
}
