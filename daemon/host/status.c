/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rendering of a status, as text and as JSON from the same table: what people are shown is
 * there for programs too. A field of the JSON document is never renamed or removed after a
 * release, because users' scripts read it.
 */
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

#include "base/cleanup.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/printable.h"
#include "base/procfs.h"
#include "base/stats.h"
#include "store/privdrop.h"

enum kind { KIND_STRING, KIND_ARRAY, KIND_NUMBER, KIND_SIGNED, KIND_BOOL };

/* How text shows it, where that isn't simply the value. */
enum look { LOOK_PLAIN, LOOK_BYTES, LOOK_SECONDS };

struct field {
	const char *key, *label; /* in JSON, in text */
	uint32_t offset;
	enum kind kind;
	enum look look;
};

#define OFF(f) offsetof(struct status, f)

static const struct field fields[] = {
	{ "version", "version", OFF(version), KIND_STRING, LOOK_PLAIN },
	{ "backing", "backing", OFF(backing), KIND_STRING, LOOK_PLAIN },
	{ "mountpoint", "mountpoint", OFF(mountpoint), KIND_STRING, LOOK_PLAIN },
	{ "pid", "pid", OFF(pid), KIND_NUMBER, LOOK_PLAIN },
	{ "keeper_pid", "keeper pid", OFF(keeper_pid), KIND_NUMBER, LOOK_PLAIN },
	{ "keeper_alive", "keeper alive", OFF(keeper_alive), KIND_BOOL, LOOK_PLAIN },
	{ "uptime_s", "up since", OFF(uptime_s), KIND_NUMBER, LOOK_SECONDS },
	{ "safe_to_stack", "safe to stack on", OFF(safe_to_stack), KIND_BOOL, LOOK_PLAIN },
	{ "reason", "reason", OFF(reason), KIND_ARRAY, LOOK_PLAIN },
	{ "io_flusher_required", "io_flusher required", OFF(io_flusher_required), KIND_BOOL,
	  LOOK_PLAIN },
	{ "io_flusher", "io_flusher", OFF(io_flusher), KIND_BOOL, LOOK_PLAIN },
	{ "mlock_required", "mlock required", OFF(mlock_required), KIND_BOOL, LOOK_PLAIN },
	{ "mlock", "mlock", OFF(mlock), KIND_BOOL, LOOK_PLAIN },
	{ "cache", "cache", OFF(cache), KIND_STRING, LOOK_PLAIN },
	{ "transport", "transport", OFF(transport), KIND_STRING, LOOK_PLAIN },
	{ "kernel_minor", "protocol 7.", OFF(kernel_minor), KIND_NUMBER, LOOK_PLAIN },
	{ "features", "features", OFF(features), KIND_ARRAY, LOOK_PLAIN },
	{ "max_write", "max_write", OFF(max_write), KIND_NUMBER, LOOK_BYTES },
	{ "queues", "queues", OFF(queues), KIND_NUMBER, LOOK_PLAIN },
	{ "queue_depth", "queue depth", OFF(queue_depth), KIND_NUMBER, LOOK_PLAIN },
	{ "workers", "workers", OFF(workers), KIND_NUMBER, LOOK_PLAIN },
	{ "memory_bound_bytes", "memory bound", OFF(memory_bound), KIND_NUMBER, LOOK_BYTES },
	{ "locked_bytes", "locked (VmLck)", OFF(locked), KIND_NUMBER, LOOK_BYTES },
	{ "capabilities", "capabilities", OFF(capabilities), KIND_ARRAY, LOOK_PLAIN },
	{ "oom_score_adj", "oom_score_adj", OFF(oom_score_adj), KIND_SIGNED, LOOK_PLAIN },
	{ "tasks_total", "tasks", OFF(tasks), KIND_NUMBER, LOOK_PLAIN },
	{ "tasks_unmarked", "tasks unmarked", OFF(tasks_unmarked), KIND_NUMBER, LOOK_PLAIN },
	{ "alarms", "alarms", OFF(alarms), KIND_NUMBER, LOOK_PLAIN },
	{ "inodes_used", "inodes used", OFF(inodes_used), KIND_NUMBER, LOOK_PLAIN },
	{ "inodes_limit", "inodes limit", OFF(inodes_limit), KIND_NUMBER, LOOK_PLAIN },
	{ "inodes_refused", "inodes refused", OFF(inodes_refused), KIND_NUMBER, LOOK_PLAIN },
	{ "files_used", "files used", OFF(files_used), KIND_NUMBER, LOOK_PLAIN },
	{ "files_limit", "files limit", OFF(files_limit), KIND_NUMBER, LOOK_PLAIN },
	{ "zone_refusals", "zone refusals", OFF(zone_refusals), KIND_NUMBER, LOOK_PLAIN },
	{ "log_dropped", "log lines dropped", OFF(log_dropped), KIND_NUMBER, LOOK_PLAIN },
	{ "meta_calls", "metadata calls", OFF(meta_calls), KIND_NUMBER, LOOK_PLAIN },
	{ "meta_errors", "metadata errors", OFF(meta_errors), KIND_NUMBER, LOOK_PLAIN },
	{ "meta_lost", "metadata lost", OFF(meta_lost), KIND_NUMBER, LOOK_PLAIN },
	{ "meta_free_slots", "metadata slots free", OFF(meta_free_slots), KIND_NUMBER, LOOK_PLAIN },
	{ "meta_shortages", "metadata shortages", OFF(meta_shortages), KIND_NUMBER, LOOK_PLAIN },
};

#undef OFF
#define OFF(f) offsetof(struct status_queue, f)

static const struct field queue_fields[] = {
	{ "requests", "requests", OFF(requests), KIND_NUMBER, LOOK_PLAIN },
	{ "replies", "replies", OFF(replies), KIND_NUMBER, LOOK_PLAIN },
	{ "lost", "lost", OFF(lost), KIND_NUMBER, LOOK_PLAIN },
	{ "reads", "reads", OFF(reads), KIND_NUMBER, LOOK_PLAIN },
	{ "read_bytes", "read", OFF(read_bytes), KIND_NUMBER, LOOK_BYTES },
	{ "writes", "writes", OFF(writes), KIND_NUMBER, LOOK_PLAIN },
	{ "write_bytes", "written", OFF(write_bytes), KIND_NUMBER, LOOK_BYTES },
	{ "syncs", "syncs", OFF(syncs), KIND_NUMBER, LOOK_PLAIN },
	{ "allocates", "allocates", OFF(allocates), KIND_NUMBER, LOOK_PLAIN },
	{ "buffered", "buffered", OFF(buffered), KIND_NUMBER, LOOK_PLAIN },
	{ "resumed", "resumed", OFF(resumed), KIND_NUMBER, LOOK_PLAIN },
	{ "errors", "errors", OFF(errors), KIND_NUMBER, LOOK_PLAIN },
	{ "protocol_errors", "protocol errors", OFF(protocol_errors), KIND_NUMBER, LOOK_PLAIN },
	{ "starved", "starved", OFF(starved), KIND_NUMBER, LOOK_PLAIN },
	{ "enters", "enters", OFF(enters), KIND_NUMBER, LOOK_PLAIN },
	{ "steals", "steals", OFF(steals), KIND_NUMBER, LOOK_PLAIN },
	{ "metadata", "metadata", OFF(metadata), KIND_NUMBER, LOOK_PLAIN },
	{ "inline", "inline", OFF(ran_inline), KIND_NUMBER, LOOK_PLAIN },
};

#undef OFF

/* Text that grows in a fixed room; what doesn't fit sets `full`. */
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

static int finish(const struct writer *writer)
{
	return writer->full ? -ENOSPC : (int)writer->at;
}

static void put_json_string(struct writer *writer, const char *string)
{
	char piece[JSON_PIECE_LEN];

	put(writer, "\"");
	while (json_next(&string, piece))
		put(writer, "%s", piece);
	put(writer, "\"");
}

static uint64_t number_of(const struct field *field, const void *base)
{
	return *(const uint64_t *)((const char *)base + field->offset);
}

static const char *string_of(const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;

	return field->kind == KIND_ARRAY ? at : *(const char *const *)at;
}

static void put_json_value(struct writer *writer, const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;

	switch (field->kind) {
	case KIND_STRING:
	case KIND_ARRAY:
		if (string_of(field, base))
			put_json_string(writer, string_of(field, base));
		else
			put(writer, "null");
		break;
	case KIND_NUMBER:
		put(writer, "%" PRIu64, number_of(field, base));
		break;
	case KIND_SIGNED:
		put(writer, "%" PRId64, *(const int64_t *)at);
		break;
	case KIND_BOOL:
		put(writer, *(const bool *)at ? "true" : "false");
		break;
	}
}

int status_render_json(const struct status *status, char *text, uint32_t len)
{
	struct writer writer = { .text = text, .len = len };

	put(&writer, "{\n");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		put(&writer, "  \"%s\": ", fields[i].key);
		put_json_value(&writer, &fields[i], status);
		put(&writer, ",\n");
	}
	put(&writer, "  \"queue\": [");
	for (uint64_t q = 0; q < MIN(status->queues, (uint64_t)STATUS_QUEUES); q++) {
		put(&writer, q ? ",\n    {" : "\n    {");
		for (size_t i = 0; i < ARRAY_SIZE(queue_fields); i++) {
			put(&writer, i ? ", \"%s\": " : "\"%s\": ", queue_fields[i].key);
			put_json_value(&writer, &queue_fields[i], &status->queue[q]);
		}
		put(&writer, "}");
	}
	put(&writer, "\n  ]\n}\n");
	return finish(&writer);
}

/* Rounded down to a tenth of the largest unit that leaves something before the point. */
static void put_bytes(struct writer *writer, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	uint64_t tenths = bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		put(writer, "%" PRIu64 " B", bytes);
		return;
	}
	for (; tenths >= 1024ull * 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		tenths /= 1024;
	tenths = tenths / 1024 * 10 + tenths % 1024 * 10 / 1024;
	put(writer, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
}

static void put_seconds(struct writer *writer, uint64_t seconds)
{
	put(writer, "%" PRIu64 " d %02u:%02u:%02u", seconds / 86400,
	    (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
	    (unsigned)(seconds % 60));
}

/* Names come from the command line: a terminal gets no control characters from them. */
static void put_printable(struct writer *writer, const char *string)
{
	while (*string) {
		size_t len = printable_len(string);

		put(writer, "%.*s", len ? (int)len : 1, len ? string : "?");
		string += len ? len : 1;
	}
}

static void put_text_value(struct writer *writer, const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;

	switch (field->kind) {
	case KIND_STRING:
	case KIND_ARRAY:
		put_printable(writer, string_of(field, base) ? string_of(field, base) : "-");
		break;
	case KIND_NUMBER:
		switch (field->look) {
		case LOOK_PLAIN:
			put(writer, "%" PRIu64, number_of(field, base));
			break;
		case LOOK_BYTES:
			put_bytes(writer, number_of(field, base));
			break;
		case LOOK_SECONDS:
			put_seconds(writer, number_of(field, base));
			break;
		}
		break;
	case KIND_SIGNED:
		put(writer, "%" PRId64, *(const int64_t *)at);
		break;
	case KIND_BOOL:
		put(writer, *(const bool *)at ? "yes" : "no");
		break;
	}
}

int status_render_text(const struct status *status, char *text, uint32_t len)
{
	struct writer writer = { .text = text, .len = len };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		put(&writer, "%-20s ", fields[i].label);
		put_text_value(&writer, &fields[i], status);
		put(&writer, "\n");
	}
	for (uint64_t q = 0; q < MIN(status->queues, (uint64_t)STATUS_QUEUES); q++) {
		put(&writer, "queue %" PRIu64 ":", q);
		for (size_t i = 0; i < ARRAY_SIZE(queue_fields); i++) {
			/* zeroes tell nothing, and there may be many queues */
			if (!number_of(&queue_fields[i], &status->queue[q]))
				continue;
			put(&writer, " %s ", queue_fields[i].label);
			put_text_value(&writer, &queue_fields[i], &status->queue[q]);
			put(&writer, ",");
		}
		if (writer.at && writer.text[writer.at - 1] == ',')
			writer.at--;
		put(&writer, "\n");
	}
	return finish(&writer);
}

void status_fill_process(struct status *status)
{
	uint64_t kib;
	char text[16] = "";
	int fd;

	status->pid = (uint64_t)getpid();
	if (procfs_read_number("/proc/self/status", "VmLck", 10, &kib) == 0)
		status->locked = kib * 1024;
	privdrop_serving_set(status->capabilities, sizeof(status->capabilities));

	fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		status->oom_score_adj = strtol(text, NULL, 10);
	close_fd(&fd);
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
