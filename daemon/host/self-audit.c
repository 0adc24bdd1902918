/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/self-audit.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/macro.h"
#include "caisson/reclaim.h"

/* Bytes of stack for an audit, its callbacks and a line of the log. */
#define STACK_LEN (CAISSON_AUDIT_STACK + 8192)

static bool is_known(const struct self_audit *self, pid_t tid)
{
	for (uint32_t i = 0; i < SELF_AUDIT_KNOWN; i++) {
		if (self->known[i] == tid)
			return true;
	}
	return false;
}

/* Called for each task. If the mark isn't required, unmarked tasks are only counted. */
static int see_task(const struct caisson_task *task, void *arg)
{
	struct self_audit *self = arg;

	if (!self->require_io_flusher || caisson_flags_are_marked(task->flags) ||
	    is_known(self, task->tid))
		return 0;
	self->known[self->known_next++ % SELF_AUDIT_KNOWN] = task->tid;
	self->alarms++;
	log_fail("task %d (%s): serve %s: it isn't marked and may enter memory reclaim (S1)",
		 (int)task->tid, task->comm, self->mountpoint);
	return 0;
}

static void audit_failed(struct self_audit *self, int error)
{
	if (error == self->error)
		return;
	self->error = error;
	/* in doubt the answer is no */
	self->io_flusher = false;
	self->mlock = false;
	self->alarms += self->require_io_flusher;
	log_fail("tasks of %s: audit: %s", self->mountpoint, strerror(-error));
}

static int audit(struct self_audit *self)
{
	struct caisson_audit_summary summary;
	int r;

	r = caisson_audit(0, see_task, self, &summary);
	if (r < 0) {
		audit_failed(self, r);
		return r;
	}
	self->error = 0;
	self->tasks = summary.tasks;
	self->tasks_unmarked = summary.tasks - summary.marked;
	self->io_flusher = caisson_audit_is_marked(&summary);
	self->mlock = caisson_audit_is_locked(&summary);
	if (self->require_mlock && !self->mlock && !self->told_unlocked) {
		self->told_unlocked = true;
		log_fail("memory of %s: keep locked: %llu bytes in %llu mappings aren't (S3)",
			 self->mountpoint, (unsigned long long)summary.unlocked_bytes,
			 (unsigned long long)summary.unlocked_maps);
	}
	return 0;
}

/* Whether the keeper's tasks are as they must be: 0, -EPERM or -errno, logged. */
static int audit_keeper(struct self_audit *self)
{
	struct caisson_audit_summary summary;
	int r;

	r = caisson_audit(self->keeper, see_task, self, &summary);
	if (r < 0) {
		audit_failed(self, r);
		return r;
	}
	return self->require_io_flusher && !caisson_audit_is_marked(&summary) ? -EPERM : 0;
}

int self_audit_start(struct self_audit *self)
{
	int r;

	r = caisson_stack_prefault(STACK_LEN);
	if (r < 0) {
		log_fail("stack of the main thread: prefault: %s", strerror(-r));
		return r;
	}
	r = audit_keeper(self);
	if (r < 0)
		return r;
	r = audit(self);
	if (r < 0)
		return r;
	if (self->require_io_flusher && !self->io_flusher) {
		/* each unmarked task was logged; tasks that come too fast weren't seen */
		if (!self->tasks_unmarked)
			log_fail("tasks of %s: audit: new ones come too fast", self->mountpoint);
		return -EPERM;
	}
	if (self->require_mlock && !self->mlock)
		return -EPERM;
	return 0;
}

void self_audit_run(struct self_audit *self)
{
	(void)audit(self); /* logged, and counted as an alarm */
}
