/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor. Its audit reads what the kernel has in /proc, not what we think we did. It costs
 * some 10 ms a GiB of locked memory (reclaim.h), once a second, on a thread that no request waits
 * for.
 */
#include "host/monitor.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "caisson/reclaim.h"
#include "host/control.h"
#include "store/fs.h"

#define AUDIT_EACH_TICKS (1000 / CONTROL_TICK_MS)

/* What audits and their callbacks need of the stack, and the log's line. */
#define STACK_LEN (CAISSON_AUDIT_STACK + 8192)

static bool is_known(const struct monitor *monitor, pid_t tid)
{
	for (uint32_t i = 0; i < MONITOR_KNOWN; i++) {
		if (monitor->known[i] == tid)
			return true;
	}
	return false;
}

/* Called for each task. Where the mark isn't required, unmarked tasks are only counted. */
static int see_task(const struct caisson_task *task, void *arg)
{
	struct monitor *monitor = arg;

	if (!monitor->require_io_flusher || caisson_flags_are_marked(task->flags) ||
	    is_known(monitor, task->tid))
		return 0;
	monitor->known[monitor->known_next++ % MONITOR_KNOWN] = task->tid;
	monitor->alarms++;
	log_fail("task %d (%s): serve %s: it isn't marked and may enter memory reclaim (S1)",
		 (int)task->tid, task->comm, monitor->mountpoint);
	return 0;
}

static void audit_failed(struct monitor *monitor, int error)
{
	if (error == monitor->audit_error)
		return;
	monitor->audit_error = error;
	/* what can't be seen can't be called safe */
	monitor->io_flusher = false;
	monitor->mlock = false;
	monitor->alarms += monitor->require_io_flusher;
	log_fail("tasks of %s: audit: %s", monitor->mountpoint, strerror(-error));
}

static int audit(struct monitor *monitor)
{
	struct caisson_audit_summary summary;
	int r;

	r = caisson_audit(0, see_task, monitor, &summary);
	if (r < 0) {
		audit_failed(monitor, r);
		return r;
	}
	monitor->audit_error = 0;
	monitor->tasks = summary.tasks;
	monitor->tasks_unmarked = summary.tasks - summary.marked;
	monitor->io_flusher = caisson_audit_is_marked(&summary);
	monitor->mlock = caisson_audit_is_locked(&summary);
	if (monitor->require_mlock && !monitor->mlock && !monitor->told_unlocked) {
		monitor->told_unlocked = true;
		log_fail("memory of %s: keep locked: %llu bytes in %llu mappings aren't (S3)",
			 monitor->mountpoint, (unsigned long long)summary.unlocked_bytes,
			 (unsigned long long)summary.unlocked_maps);
	}
	return 0;
}

/* Whether the keeper's tasks are as they must be: 0, -EPERM or -errno, logged. */
static int audit_keeper(struct monitor *monitor)
{
	struct caisson_audit_summary summary;
	int r;

	r = caisson_audit(monitor->keeper, see_task, monitor, &summary);
	if (r < 0) {
		audit_failed(monitor, r);
		return r;
	}
	return monitor->require_io_flusher && !caisson_audit_is_marked(&summary) ? -EPERM : 0;
}

/* Tells how much COUNTER has grown since it was told of. */
static void tell(const struct monitor *monitor, const char *what, uint64_t *told, uint64_t now)
{
	if (now > *told)
		log_warn("%s: serve: %llu %s", monitor->mountpoint,
			 (unsigned long long)(now - *told), what);
	*told = now;
}

static void tell_counters(struct monitor *monitor)
{
	struct monitor_counters now = { 0 }, *told = &monitor->told;

	monitor->count(monitor->arg, &now);
	tell(monitor, "reads, writes or flushes were answered with an error", &told->io_errors,
	     now.io_errors);
	tell(monitor, "messages of the kernel didn't parse", &told->protocol_errors,
	     now.protocol_errors);
	tell(monitor, "look-ups were refused: the inode table is full (inodes=)",
	     &told->inodes_refused, now.inodes_refused);
	tell(monitor, "opens were refused: the file table is full (files=)", &told->files_refused,
	     now.files_refused);
	tell(monitor, "operations were refused: zones don't allow them", &told->zone_refusals,
	     now.zone_refusals);
}

int monitor_start(struct monitor *monitor)
{
	int r;

	r = caisson_stack_prefault(STACK_LEN);
	if (r < 0) {
		log_fail("stack of the main thread: prefault: %s", strerror(-r));
		return r;
	}
	r = audit_keeper(monitor);
	if (r < 0)
		return r;
	r = audit(monitor);
	if (r < 0)
		return r;
	if (monitor->require_io_flusher && !monitor->io_flusher) {
		/* each unmarked task has its line already; tasks that come too fast have none */
		if (!monitor->tasks_unmarked)
			log_fail("tasks of %s: audit: new ones come too fast", monitor->mountpoint);
		return -EPERM;
	}
	if (monitor->require_mlock && !monitor->mlock)
		return -EPERM;
	return 0;
}

void monitor_tick(struct monitor *monitor)
{
	if (++monitor->ticks % AUDIT_EACH_TICKS)
		return;
	(void)audit(monitor); /* logged, and counted as an alarm */
	tell_counters(monitor);
	prealloc_look(&monitor->fs->prealloc, monitor->fs->store.root_fd);
}
