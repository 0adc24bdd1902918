/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A status as JSON and as text, and when a mount is safe to stack on. */
#include "host/status.h"

#include <errno.h>

#include "base/macro.h"
#include "host/control.h"
#include "status-fixture.h"
#include "test.h"

static void renders_json(void)
{
	struct status status;
	char text[8192];
	int len;

	CHECK(is_json("{\"a\": [1, -2, \"\\u00ff\", null], \"b\": {}}"));
	CHECK(!is_json("{\"a\": 1,}") && !is_json("[1 2]") && !is_json("\"\n\"") &&
	      !is_json("{} x"));

	fill_example(&status);
	len = status_render_json(&status, text, sizeof(text));
	CHECK_EQ((size_t)len, strlen(text));
	CHECK(is_json(text));
	CHECK(strstr(text, "\"version\": \"1.2.3\""));
	CHECK(strstr(text, "\"backing\": \"/srv/a \\\"b\\\"\\\\\\u000a\\u007f \xc3\xa9 "
			   "\\ufffd\\ufffd\\ufffd\""));
	CHECK(strstr(text, "\"transport\": null"));
	CHECK(strstr(text, "\"oom_score_adj\": -1000"));
	CHECK(strstr(text, "\"safe_to_stack\": true"));
	CHECK(strstr(text, "\"requests\": 18446744073709551615"));
	CHECK(strstr(text, "\"starved\": 7"));
	CHECK(strstr(text, "\"memory_bound_bytes\": 1610612736"));
}

/* Whatever room there is: all or -ENOSPC, and nothing behind the room. */
static void keeps_to_its_room(void)
{
	int (*const render[])(const struct status *, char *, uint32_t) = { status_render_json,
									   status_render_text };
	struct status status;
	char text[8192];

	fill_example(&status);
	for (size_t i = 0; i < ARRAY_SIZE(render); i++) {
		int needed = render[i](&status, text, sizeof(text));

		CHECK(needed > 0);
		for (int len = 1; len <= needed + 1; len++) {
			text[len] = '#';
			CHECK_EQ(render[i](&status, text, (uint32_t)len),
				 len > needed ? needed : -ENOSPC);
			CHECK_EQ(text[len], '#');
		}
	}
}

static void the_largest_fits_an_answer(void)
{
	static char text[CONTROL_ANSWER_LEN], path[4096];
	struct status status;

	fill_example(&status);
	memset(path, 'p', sizeof(path) - 1);
	status.backing = status.mountpoint = path;
	status.queues = STATUS_QUEUES;
	memset(status.queue, 0xff, sizeof(status.queue));
	memset(status.features, 'f', sizeof(status.features) - 1);
	CHECK(status_render_json(&status, text, sizeof(text)) > 0);
	CHECK(is_json(text));
	CHECK(status_render_text(&status, text, sizeof(text)) > 0);
}

static void renders_text(void)
{
	struct status status;
	char text[8192];

	fill_example(&status);
	CHECK(status_render_text(&status, text, sizeof(text)) > 0);
	CHECK(strstr(text, "\nmemory bound         1.5 GiB\n"));
	CHECK(strstr(text, "\nup since             1 d 01:01:01\n"));
	CHECK(strstr(text, "\nsafe to stack on     yes\n"));
	CHECK(strstr(text, "\nqueue 0: requests 18446744073709551615, read 1023 B\n"));
	CHECK(strstr(text, "\nqueue 1: starved 7\n"));
	CHECK(strstr(text, "/srv/a \"b\"\\?? "));
}

static void judges_each_part(void)
{
	struct status status, unsafe;

	fill_example(&status);
	CHECK(status.safe_to_stack);
	CHECK_STR(status.reason, "");

	unsafe = status;
	unsafe.io_flusher = unsafe.io_flusher_required = false;
	unsafe.tasks_unmarked = 9;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "io_flusher=off"));
	unsafe = status;
	unsafe.tasks_unmarked = 1;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "1 of 9 tasks"));
	unsafe = status;
	unsafe.tasks = 0; /* never audited */
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack);
	unsafe = status;
	unsafe.alarms = 1;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack);
	unsafe = status;
	unsafe.mlock = false;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "not locked"));
	unsafe = status;
	unsafe.cache = "writeback";
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "cache=writeback"));
}

int main(void)
{
	RUN(renders_json);
	RUN(keeps_to_its_room);
	RUN(the_largest_fits_an_answer);
	RUN(renders_text);
	RUN(judges_each_part);
	return test_result();
}
