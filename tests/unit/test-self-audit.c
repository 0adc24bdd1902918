/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The self-audit: which tasks raise an alarm, and what is logged. Audits are made up here. */
#include "host/self-audit.h"

#include <errno.h>
#include <stdarg.h>

#include "base/log.h"
#include "base/macro.h"
#include "caisson/reclaim.h"
#include "test.h"

#define MARKED CAISSON_FLUSHER_MASK
#define KEEPER 77

/* What the next audit finds. */
static struct caisson_task tasks[64];
static uint32_t task_count;
static uint32_t keeper_flags = MARKED; /* of its only task */
static enum caisson_memory_state memory;
static int audit_error;

static unsigned audits, lines;
static char last_line[512];

int caisson_audit(pid_t pid, caisson_audit_fn *fn, void *arg,
		  struct caisson_audit_summary *ret_summary)
{
	struct caisson_audit_summary summary = { .settled = 1, .memory = memory };

	CHECK(pid == 0 || pid == KEEPER);
	audits += pid == 0;
	if (audit_error)
		return audit_error;
	if (pid == KEEPER) {
		const struct caisson_task task = { .tid = KEEPER,
						   .comm = "keeper",
						   .flags = keeper_flags };

		CHECK_EQ(fn(&task, arg), 0);
		summary.tasks = 1;
		summary.marked = (uint32_t)caisson_flags_are_marked(keeper_flags);
		*ret_summary = summary;
		return 0;
	}
	for (uint32_t i = 0; i < task_count; i++) {
		summary.tasks++;
		summary.marked += (uint32_t)caisson_flags_are_marked(tasks[i].flags);
		CHECK_EQ(fn(&tasks[i], arg), 0);
	}
	*ret_summary = summary;
	return 0;
}

int caisson_stack_prefault(size_t bytes)
{
	CHECK(bytes >= CAISSON_AUDIT_STACK);
	return 0;
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

static void set_tasks(uint32_t marked, uint32_t unmarked)
{
	task_count = 0;
	for (uint32_t i = 0; i < marked + unmarked; i++)
		tasks[task_count++] = (struct caisson_task){
			.tid = 100 + (pid_t)i,
			.comm = "task",
			.flags = i < marked ? MARKED : CAISSON_PF_MEMALLOC_NOIO,
		};
}

static struct self_audit make(bool required)
{
	audits = lines = 0;
	audit_error = 0;
	memory = CAISSON_MEMORY_LOCKED;
	last_line[0] = '\0';
	return (struct self_audit){
		.mountpoint = "/mnt",
		.keeper = KEEPER,
		.require_io_flusher = required,
		.require_mlock = required,
	};
}

static void is_quiet_when_all_is_well(void)
{
	struct self_audit audit = make(true);

	set_tasks(5, 0);
	CHECK_EQ(self_audit_start(&audit), 0);
	CHECK_EQ(audits, 1u);
	for (int i = 0; i < 10; i++)
		self_audit_run(&audit);
	CHECK_EQ(lines, 0u);
	CHECK_EQ(audit.tasks, (uint64_t)5);
	CHECK_EQ(audit.tasks_unmarked, (uint64_t)0);
	CHECK_EQ(audit.alarms, (uint64_t)0);
	CHECK(audit.io_flusher && audit.mlock);
}

static void does_not_start_unmarked(void)
{
	struct self_audit audit = make(true);

	set_tasks(5, 1);
	CHECK_EQ(self_audit_start(&audit), -EPERM);
	CHECK_EQ(lines, 1u);
	CHECK_STR(last_line,
		  "task 105 (task): serve /mnt: it isn't marked and may enter memory reclaim (S1)");

	audit = make(true);
	set_tasks(5, 0);
	keeper_flags = 0;
	CHECK_EQ(self_audit_start(&audit), -EPERM);
	CHECK_EQ(lines, 1u);
	keeper_flags = MARKED;

	audit = make(true);
	set_tasks(0, 0); /* an audit that has seen nobody proves nothing */
	CHECK_EQ(self_audit_start(&audit), -EPERM);
	CHECK_EQ(lines, 1u);

	audit = make(true);
	set_tasks(5, 0);
	memory = CAISSON_MEMORY_UNLOCKED;
	CHECK_EQ(self_audit_start(&audit), -EPERM);
	CHECK_EQ(lines, 1u);

	audit = make(true);
	memory = CAISSON_MEMORY_UNKNOWN;
	CHECK_EQ(self_audit_start(&audit), -EPERM);

	audit = make(true);
	audit_error = -EACCES;
	CHECK_EQ(self_audit_start(&audit), -EACCES);
	CHECK_EQ(lines, 1u);
}

static void only_counts_where_nothing_is_required(void)
{
	struct self_audit audit = make(false);

	set_tasks(0, 7);
	memory = CAISSON_MEMORY_UNLOCKED;
	CHECK_EQ(self_audit_start(&audit), 0);
	self_audit_run(&audit);
	CHECK_EQ(lines, 0u);
	CHECK_EQ(audit.tasks_unmarked, (uint64_t)7);
	CHECK_EQ(audit.alarms, (uint64_t)0);
	CHECK(!audit.io_flusher && !audit.mlock);
}

/* One line and one count for each new task, however often it is seen. */
static void alarms_once_for_each_task(void)
{
	struct self_audit audit = make(true);

	set_tasks(5, 0);
	CHECK_EQ(self_audit_start(&audit), 0);
	set_tasks(5, 2);
	for (int i = 0; i < 5; i++)
		self_audit_run(&audit);
	CHECK_EQ(lines, 2u);
	CHECK_EQ(audit.alarms, (uint64_t)2);
	CHECK_EQ(audit.tasks_unmarked, (uint64_t)2);
	CHECK(!audit.io_flusher);
	set_tasks(5, 3);
	self_audit_run(&audit);
	CHECK_EQ(lines, 3u);
	CHECK_EQ(audit.alarms, (uint64_t)3);

	/* they go: the state is fine again, that it wasn't stays on record */
	set_tasks(5, 0);
	self_audit_run(&audit);
	CHECK(audit.io_flusher);
	CHECK_EQ(audit.alarms, (uint64_t)3);
	CHECK_EQ(lines, 3u);
}

static void tells_a_failing_audit_once(void)
{
	struct self_audit audit = make(true);

	set_tasks(5, 0);
	CHECK_EQ(self_audit_start(&audit), 0);
	audit_error = -EMFILE;
	self_audit_run(&audit);
	self_audit_run(&audit);
	CHECK_EQ(lines, 1u);
	CHECK_EQ(audit.alarms, (uint64_t)1);
	CHECK(!audit.io_flusher && !audit.mlock);
	audit_error = 0;
	self_audit_run(&audit);
	CHECK(audit.io_flusher && audit.mlock);
	audit_error = -EMFILE;
	self_audit_run(&audit);
	CHECK_EQ(lines, 2u);
}

int main(void)
{
	RUN(is_quiet_when_all_is_well);
	RUN(does_not_start_unmarked);
	RUN(only_counts_where_nothing_is_required);
	RUN(alarms_once_for_each_task);
	RUN(tells_a_failing_audit_once);
	return test_result();
}
