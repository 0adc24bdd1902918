/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text and JSON are made from the same document, so scripts can read all that people see. A key is
 * never renamed or removed after a release, because users' scripts read it.
 */
#include "tool/status-print.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/printable.h"
#include "tool/json.h"

#define KEY_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_."

enum kind { KIND_STRING, KIND_BOOL, KIND_NUMBER, KIND_BYTES, KIND_SECONDS };

/* How each key is shown. The keys from "requests" on belong to a queue. */
static const struct shown {
	const char *key, *label;
	enum kind kind;
} shown[] = {
	{ "version", "version", KIND_STRING },
	{ "backing", "backing", KIND_STRING },
	{ "mountpoint", "mountpoint", KIND_STRING },
	{ "pid", "pid", KIND_NUMBER },
	{ "keeper_pid", "keeper pid", KIND_NUMBER },
	{ "keeper_alive", "keeper alive", KIND_BOOL },
	{ "uptime_s", "uptime", KIND_SECONDS },
	{ "recovery", "recovery", KIND_STRING },
	{ "spare_pid", "spare pid", KIND_NUMBER },
	{ "takeovers", "takeovers", KIND_NUMBER },
	{ "takeover_redone", "requests done again", KIND_NUMBER },
	{ "takeover_resent", "answers sent again", KIND_NUMBER },
	{ "takeover_refused", "requests refused", KIND_NUMBER },
	{ "pause_ms", "last pause, ms", KIND_NUMBER },
	{ "pause_worst_ms", "worst pause, ms", KIND_NUMBER },
	{ "upgrades", "upgrades", KIND_NUMBER },
	{ "last_upgrade", "last upgrade", KIND_STRING },
	{ "safe_to_stack", "safe to stack on", KIND_BOOL },
	{ "reason", "reason", KIND_STRING },
	{ "io_flusher_required", "io_flusher required", KIND_BOOL },
	{ "io_flusher", "io_flusher", KIND_BOOL },
	{ "mlock_required", "mlock required", KIND_BOOL },
	{ "mlock", "mlock", KIND_BOOL },
	{ "cache", "cache", KIND_STRING },
	{ "transport", "transport", KIND_STRING },
	{ "kernel_minor", "FUSE minor version", KIND_NUMBER },
	{ "features", "features", KIND_STRING },
	{ "max_write", "max_write", KIND_BYTES },
	{ "queues", "queues", KIND_NUMBER },
	{ "queue_depth", "queue depth", KIND_NUMBER },
	{ "workers", "workers", KIND_NUMBER },
	{ "memory_bound_bytes", "memory bound", KIND_BYTES },
	{ "locked_bytes", "locked (VmLck)", KIND_BYTES },
	{ "capabilities", "capabilities", KIND_STRING },
	{ "oom_score_adj", "oom_score_adj", KIND_NUMBER },
	{ "tasks_total", "tasks", KIND_NUMBER },
	{ "tasks_unmarked", "tasks unmarked", KIND_NUMBER },
	{ "alarms", "alarms", KIND_NUMBER },
	{ "inodes_used", "inodes used", KIND_NUMBER },
	{ "inodes_limit", "inodes limit", KIND_NUMBER },
	{ "inodes_refused", "inodes refused", KIND_NUMBER },
	{ "files_used", "files used", KIND_NUMBER },
	{ "files_limit", "files limit", KIND_NUMBER },
	{ "zone_refusals", "zone refusals", KIND_NUMBER },
	{ "log_dropped", "log lines dropped", KIND_NUMBER },
	{ "oldest_request_s", "oldest request, s", KIND_NUMBER },
	{ "meta_calls", "metadata calls", KIND_NUMBER },
	{ "meta_errors", "metadata errors", KIND_NUMBER },
	{ "meta_lost", "metadata lost", KIND_NUMBER },
	{ "meta_free_slots", "metadata slots free", KIND_NUMBER },
	{ "meta_shortages", "metadata shortages", KIND_NUMBER },
	{ "requests", "requests", KIND_NUMBER },
	{ "replies", "replies", KIND_NUMBER },
	{ "lost", "lost", KIND_NUMBER },
	{ "reads", "reads", KIND_NUMBER },
	{ "read_bytes", "read", KIND_BYTES },
	{ "writes", "writes", KIND_NUMBER },
	{ "write_bytes", "written", KIND_BYTES },
	{ "syncs", "syncs", KIND_NUMBER },
	{ "allocates", "allocates", KIND_NUMBER },
	{ "buffered", "buffered", KIND_NUMBER },
	{ "resumed", "resumed", KIND_NUMBER },
	{ "errors", "errors", KIND_NUMBER },
	{ "protocol_errors", "protocol errors", KIND_NUMBER },
	{ "starved", "starved", KIND_NUMBER },
	{ "enters", "enters", KIND_NUMBER },
	{ "steals", "steals", KIND_NUMBER },
	{ "metadata", "metadata", KIND_NUMBER },
	{ "inline", "inline", KIND_NUMBER },
};

static struct shown find_shown(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		if (strcmp(shown[i].key, key) == 0)
			return shown[i];
	}
	return (struct shown){ .key = key, .label = key, .kind = KIND_STRING };
}

/* -- Parsing -- */

/* Undoes \n and \\ in place. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] != '\\' || !text[1]) {
			*out++ = *text;
			continue;
		}
		text++;
		*out++ = *text == 'n' ? '\n' : *text;
	}
	*out = '\0';
}

/* A number if TEXT is one, with a sign or without; otherwise a string. */
static struct json_object *number_of(const char *text)
{
	bool is_negative = *text == '-';
	struct json_object *number;
	char *end;

	/* strtoull() would also accept blanks and signs */
	if (text[is_negative] < '0' || text[is_negative] > '9')
		return json_object_new_string(text);
	errno = 0;
	if (is_negative)
		number = json_object_new_int64(strtoll(text, &end, 10));
	else
		number = json_object_new_uint64(strtoull(text, &end, 10));
	if (!errno && end != text && !*end)
		return number;
	(void)json_object_put(number);
	return json_object_new_string(text);
}

static struct json_object *value_of(enum kind kind, const char *text)
{
	switch (kind) {
	case KIND_STRING:
		break;
	case KIND_BOOL:
		if (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0)
			return json_object_new_boolean(*text == 'y');
		break;
	case KIND_NUMBER:
	case KIND_BYTES:
	case KIND_SECONDS:
		return number_of(text);
	}
	return json_object_new_string(text);
}

/*
 * The object that *KEY belongs to. For "queue.N.KEY" that is queue N, which is made if it is the
 * next one, and *KEY becomes KEY. Otherwise it is STATUS.
 */
static struct json_object *find_object(struct json_object *status, const char **key)
{
	struct json_object *queues = json_object_object_get(status, "queue"), *queue;
	unsigned number;
	int len = 0;

	/* two digits are enough for STATUS_QUEUES */
	if (sscanf(*key, "queue.%2u.%n", &number, &len) != 1 || !len)
		return status;
	if (!json_object_is_type(queues, json_type_array)) {
		queues = json_object_new_array();
		json_add(status, "queue", queues);
	}
	if (number > json_object_array_length(queues))
		return status;
	*key += len;
	if (number < json_object_array_length(queues))
		return json_object_array_get_idx(queues, number);
	queue = json_object_new_object();
	json_append(queues, queue);
	return queue;
}

struct json_object *status_parse(char *text)
{
	struct json_object *status = json_object_new_object(), *object;
	char *line = text, *next, *value;
	const char *key;

	/* an empty line ends the answer, but isn't an answer by itself */
	for (; *line && (line == text || strcmp(line, "\n") != 0); line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		value = line + strspn(line, KEY_CHARACTERS);
		if (value == line || *value != '=') {
			(void)json_object_put(status);
			return NULL;
		}
		*value++ = '\0';
		unescape(value);
		key = line;
		object = find_object(status, &key);
		json_add(object, key, value_of(find_shown(key).kind, value));
	}
	return status;
}

/* -- Text -- */

/* Prints BYTES in the largest unit that gives 1 or more, rounded down to a tenth. */
static void print_bytes(FILE *out, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	uint64_t tenths = bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		fprintf(out, "%" PRIu64 " B", bytes);
		return;
	}
	for (; tenths >= 1024ull * 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		tenths /= 1024;
	tenths = tenths / 1024 * 10 + tenths % 1024 * 10 / 1024;
	fprintf(out, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
}

static void print_seconds(FILE *out, uint64_t seconds)
{
	fprintf(out, "%" PRIu64 " d %02u:%02u:%02u", seconds / 86400,
		(unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
		(unsigned)(seconds % 60));
}

/* Prints STRING, with "?" for characters that could harm a terminal. */
static void print_string(FILE *out, const char *string)
{
	while (*string) {
		size_t len = printable_len(string);

		fprintf(out, "%.*s", len ? (int)len : 1, len ? string : "?");
		string += len ? len : 1;
	}
}

static void print_value(FILE *out, enum kind kind, struct json_object *value)
{
	if (json_object_is_type(value, json_type_boolean))
		fputs(json_object_get_boolean(value) ? "yes" : "no", out);
	else if (kind == KIND_BYTES && json_object_is_type(value, json_type_int))
		print_bytes(out, json_object_get_uint64(value));
	else if (kind == KIND_SECONDS && json_object_is_type(value, json_type_int))
		print_seconds(out, json_object_get_uint64(value));
	else
		print_string(out, json_object_get_string(value));
}

static void print_queue(FILE *out, size_t number, struct json_object *queue)
{
	const char *separator = " ";

	fprintf(out, "queue %zu:", number);
	json_object_object_foreach(queue, key, value)
	{
		struct shown how = find_shown(key);

		/* zeroes are left out, as there may be many queues */
		if (json_object_is_type(value, json_type_int) && !json_object_get_uint64(value))
			continue;
		fprintf(out, "%s%s ", separator, how.label);
		print_value(out, how.kind, value);
		separator = ", ";
	}
	fputc('\n', out);
}

void status_print(FILE *out, struct json_object *status)
{
	json_object_object_foreach(status, key, value)
	{
		struct shown how = find_shown(key);

		if (json_object_is_type(value, json_type_array)) {
			for (size_t q = 0; q < json_object_array_length(value); q++)
				print_queue(out, q, json_object_array_get_idx(value, q));
			continue;
		}
		fprintf(out, "%-20s ", how.label);
		print_value(out, how.kind, value);
		fputc('\n', out);
	}
}
