/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A status as lines, and when a mount is safe to stack on. */
#include "host/status.h"

#include <errno.h>
#include <stdbool.h>

#include "host/control.h"
#include "status-fixture.h"
#include "test.h"

/* Whether TEXT has LINE among its lines. */
static bool has_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	while (at && ((at != text && at[-1] != '\n') || at[strlen(line)] != '\n'))
		at = strstr(at + 1, line);
	return at;
}

static void renders_lines(void)
{
	struct status status;
	char text[8192];
	int len;

	fill_example(&status);
	len = status_render(&status, text, sizeof(text));
	CHECK_EQ((size_t)len, strlen(text));
	CHECK(strncmp(text, "version=1.2.3\n", 14) == 0);
	CHECK(has_line(text, "backing=/srv/a \"b\"\\\\\\n\x7f \xc3\xa9 \xff\xc0\xaf"));
	CHECK(has_line(text, "oom_score_adj=-1000"));
	CHECK(has_line(text, "safe_to_stack=yes"));
	CHECK(has_line(text, "reason="));
	CHECK(has_line(text, "memory_bound_bytes=1610612736"));
	CHECK(has_line(text, "queue.0.requests=18446744073709551615"));
	CHECK(has_line(text, "queue.1.starved=7"));
	CHECK(!strstr(text, "queue.2."));
	CHECK_EQ(text[len - 1], '\n');
}

/* Whatever room there is: all or -ENOSPC, and nothing behind the room. */
static void keeps_to_its_room(void)
{
	struct status status;
	char text[8192];
	int needed;

	fill_example(&status);
	needed = status_render(&status, text, sizeof(text));
	CHECK(needed > 0);
	for (int len = 1; len <= needed + 1; len++) {
		text[len] = '#';
		CHECK_EQ(status_render(&status, text, (uint32_t)len),
			 len > needed ? needed : -ENOSPC);
		CHECK_EQ(text[len], '#');
	}
}

/* Also with the longest paths, of characters that take two each, and room for keys to come. */
static void the_largest_fits_an_answer(void)
{
	static char text[CONTROL_ANSWER_LEN], path[4096];
	struct status status;

	memset(&status, 0xff, sizeof(status));
	memset(path, '\n', sizeof(path) - 1);
	status.version = status.cache = status.transport = "longer than any that there is";
	status.recovery = "longer than any that there is";
	status.last_upgrade = "longer than any that there is: the longest of them would be shown "
			      "in one line by a terminal of an ordinary width";
	status.backing = status.mountpoint = path;
	status.keeper_alive = status.safe_to_stack = true;
	status.io_flusher_required = status.io_flusher = true;
	status.mlock_required = status.mlock = true;
	status.queues = STATUS_QUEUES;
	memset(status.reason, 'r', sizeof(status.reason) - 1);
	status.reason[sizeof(status.reason) - 1] = '\0';
	memset(status.features, 'f', sizeof(status.features) - 1);
	status.features[sizeof(status.features) - 1] = '\0';
	memset(status.capabilities, 'c', sizeof(status.capabilities) - 1);
	status.capabilities[sizeof(status.capabilities) - 1] = '\0';
	CHECK(status_render(&status, text, sizeof(text) * 3 / 4) > 0);
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
	RUN(renders_lines);
	RUN(keeps_to_its_room);
	RUN(the_largest_fits_an_answer);
	RUN(judges_each_part);
	return test_result();
}
