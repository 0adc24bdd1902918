/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `caisson status` makes of an answer: of this version's, of others', and of a liar's. */
#include "tool/status-print.h"

#include <json-c/json.h>

#include "host/status.h"
#include "status-fixture.h"
#include "test.h"
#include "tool/json.h"

static char answer[8192];

static struct json_object *parsed(const char *text)
{
	CHECK(snprintf(answer, sizeof(answer), "%s", text) < (int)sizeof(answer));
	return status_parse(answer);
}

static struct json_object *parsed_example(void)
{
	struct status status;

	fill_example(&status);
	CHECK(status_render(&status, answer, sizeof(answer)) > 0);
	return status_parse(answer);
}

/* As it is printed, in memory of the caller's. Takes STATUS. */
static char *printed(struct json_object *status, bool json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CHECK(status && out);
	if (json)
		json_print(out, status, JSON_PRETTY);
	else
		status_print(out, status);
	CHECK_EQ(fclose(out), 0);
	json_object_put(status);
	return text;
}

static void expect_text(const char *lines, const char *expected)
{
	char *text = printed(parsed(lines), false);

	CHECK_STR(text, expected);
	free(text);
}

static void expect_json(const char *lines, const char *expected)
{
	char *text = printed(parsed(lines), true);

	CHECK_STR(text, expected);
	free(text);
}

/* Every key that the daemon sends, in its order, with its label. */
static void prints_text(void)
{
	char *text = printed(parsed_example(), false);

	CHECK_STR(text, "version              1.2.3\n"
			"backing              /srv/a \"b\"\\?? \xc3\xa9 ???\n"
			"mountpoint           /mnt/x\n"
			"pid                  101\n"
			"keeper pid           100\n"
			"keeper alive         yes\n"
			"uptime               1 d 01:01:01\n"
			"recovery             off\n"
			"spare pid            0\n"
			"takeovers            0\n"
			"requests done again  0\n"
			"answers sent again   0\n"
			"requests refused     0\n"
			"last pause, ms       0\n"
			"worst pause, ms      0\n"
			"upgrades             0\n"
			"last upgrade         \n"
			"safe to stack on     yes\n"
			"reason               \n"
			"io_flusher required  yes\n"
			"io_flusher           yes\n"
			"mlock required       yes\n"
			"mlock                yes\n"
			"cache                none\n"
			"transport            dev\n"
			"FUSE minor version   38\n"
			"features             async_dio posix_acl\n"
			"max_write            1.0 MiB\n"
			"queues               2\n"
			"queue depth          16\n"
			"workers              0\n"
			"memory bound         1.5 GiB\n"
			"locked (VmLck)       0 B\n"
			"capabilities         chown fowner\n"
			"oom_score_adj        -1000\n"
			"tasks                9\n"
			"tasks unmarked       0\n"
			"alarms               0\n"
			"inodes used          0\n"
			"inodes limit         0\n"
			"inodes refused       0\n"
			"files used           0\n"
			"files limit          0\n"
			"zone refusals        0\n"
			"log lines dropped    0\n"
			"oldest request, s    0\n"
			"metadata calls       0\n"
			"metadata errors      0\n"
			"metadata lost        0\n"
			"metadata slots free  0\n"
			"metadata shortages   0\n"
			"queue 0: requests 18446744073709551615, read 1023 B\n"
			"queue 1: starved 7\n");
	free(text);
}

static void prints_json(void)
{
	char *text = printed(parsed_example(), true);
	struct json_object *document = json_tokener_parse(text);
	struct json_object *queues = json_object_object_get(document, "queue");

	CHECK(document);
	CHECK(strstr(text, "\n  \"backing\": \"/srv/a \\\"b\\\"\\\\\\n\\u007f \xc3\xa9 "
			   "\\ufffd\\ufffd\\ufffd\",\n"));
	CHECK(strstr(text, "\n  \"keeper_alive\": true,\n"));
	CHECK(strstr(text, "\n  \"uptime_s\": 90061,\n"));
	CHECK(strstr(text, "\n  \"reason\": \"\",\n"));
	CHECK(strstr(text, "\n  \"memory_bound_bytes\": 1610612736,\n"));
	CHECK(strstr(text, "\n  \"oom_score_adj\": -1000,\n"));
	CHECK(strstr(text, "\"requests\": 18446744073709551615,\n"));
	/* all of the table but "queue" itself, and 18 of each queue */
	CHECK_EQ(json_object_object_length(document), 52);
	CHECK_EQ(json_object_array_length(queues), (size_t)2);
	CHECK_EQ(json_object_object_length(json_object_array_get_idx(queues, 1)), 18);
	json_object_put(document);
	free(text);
}

static void shows_what_other_versions_send(void)
{
	expect_text("pid=1\nnew_key=a=b\n", "pid                  1\nnew_key              a=b\n");
	expect_json("pid=1\nnew_key=7\n", "{\n  \"pid\": 1,\n  \"new_key\": \"7\"\n}");
	/* of a queue, too; the last line may lack its newline */
	expect_text("queue.0.reads=2\nqueue.0.new=0\nqueue.1.reads=0\nlater=x\nqueue.1.writes=1",
		    "queue 0: reads 2, new 0\nqueue 1: writes 1\nlater                x\n");
	expect_json("", "{\n}");
}

static void undoes_escapes(void)
{
	expect_json("reason=a\\nb\\\\n\\\n", "{\n  \"reason\": \"a\\nb\\\\n\\\\\"\n}");
	expect_text("reason=a\\nb\n", "reason               a?b\n");
}

/* What isn't of its kind stays a string, and nothing that is sent ends or hangs us. */
static void takes_nothing_on_trust(void)
{
	expect_json("pid=12x\nqueues=99999999999999999999\nmlock=maybe\nuptime_s=\n",
		    "{\n  \"pid\": \"12x\",\n  \"queues\": \"99999999999999999999\",\n"
		    "  \"mlock\": \"maybe\",\n  \"uptime_s\": \"\"\n}");
	expect_text("max_write=lots\nuptime_s=-1\n",
		    "max_write            lots\nuptime               0 d 00:00:00\n");
	/* not the next queue */
	expect_text("queue.1.reads=1\nqueue.4294967295.reads=1\n",
		    "queue.1.reads        1\nqueue.4294967295.reads 1\n");
	expect_text("queue=x\nqueue.0.reads=1\n", "queue 0: reads 1\n");
	expect_text("queue.0.reads=1\nqueue=x\n", "queue                x\n");
	expect_text("pid=1\npid=2\n", "pid                  2\n");
}

static void refuses_what_is_no_answer(void)
{
	static const char *const bad[] = {
		"\n",
		"pid\n",
		"=1\n",
		"pid=1\n\npid=2\n",
		"{\n  \"pid\": 1\n}\n",
		"Pid=1\n",
		"p\033d=1\n",
		"title \033]0;owned\a\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!parsed(bad[i]));
}

static void units_are_rounded_down(void)
{
	static const struct {
		const char *bytes, *text;
	} cases[] = {
		{ "0", "0 B" },
		{ "1024", "1.0 KiB" },
		{ "1047552", "1023.0 KiB" },
		{ "1048575", "1023.9 KiB" },
		{ "1048576", "1.0 MiB" },
		{ "18446744073709551615", "16383.9 PiB" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[64], expected[64];

		snprintf(line, sizeof(line), "max_write=%s\n", cases[i].bytes);
		snprintf(expected, sizeof(expected), "max_write            %s\n", cases[i].text);
		expect_text(line, expected);
	}
}

int main(void)
{
	RUN(prints_text);
	RUN(prints_json);
	RUN(shows_what_other_versions_send);
	RUN(undoes_escapes);
	RUN(takes_nothing_on_trust);
	RUN(refuses_what_is_no_answer);
	RUN(units_are_rounded_down);
	return test_result();
}
