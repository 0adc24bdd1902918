/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A status to render, and whether JSON came out. */
#ifndef CAISSON_TEST_STATUS_FIXTURE_H
#define CAISSON_TEST_STATUS_FIXTURE_H

#include <stdbool.h>
#include <string.h>

#include "base/macro.h"
#include "host/status.h"

static inline void fill_example(struct status *status)
{
	*status = (struct status){
		.version = "1.2.3",
		.backing = "/srv/a \"b\"\\\n\x7f \xc3\xa9 \xff\xc0\xaf",
		.mountpoint = "/mnt/x",
		.pid = 101,
		.keeper_pid = 100,
		.keeper_alive = true,
		.uptime_s = 90061,
		.io_flusher_required = true,
		.io_flusher = true,
		.mlock_required = true,
		.mlock = true,
		.cache = "none",
		.kernel_minor = 38,
		.features = "async_dio posix_acl",
		.max_write = 1 << 20,
		.queues = 2,
		.queue_depth = 16,
		.memory_bound = 1610612736,
		.oom_score_adj = -1000,
		.tasks = 9,
		.queue = { { .requests = UINT64_MAX, .read_bytes = 1023 }, { .starved = 7 } },
	};
	strcpy(status->capabilities, "chown fowner");
	status_judge(status);
}

/* A JSON value at TEXT: what is behind it, or NULL where it isn't one (RFC 8259). */
static inline const char *skip_json(const char *text);

static inline const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

static inline const char *skip_json_string(const char *text)
{
	if (*text++ != '"')
		return NULL;
	for (; *text != '"'; text++) {
		if ((unsigned char)*text < ' ')
			return NULL;
		if (*text != '\\')
			continue;
		text++;
		if (*text == 'u' && strspn(text + 1, "0123456789abcdefABCDEF") < 4)
			return NULL;
		if (!strchr("\"\\/bfnrtu", *text))
			return NULL;
	}
	return text + 1;
}

/* Members or elements up to CLOSE. */
static inline const char *skip_json_list(const char *text, char close, bool keys)
{
	text = skip_blanks(text + 1);
	if (*text == close)
		return text + 1;
	for (;;) {
		if (keys) {
			text = skip_json_string(skip_blanks(text));
			if (!text)
				return NULL;
			text = skip_blanks(text);
			if (*text++ != ':')
				return NULL;
		}
		text = skip_json(text);
		if (!text)
			return NULL;
		text = skip_blanks(text);
		if (*text == close)
			return text + 1;
		if (*text++ != ',')
			return NULL;
	}
}

static inline const char *skip_json(const char *text)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t len;

	text = skip_blanks(text);
	switch (*text) {
	case '{':
		return skip_json_list(text, '}', true);
	case '[':
		return skip_json_list(text, ']', false);
	case '"':
		return skip_json_string(text);
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strncmp(text, words[i], strlen(words[i])) == 0)
			return text + strlen(words[i]);
	}
	len = strspn(text + (*text == '-'), "0123456789");
	return len ? text + (*text == '-') + len : NULL;
}

/* Whether TEXT is one JSON value. */
static inline bool is_json(const char *text)
{
	const char *end = skip_json(text);

	return end && *skip_blanks(end) == '\0';
}

#endif
