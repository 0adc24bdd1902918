/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of /proc: those that kernels write, and those that none does. The files that they are in
 * are test-audit's.
 */
#include "reclaim/proc.h"

#include <errno.h>
#include <string.h>

#include "base/macro.h"
#include "test.h"

static int parse(const char *line, struct caisson_task *ret_task)
{
	return caisson_proc_parse_stat(line, strlen(line), ret_task);
}

static void reads_a_stat_line(void)
{
	static const char line[] = "1234 (caissond) S 1 1234 1234 0 -1 5767424 77 1 88 2 3 4 5 6\n";
	struct caisson_task task;

	CHECK_EQ(parse(line, &task), 0);
	CHECK_EQ(task.tid, 1234);
	CHECK_STR(task.comm, "caissond");
	CHECK_EQ(task.state, 'S');
	CHECK_EQ(task.kind, CAISSON_TASK_THREAD);
	CHECK_EQ(task.flags, 5767424u);
	CHECK(caisson_flags_are_marked(task.flags));
	CHECK_EQ(task.minflt, 77u);
	CHECK_EQ(task.majflt, 88u);
}

static void reads_any_name(void)
{
	static const char *const names[] = {
		"",    "(",	   ")",	   ") R 1 2 3",
		"a b", "((x))",	   "\n",   ") Z 0 0 0 0 0 0 0 0 0 0 (",
		"\\",  "\xff\xfe", "a\tb",
	};
	struct caisson_task task;
	char line[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char expected[CAISSON_COMM_SIZE];

		snprintf(expected, sizeof(expected), "%s", names[i]);
		snprintf(line, sizeof(line), "7 (%s) D 1 2 3 4 -1 64 10 0 11 0\n", names[i]);
		CHECK_EQ(parse(line, &task), 0);
		CHECK_STR(task.comm, expected);
		CHECK_EQ(task.state, 'D');
		CHECK_EQ(task.flags, 64u);
		CHECK_EQ(task.minflt, 10u);
		CHECK_EQ(task.majflt, 11u);
	}
}

static void tells_kinds_apart(void)
{
	static const struct {
		const char *line;
		enum caisson_task_kind kind;
	} cases[] = {
		{ "7 (iou-wrk-6) S 1 2 3 4 5 16 7 8 9 0\n", CAISSON_TASK_IO_WORKER },
		{ "7 (iou-sqp-6) S 1 2 3 4 5 16 7 8 9 0\n", CAISSON_TASK_SQPOLL },
		{ "7 (renamed) S 1 2 3 4 5 16400 7 8 9 0\n", CAISSON_TASK_IO_WORKER },
		{ "7 (vhost-6) S 1 2 3 4 5 16384 7 8 9 0\n", CAISSON_TASK_USER_WORKER },
		{ "7 (iou-wrk-6) S 1 2 3 4 5 64 7 8 9 0\n", CAISSON_TASK_THREAD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct caisson_task task;

		CHECK_EQ(parse(cases[i].line, &task), 0);
		CHECK_EQ(task.kind, cases[i].kind);
	}
}

static void refuses_other_lines(void)
{
	static const char *const lines[] = {
		"",
		"\n",
		"7",
		"7 (x",
		"7 x) S 1 2 3 4 5 6 7 8 9 0\n",
		"7 )x( S 1 2 3 4 5 6 7 8 9 0\n",
		"(x) S 1 2 3 4 5 6 7 8 9 0\n",
		"0 (x) S 1 2 3 4 5 6 7 8 9 0\n",
		"-7 (x) S 1 2 3 4 5 6 7 8 9 0\n",
		"99999999999 (x) S 1 2 3 4 5 6 7 8 9 0\n",
		"7a (x) S 1 2 3 4 5 6 7 8 9 0\n",
		"7 (x)\n",
		"7 (x) \n",
		"7 (x) S\n",
		"7 (x) SS 1 2 3 4 5 6 7 8 9 0\n",
		"7 (x) S 1 2 3 4 5 6 7 8\n",
		"7 (x) S 1 2 3 4 5 6 7 8 9", /* the twelfth may be cut short */
		"7 (x) S 1 2 3 4 5 -6 7 8 9 0\n",
		"7 (x) S 1 2 3 4 5 4294967296 7 8 9 0\n",
		"7 (x) S 1 2 3 4 5 6 18446744073709551616 8 9 0\n",
		"7 (x) S 1 2 3 4 5 6 0x7 8 9 0\n",
		"7 (x) S 1 2 x 4 5 6 7 8 9 0\n",
	};
	struct caisson_task task = { .tid = 77 };
	char long_line[1024];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		CHECK_EQ(parse(lines[i], &task), -EBADMSG);
	CHECK_EQ(caisson_proc_parse_stat("7 (\0) S 1 2 3 4 5 6 7 8 9 0\n", 28, &task), -EBADMSG);
	memset(long_line, ' ', sizeof(long_line));
	CHECK_EQ(caisson_proc_parse_stat(long_line, sizeof(long_line), &task), -EBADMSG);
	CHECK_EQ(task.tid, 77);
}

/* Whatever the bytes: an answer, and only a whole one. Under the sanitizers this has teeth. */
static void survives_mangled_lines(void)
{
	static const char good[] = "1234 (a) b) S 1 2 3 4 -1 1572864 77 1 88 2 3 4 5 6\n";
	static const char alphabet[] = "() \n-0129afS\t\377x";
	uint64_t random = 88172645463325252u; /* xorshift: the same lines in each run */
	unsigned int accepted = 0;

	for (int round = 0; round < 200000; round++) {
		struct caisson_task task = { .state = '?' };
		char line[sizeof(good)];
		size_t len;
		int r;

		memcpy(line, good, sizeof(good));
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		for (unsigned int i = 0; i < 1 + random % 3; i++)
			line[(random >> (8 + 8 * i)) % (sizeof(good) - 1)] =
				alphabet[(random >> (32 + 8 * i)) % (sizeof(alphabet) - 1)];
		len = random >> 60 ? sizeof(good) - 1 : (random >> 24) % sizeof(good);
		r = caisson_proc_parse_stat(line, len, &task);
		if (r < 0) {
			CHECK_EQ(r, -EBADMSG);
			CHECK_EQ(task.state, '?');
			continue;
		}
		accepted++;
		CHECK(task.tid > 0);
		CHECK(strnlen(task.comm, sizeof(task.comm)) < sizeof(task.comm));
	}
	CHECK(accepted > 1000);
}

static void parses_a_tid(void)
{
	static const char *const not_tids[] = { "", "0", "-1", "1 ", " 1", "1a", "self" };
	pid_t tid = 77;

	CHECK_EQ(caisson_proc_parse_tid("2147483647", &tid), 0);
	CHECK_EQ(tid, 2147483647);
	CHECK_EQ(caisson_proc_parse_tid("2147483648", &tid), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(not_tids); i++)
		CHECK_EQ(caisson_proc_parse_tid(not_tids[i], &tid), -EINVAL);
	CHECK_EQ(tid, 2147483647);
}

static void makes_a_path(void)
{
	char path[PROC_PATH_SIZE];

	caisson_proc_path(path, 1, "self", "stat");
	CHECK_STR(path, "1/stat");
	caisson_proc_path(path, 2147483647, "thread-self", "oom_score_adj");
	CHECK_STR(path, "2147483647/oom_score_adj");
	caisson_proc_path(path, 0, "thread-self", "oom_score_adj");
	CHECK_STR(path, "thread-self/oom_score_adj");
}

int main(void)
{
	RUN(reads_a_stat_line);
	RUN(reads_any_name);
	RUN(tells_kinds_apart);
	RUN(refuses_other_lines);
	RUN(survives_mangled_lines);
	RUN(parses_a_tid);
	RUN(makes_a_path);
	return test_result();
}
