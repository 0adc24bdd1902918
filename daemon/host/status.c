/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/procfs.h"
#include "base/stats.h"
#include "store/privdrop.h"

enum kind { KIND_STRING, KIND_ARRAY, KIND_NUMBER, KIND_SIGNED, KIND_BOOL };

struct field {
	const char *key;
	uint32_t offset;
	enum kind kind;
};

#define OFF(f) offsetof(struct status, f)

static const struct field fields[] = {
	{ "version", OFF(version), KIND_STRING },
	{ "backing", OFF(backing), KIND_STRING },
	{ "mountpoint", OFF(mountpoint), KIND_STRING },
	{ "pid", OFF(pid), KIND_NUMBER },
	{ "keeper_pid", OFF(keeper_pid), KIND_NUMBER },
	{ "keeper_alive", OFF(keeper_alive), KIND_BOOL },
	{ "uptime_s", OFF(uptime_s), KIND_NUMBER },
	{ "recovery", OFF(recovery), KIND_STRING },
	{ "spare_pid", OFF(spare_pid), KIND_NUMBER },
	{ "takeovers", OFF(takeovers), KIND_NUMBER },
	{ "takeover_redone", OFF(redone), KIND_NUMBER },
	{ "takeover_resent", OFF(resent), KIND_NUMBER },
	{ "takeover_refused", OFF(refused), KIND_NUMBER },
	{ "pause_ms", OFF(pause_ms), KIND_NUMBER },
	{ "pause_worst_ms", OFF(worst_pause_ms), KIND_NUMBER },
	{ "upgrades", OFF(upgrades), KIND_NUMBER },
	{ "last_upgrade", OFF(last_upgrade), KIND_STRING },
	{ "safe_to_stack", OFF(safe_to_stack), KIND_BOOL },
	{ "reason", OFF(reason), KIND_ARRAY },
	{ "io_flusher_required", OFF(io_flusher_required), KIND_BOOL },
	{ "io_flusher", OFF(io_flusher), KIND_BOOL },
	{ "mlock_required", OFF(mlock_required), KIND_BOOL },
	{ "mlock", OFF(mlock), KIND_BOOL },
	{ "cache", OFF(cache), KIND_STRING },
	{ "transport", OFF(transport), KIND_STRING },
	{ "kernel_minor", OFF(kernel_minor), KIND_NUMBER },
	{ "features", OFF(features), KIND_ARRAY },
	{ "max_write", OFF(max_write), KIND_NUMBER },
	{ "queues", OFF(queues), KIND_NUMBER },
	{ "queue_depth", OFF(queue_depth), KIND_NUMBER },
	{ "workers", OFF(workers), KIND_NUMBER },
	{ "memory_bound_bytes", OFF(memory_bound), KIND_NUMBER },
	{ "locked_bytes", OFF(locked), KIND_NUMBER },
	{ "capabilities", OFF(capabilities), KIND_ARRAY },
	{ "oom_score_adj", OFF(oom_score_adj), KIND_SIGNED },
	{ "tasks_total", OFF(tasks), KIND_NUMBER },
	{ "tasks_unmarked", OFF(tasks_unmarked), KIND_NUMBER },
	{ "alarms", OFF(alarms), KIND_NUMBER },
	{ "inodes_used", OFF(inodes_used), KIND_NUMBER },
	{ "inodes_limit", OFF(inodes_limit), KIND_NUMBER },
	{ "inodes_refused", OFF(inodes_refused), KIND_NUMBER },
	{ "files_used", OFF(files_used), KIND_NUMBER },
	{ "files_limit", OFF(files_limit), KIND_NUMBER },
	{ "zone_refusals", OFF(zone_refusals), KIND_NUMBER },
	{ "log_dropped", OFF(log_dropped), KIND_NUMBER },
	{ "oldest_request_s", OFF(oldest_request_s), KIND_NUMBER },
	{ "meta_calls", OFF(meta_calls), KIND_NUMBER },
	{ "meta_errors", OFF(meta_errors), KIND_NUMBER },
	{ "meta_lost", OFF(meta_lost), KIND_NUMBER },
	{ "meta_free_slots", OFF(meta_free_slots), KIND_NUMBER },
	{ "meta_shortages", OFF(meta_shortages), KIND_NUMBER },
};

#undef OFF
#define OFF(f) offsetof(struct status_queue, f)

static const struct field queue_fields[] = {
	{ "requests", OFF(requests), KIND_NUMBER },
	{ "replies", OFF(replies), KIND_NUMBER },
	{ "lost", OFF(lost), KIND_NUMBER },
	{ "reads", OFF(reads), KIND_NUMBER },
	{ "read_bytes", OFF(read_bytes), KIND_NUMBER },
	{ "writes", OFF(writes), KIND_NUMBER },
	{ "write_bytes", OFF(write_bytes), KIND_NUMBER },
	{ "syncs", OFF(syncs), KIND_NUMBER },
	{ "allocates", OFF(allocates), KIND_NUMBER },
	{ "buffered", OFF(buffered), KIND_NUMBER },
	{ "resumed", OFF(resumed), KIND_NUMBER },
	{ "errors", OFF(errors), KIND_NUMBER },
	{ "protocol_errors", OFF(protocol_errors), KIND_NUMBER },
	{ "starved", OFF(starved), KIND_NUMBER },
	{ "enters", OFF(enters), KIND_NUMBER },
	{ "steals", OFF(steals), KIND_NUMBER },
	{ "metadata", OFF(metadata), KIND_NUMBER },
	{ "inline", OFF(ran_inline), KIND_NUMBER },
};

#undef OFF

/* Text that grows in a fixed buffer. `full` is set if it didn't fit. */
struct writer {
	char *text;
	uint32_t at, len;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format,
						      ...)
{
	uint32_t room = writer->len - writer->at;
	va_list args;
	int n;

	if (writer->full)
		return;
	va_start(args, format);
	n = vsnprintf(writer->text + writer->at, room, format, args);
	va_end(args);
	if (n < 0 || (uint32_t)n >= room)
		writer->full = true;
	else
		writer->at += (uint32_t)n;
}

/* Writes newlines and backslashes as \n and \\, so that the string stays on one line. */
static void put_string(struct writer *writer, const char *string)
{
	for (; *string; string++) {
		if (*string == '\n')
			put(writer, "\\n");
		else
			put(writer, *string == '\\' ? "\\%c" : "%c", *string);
	}
}

static void put_value(struct writer *writer, enum kind kind, const void *at)
{
	switch (kind) {
	case KIND_STRING:
		put_string(writer, *(const char *const *)at);
		break;
	case KIND_ARRAY:
		put_string(writer, at);
		break;
	case KIND_NUMBER:
		put(writer, "%" PRIu64, *(const uint64_t *)at);
		break;
	case KIND_SIGNED:
		put(writer, "%" PRId64, *(const int64_t *)at);
		break;
	case KIND_BOOL:
		put(writer, *(const bool *)at ? "yes" : "no");
		break;
	}
}

int status_render(const struct status *status, char *text, uint32_t len)
{
	struct writer writer = { .text = text, .len = len };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		put(&writer, "%s=", fields[i].key);
		put_value(&writer, fields[i].kind, (const char *)status + fields[i].offset);
		put(&writer, "\n");
	}
	for (uint64_t q = 0; q < MIN(status->queues, (uint64_t)STATUS_QUEUES); q++) {
		for (size_t i = 0; i < ARRAY_SIZE(queue_fields); i++) {
			put(&writer, "queue.%" PRIu64 ".%s=", q, queue_fields[i].key);
			put_value(&writer, queue_fields[i].kind,
				  (const char *)&status->queue[q] + queue_fields[i].offset);
			put(&writer, "\n");
		}
	}
	put(&writer, "\n");
	return writer.full ? -ENOSPC : (int)writer.at;
}

void status_fill_process(struct status *status)
{
	char text[16];
	uint64_t kib;

	status->pid = (uint64_t)getpid();
	if (procfs_read_number("/proc/self/status", "VmLck", 10, &kib) == 0)
		status->locked = kib * 1024;
	privdrop_serving_set(status->capabilities, sizeof(status->capabilities));

	if (procfs_read_text(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) > 0)
		status->oom_score_adj = strtol(text, NULL, 10);
}

void status_fill_queue(struct status_queue *queue, const struct stats_queue *stats)
{
	*queue = (struct status_queue){
		.requests = stat_get(&stats->requests),
		.replies = stat_get(&stats->replies),
		.lost = stat_get(&stats->lost),
		.reads = stat_get(&stats->reads),
		.read_bytes = stat_get(&stats->read_bytes),
		.writes = stat_get(&stats->writes),
		.write_bytes = stat_get(&stats->write_bytes),
		.syncs = stat_get(&stats->syncs),
		.allocates = stat_get(&stats->allocates),
		.buffered = stat_get(&stats->buffered),
		.resumed = stat_get(&stats->resumed),
		.errors = stat_get(&stats->errors),
		.protocol_errors = stat_get(&stats->protocol_errors),
		.steals = stat_get(&stats->steals),
		.enters = stat_get(&stats->turns),
		.starved = stat_get(&stats->starved),
		.metadata = stat_get(&stats->metadata),
		.ran_inline = stat_get(&stats->ran_inline),
	};
}

void status_judge(struct status *status)
{
	char *reason = status->reason;
	size_t len = sizeof(status->reason);

	reason[0] = '\0';
	if (!status->io_flusher || status->tasks_unmarked || !status->tasks)
		(void)snprintf(reason, len,
			       "%" PRIu64 " of %" PRIu64 " tasks may enter memory reclaim (S1)%s",
			       status->tasks_unmarked, status->tasks,
			       status->io_flusher_required ? "" : ": io_flusher=off");
	else if (status->alarms)
		(void)snprintf(reason, len,
			       "%" PRIu64
			       " tasks have appeared that could enter memory reclaim (S1)",
			       status->alarms);
	else if (!status->mlock)
		(void)snprintf(reason, len, "memory is not locked (S3)%s",
			       status->mlock_required ? "" : ": mlock=off");
	else if (!status->cache || strcmp(status->cache, "none") != 0)
		(void)snprintf(reason, len,
			       "backing I/O needs memory for the page cache (S2): cache=%s",
			       status->cache ? status->cache : "unknown");
	status->safe_to_stack = !reason[0];
}
