/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Printing isn't checked call by call: stdio keeps an error until finish() asks for it.
 */
#include "tool/audit-print.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "tool/json.h"

/* -- Reading -- */

struct collection {
	struct caisson_task *tasks;
	size_t count, room;
};

static int collect(const struct caisson_task *task, void *arg)
{
	struct collection *collection = arg;

	if (collection->count == collection->room) {
		size_t room = collection->room ? 2 * collection->room : 64;
		void *tasks = reallocarray(collection->tasks, room, sizeof(*task));

		if (!tasks)
			return -ENOMEM;
		collection->tasks = tasks;
		collection->room = room;
	}
	collection->tasks[collection->count++] = *task;
	return 0;
}

static int compare_tids(const void *left, const void *right)
{
	const struct caisson_task *a = left, *b = right;

	return (a->tid > b->tid) - (a->tid < b->tid);
}

int audit_report_read(pid_t pid, struct audit_report *ret_report)
{
	struct collection collection = { 0 };
	struct caisson_audit_summary summary;
	int r = caisson_audit(pid, collect, &collection, &summary);

	if (r < 0) {
		free(collection.tasks);
		return r;
	}
	qsort(collection.tasks, collection.count, sizeof(*collection.tasks), compare_tids);
	ret_report->summary = summary;
	ret_report->tasks = collection.tasks;
	return 0;
}

void audit_report_free(struct audit_report *report)
{
	free(report->tasks);
	report->tasks = NULL;
}

/* -- Judging -- */

enum exit_code audit_report_exit(const struct audit_report *report)
{
	const struct caisson_audit_summary *summary = &report->summary;

	if (summary->marked < summary->tasks || summary->memory == CAISSON_MEMORY_UNLOCKED)
		return EXIT_UNSAFE;
	if (!caisson_audit_is_marked(summary) || !caisson_audit_is_locked(summary))
		return EXIT_CANNOT_SERVE;
	return EXIT_FINE;
}

/* The name of the first task, which nearly always is the main thread, and so names the process. */
static const char *report_name(const struct audit_report *report)
{
	for (uint32_t i = 0; i < report->summary.tasks; i++)
		if (report->tasks[i].tid == report->summary.pid)
			return report->tasks[i].comm;
	return report->summary.tasks ? report->tasks[0].comm : "";
}

static const char *kind_text(enum caisson_task_kind kind)
{
	switch (kind) {
	case CAISSON_TASK_THREAD:
		return "thread";
	case CAISSON_TASK_IO_WORKER:
		return "io-worker";
	case CAISSON_TASK_SQPOLL:
		return "sqpoll";
	case CAISSON_TASK_USER_WORKER:
		return "user-worker";
	}
	return "unknown";
}

static const char *memory_text(enum caisson_memory_state state)
{
	switch (state) {
	case CAISSON_MEMORY_UNLOCKED:
		return "unlocked";
	case CAISSON_MEMORY_LOCKED:
		return "locked";
	case CAISSON_MEMORY_UNKNOWN:
		return "unknown";
	}
	return "unknown";
}

static const char *verdict_text(enum exit_code code)
{
	switch (code) {
	case EXIT_FINE:
		return "safe";
	case EXIT_UNSAFE:
		return "NOT SAFE";
	case EXIT_USAGE:
	case EXIT_CANNOT_SERVE:
		break;
	}
	return "not known to be safe";
}

/* -- The table -- */

/* Prints a name, with bytes other than printable ASCII as \xHH, and spaces up to WIDTH. */
static void print_name(FILE *out, const char *name, int width)
{
	int columns = 0;

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c >= ' ' && c < 0x7f && c != '\\')
			columns += fprintf(out, "%c", c);
		else
			columns += fprintf(out, "\\x%02x", c);
	}
	if (columns < width)
		fprintf(out, "%*s", width - columns, "");
}

static uint64_t kib(uint64_t bytes)
{
	return bytes / 1024;
}

static void print_table_tasks(FILE *out, const struct audit_report *report)
{
	fprintf(out, "%-8s %-15s %-11s %-4s %-8s %10s %8s\n", "TID", "COMM", "KIND", "NOIO",
		"THROTTLE", "MINFLT", "MAJFLT");
	for (uint32_t i = 0; i < report->summary.tasks; i++) {
		const struct caisson_task *task = &report->tasks[i];

		fprintf(out, "%-8d ", (int)task->tid);
		print_name(out, task->comm, CAISSON_COMM_SIZE - 1);
		fprintf(out, " %-11s %-4s %-8s %10" PRIu64 " %8" PRIu64 "\n", kind_text(task->kind),
			task->flags & CAISSON_PF_MEMALLOC_NOIO ? "yes" : "NO",
			task->flags & CAISSON_PF_LOCAL_THROTTLE ? "local" : "GLOBAL", task->minflt,
			task->majflt);
	}
}

static void print_table_process(FILE *out, const struct caisson_audit_summary *summary)
{
	fprintf(out, "%-15s %s", "memory:", memory_text(summary->memory));
	if (summary->memory_error)
		fprintf(out, ": reading smaps: %s", strerror(-summary->memory_error));
	else if (summary->unlocked_maps)
		fprintf(out, ": %" PRIu64 " mappings, %" PRIu64 " KiB, the first at %#" PRIx64,
			summary->unlocked_maps, kib(summary->unlocked_bytes),
			summary->unlocked_address);
	else if (summary->absent_bytes)
		fprintf(out, ", of which %" PRIu64 " KiB are not present",
			kib(summary->absent_bytes));
	fprintf(out,
		"\n%-15s %" PRIu64 " KiB of %" PRIu64 " KiB mapped (%" PRIu64
		" KiB can't be paged out anyway), %" PRIu64 " KiB present\n",
		"VmLck:", kib(summary->vm_lck_bytes), kib(summary->vm_size_bytes),
		kib(summary->special_bytes), kib(summary->vm_rss_bytes));
	fprintf(out, "%-15s %d\n", "oom_score_adj:", (int)summary->oom_score_adj);
	fprintf(out, "%-15s %u\n", "uid:", (unsigned int)summary->uid);
	fprintf(out, "%-15s %016" PRIx64 "\n", "capabilities:", summary->cap_effective);
}

/* Prints "PID 12 (name): NOT SAFE: 3 of 4 tasks marked, memory unlocked". */
static void print_table_verdict(FILE *out, const struct audit_report *report)
{
	const struct caisson_audit_summary *summary = &report->summary;

	fprintf(out, "PID %d (", (int)summary->pid);
	print_name(out, report_name(report), 0);
	fprintf(out, "): %s: %u of %u tasks marked, memory %s%s\n",
		verdict_text(audit_report_exit(report)), summary->marked, summary->tasks,
		memory_text(summary->memory),
		summary->settled ? "" : "; tasks come and go too fast to see all");
}

static int finish(FILE *out)
{
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}

int audit_print_table(FILE *out, const struct audit_report *reports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			fputc('\n', out);
		print_table_tasks(out, &reports[i]);
		print_table_process(out, &reports[i].summary);
		print_table_verdict(out, &reports[i]);
	}
	return finish(out);
}

/* -- JSON -- */

static struct json_object *json_task(const struct caisson_task *task)
{
	struct json_object *row = json_object_new_object();

	json_add(row, "tid", json_object_new_int64(task->tid));
	json_add(row, "comm", json_object_new_string(task->comm));
	json_add(row, "kind", json_object_new_string(kind_text(task->kind)));
	json_add(row, "state", json_object_new_string_len(&task->state, 1));
	json_add(row, "flags", json_object_new_int64(task->flags));
	json_add(row, "noio", json_object_new_boolean(!!(task->flags & CAISSON_PF_MEMALLOC_NOIO)));
	json_add(row, "local_throttle",
		 json_object_new_boolean(!!(task->flags & CAISSON_PF_LOCAL_THROTTLE)));
	json_add(row, "marked", json_object_new_boolean(caisson_flags_are_marked(task->flags)));
	json_add(row, "minflt", json_object_new_uint64(task->minflt));
	json_add(row, "majflt", json_object_new_uint64(task->majflt));
	return row;
}

static struct json_object *json_memory(const struct caisson_audit_summary *summary)
{
	struct json_object *memory = json_object_new_object();

	json_add(memory, "state", json_object_new_string(memory_text(summary->memory)));
	if (summary->memory_error)
		json_add(memory, "error", json_object_new_string(strerror(-summary->memory_error)));
	else
		json_add_null(memory, "error");
	json_add(memory, "vm_size_bytes", json_object_new_uint64(summary->vm_size_bytes));
	json_add(memory, "vm_lck_bytes", json_object_new_uint64(summary->vm_lck_bytes));
	json_add(memory, "vm_rss_bytes", json_object_new_uint64(summary->vm_rss_bytes));
	json_add(memory, "unlocked_bytes", json_object_new_uint64(summary->unlocked_bytes));
	json_add(memory, "unlocked_maps", json_object_new_uint64(summary->unlocked_maps));
	json_add(memory, "special_bytes", json_object_new_uint64(summary->special_bytes));
	json_add(memory, "absent_bytes", json_object_new_uint64(summary->absent_bytes));
	return memory;
}

static struct json_object *json_process(const struct audit_report *report)
{
	const struct caisson_audit_summary *summary = &report->summary;
	struct json_object *process = json_object_new_object(), *tasks = json_object_new_array();
	bool is_safe = audit_report_exit(report) == EXIT_FINE;
	char caps[20];

	(void)snprintf(caps, sizeof(caps), "%016" PRIx64, summary->cap_effective); /* fits */
	json_add(process, "pid", json_object_new_int64(summary->pid));
	json_add(process, "comm", json_object_new_string(report_name(report)));
	json_add(process, "uid", json_object_new_int64(summary->uid));
	json_add(process, "cap_effective", json_object_new_string(caps));
	json_add(process, "oom_score_adj", json_object_new_int64(summary->oom_score_adj));
	json_add(process, "task_count", json_object_new_int64(summary->tasks));
	json_add(process, "marked_count", json_object_new_int64(summary->marked));
	json_add(process, "io_worker_count", json_object_new_int64(summary->io_workers));
	json_add(process, "settled", json_object_new_boolean(!!summary->settled));
	json_add(process, "memory", json_memory(summary));
	json_add(process, "safe", json_object_new_boolean(is_safe));
	json_add(process, "tasks", tasks);
	for (uint32_t i = 0; i < summary->tasks; i++)
		json_append(tasks, json_task(&report->tasks[i]));
	return process;
}

/* The document; without its "safe" if ALL aren't there. */
static int print_json(FILE *out, const struct audit_report *reports, size_t count, bool all)
{
	struct json_object *document = json_object_new_object();
	struct json_object *processes = json_object_new_array();
	bool safe = all && count > 0;

	for (size_t i = 0; i < count; i++)
		safe = safe && audit_report_exit(&reports[i]) == EXIT_FINE;
	json_add(document, "safe", json_object_new_boolean(safe));
	json_add(document, "processes", processes);
	for (size_t i = 0; i < count; i++)
		json_append(processes, json_process(&reports[i]));
	json_print(out, document, JSON_PRETTY);
	fputc('\n', out);
	(void)json_object_put(document);
	return finish(out);
}

int audit_print_json(FILE *out, const struct audit_report *reports, size_t count)
{
	return print_json(out, reports, count, true);
}

/* -- The command -- */

static enum exit_code worse_of(enum exit_code a, enum exit_code b)
{
	return MAX(a, b); /* a worse code is larger */
}

enum exit_code audit_command(FILE *out, FILE *err, const pid_t *pids, size_t count, bool json)
{
	struct audit_report *reports = calloc(count ? count : 1, sizeof(*reports));
	enum exit_code code = count ? EXIT_FINE : EXIT_CANNOT_SERVE;
	size_t readable = 0;
	int r;

	if (!reports) {
		fprintf(err, "caisson: audit: %s\n", strerror(ENOMEM));
		return EXIT_CANNOT_SERVE;
	}
	for (size_t i = 0; i < count; i++) {
		r = audit_report_read(pids[i], &reports[readable]);
		if (r < 0) {
			fprintf(err, "caisson: PID %d: audit: %s\n", (int)pids[i], strerror(-r));
			code = worse_of(code, EXIT_CANNOT_SERVE);
			continue;
		}
		code = worse_of(code, audit_report_exit(&reports[readable]));
		readable++;
	}
	if (json)
		r = print_json(out, reports, readable, readable == count);
	else
		r = audit_print_table(out, reports, readable);
	if (r < 0) {
		fprintf(err, "caisson: audit: write the result: %s\n", strerror(-r));
		code = worse_of(code, EXIT_CANNOT_SERVE);
	}
	while (readable-- > 0)
		audit_report_free(&reports[readable]);
	free(reports);
	return code;
}
