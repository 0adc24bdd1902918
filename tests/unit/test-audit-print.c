/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `caisson audit` prints and exits with, for good, bad, odd and unwritable cases. */
#include "tool/audit-print.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macro.h"
#include "test.h"

static struct caisson_task safe_tasks[] = {
	{ .tid = 10,
	  .comm = "caissond",
	  .state = 'S',
	  .flags = CAISSON_FLUSHER_MASK,
	  .minflt = 77 },
	{ .tid = 12,
	  .comm = "iou-wrk-10",
	  .state = 'S',
	  .kind = CAISSON_TASK_IO_WORKER,
	  .flags = CAISSON_FLUSHER_MASK | CAISSON_PF_IO_WORKER,
	  .majflt = 5 },
};

static const struct audit_report safe_report = {
	.summary = {
		.pid = 10, .uid = 0, .cap_effective = 0x21, .oom_score_adj = -1000, .tasks = 2,
		.marked = 2, .io_workers = 1, .settled = 1, .memory = CAISSON_MEMORY_LOCKED,
		.vm_size_bytes = 4096 << 10, .vm_lck_bytes = 4000 << 10, .vm_rss_bytes = 3000 << 10,
		.special_bytes = 96 << 10,
	},
	.tasks = safe_tasks,
};

/* What PRINT writes for COUNT reports, in memory of the caller's. */
static char *printed(int (*print)(FILE *, const struct audit_report *, size_t),
		     const struct audit_report *reports, size_t count)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	CHECK(out != NULL);
	CHECK_EQ(print(out, reports, count), 0);
	CHECK_EQ(fclose(out), 0);
	return text;
}

static void prints_a_table(void)
{
	char *text = printed(audit_print_table, &safe_report, 1);

	CHECK_STR(text,
		  "TID      COMM            KIND        NOIO THROTTLE     MINFLT   MAJFLT\n"
		  "10       caissond        thread      yes  local            77        0\n"
		  "12       iou-wrk-10      io-worker   yes  local             0        5\n"
		  "memory:         locked\n"
		  "VmLck:          4000 KiB of 4096 KiB mapped (96 KiB can't be paged out anyway),"
		  " 3000 KiB present\n"
		  "oom_score_adj:  -1000\n"
		  "uid:            0\n"
		  "capabilities:   0000000000000021\n"
		  "PID 10 (caissond): safe: 2 of 2 tasks marked, memory locked\n");
	free(text);
}

static void prints_json(void)
{
	char *text = printed(audit_print_json, &safe_report, 1);

	CHECK_STR(text, "{\n"
			"  \"safe\": true,\n"
			"  \"processes\": [\n"
			"    {\n"
			"      \"pid\": 10,\n"
			"      \"comm\": \"caissond\",\n"
			"      \"uid\": 0,\n"
			"      \"cap_effective\": \"0000000000000021\",\n"
			"      \"oom_score_adj\": -1000,\n"
			"      \"task_count\": 2,\n"
			"      \"marked_count\": 2,\n"
			"      \"io_worker_count\": 1,\n"
			"      \"settled\": true,\n"
			"      \"memory\": {\n"
			"        \"state\": \"locked\",\n"
			"        \"error\": null,\n"
			"        \"vm_size_bytes\": 4194304,\n"
			"        \"vm_lck_bytes\": 4096000,\n"
			"        \"vm_rss_bytes\": 3072000,\n"
			"        \"unlocked_bytes\": 0,\n"
			"        \"unlocked_maps\": 0,\n"
			"        \"special_bytes\": 98304,\n"
			"        \"absent_bytes\": 0\n"
			"      },\n"
			"      \"safe\": true,\n"
			"      \"tasks\": [\n"
			"        {\n"
			"          \"tid\": 10,\n"
			"          \"comm\": \"caissond\",\n"
			"          \"kind\": \"thread\",\n"
			"          \"state\": \"S\",\n"
			"          \"flags\": 1572864,\n"
			"          \"noio\": true,\n"
			"          \"local_throttle\": true,\n"
			"          \"marked\": true,\n"
			"          \"minflt\": 77,\n"
			"          \"majflt\": 0\n"
			"        },\n"
			"        {\n"
			"          \"tid\": 12,\n"
			"          \"comm\": \"iou-wrk-10\",\n"
			"          \"kind\": \"io-worker\",\n"
			"          \"state\": \"S\",\n"
			"          \"flags\": 1572880,\n"
			"          \"noio\": true,\n"
			"          \"local_throttle\": true,\n"
			"          \"marked\": true,\n"
			"          \"minflt\": 0,\n"
			"          \"majflt\": 5\n"
			"        }\n"
			"      ]\n"
			"    }\n"
			"  ]\n"
			"}\n");
	free(text);
}

/* Every way not to be safe, in the exit code, the table's verdict and the JSON's "safe". */
static void judges(void)
{
	static const struct {
		uint32_t marked, settled;
		enum caisson_memory_state memory;
		enum exit_code code;
		const char *verdict;
	} cases[] = {
		{ 2, 1, CAISSON_MEMORY_LOCKED, EXIT_FINE, ": safe: 2 of 2" },
		{ 1, 1, CAISSON_MEMORY_LOCKED, EXIT_UNSAFE, ": NOT SAFE: 1 of 2" },
		{ 0, 0, CAISSON_MEMORY_UNKNOWN, EXIT_UNSAFE, ": NOT SAFE: 0 of 2" },
		{ 2, 1, CAISSON_MEMORY_UNLOCKED, EXIT_UNSAFE, ": NOT SAFE: 2 of 2" },
		{ 2, 1, CAISSON_MEMORY_UNKNOWN, EXIT_CANNOT_SERVE, ": not known to be safe: " },
		{ 2, 0, CAISSON_MEMORY_LOCKED, EXIT_CANNOT_SERVE, ": not known to be safe: " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct audit_report reports[2] = { safe_report, safe_report };
		char *text;

		reports[1].summary.marked = cases[i].marked;
		reports[1].summary.settled = cases[i].settled;
		reports[1].summary.memory = cases[i].memory;
		CHECK_EQ(audit_report_exit(&reports[1]), cases[i].code);
		text = printed(audit_print_table, reports, 2);
		CHECK(strstr(strstr(text, "PID 10 (caissond)") + 1, cases[i].verdict) != NULL);
		free(text);
		text = printed(audit_print_json, reports, 2);
		CHECK_EQ(strncmp(text, "{\n  \"safe\": true,", 17) == 0,
			 cases[i].code == EXIT_FINE);
		free(text);
	}
}

static void tells_what_is_wrong_with_memory(void)
{
	struct audit_report report = safe_report;
	char *text;

	report.summary.memory = CAISSON_MEMORY_UNLOCKED;
	report.summary.unlocked_maps = 3;
	report.summary.unlocked_bytes = 12 << 10;
	report.summary.unlocked_address = 0x7f0000001000;
	text = printed(audit_print_table, &report, 1);
	CHECK(strstr(text, "unlocked: 3 mappings, 12 KiB, the first at 0x7f0000001000\n") != NULL);
	free(text);
	report.summary.memory = CAISSON_MEMORY_UNKNOWN;
	report.summary.memory_error = -EACCES;
	text = printed(audit_print_table, &report, 1);
	CHECK(strstr(text, "unknown: reading smaps: Permission denied\n") != NULL);
	free(text);
	text = printed(audit_print_json, &report, 1);
	CHECK(strstr(text, "\"error\": \"Permission denied\"") != NULL);
	free(text);
	report = safe_report;
	report.summary.absent_bytes = 8 << 10;
	text = printed(audit_print_table, &report, 1);
	CHECK(strstr(text, "locked, of which 8 KiB are not present\n") != NULL);
	free(text);
}

static void escapes_names(void)
{
	static const struct {
		const char *name, *json, *table;
	} cases[] = {
		{ "a\"b\\c", "\"a\\\"b\\\\c\"", "a\"b\\x5cc " },
		{ "\n\x1b[1m\x7f", "\"\\n\\u001b[1m\\u007f\"", "\\x0a\\x1b[1m\\x7f " },
		{ "\xc3\xa9", "\"\xc3\xa9\"", "\\xc3\\xa9 " },
		{ "\xf0\x9f\x9a\xa2", "\"\xf0\x9f\x9a\xa2\"", "\\xf0\\x9f\\x9a\\xa2" },
		{ "\xff", "\"\\ufffd\"", "\\xff " },
		{ "x\xc3", "\"x\\ufffd\"", "x\\xc3 " }, /* cut by the kernel in the middle */
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"", "\\xc0\\x80 " }, /* longer than need be */
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", "\\xed\\xa0\\x80 " }, /* surrogate */
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", "\\xf4\\x90" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"", "\\xe2\\x82 " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct caisson_task task = safe_tasks[0];
		struct audit_report report = safe_report;
		char *text;

		snprintf(task.comm, sizeof(task.comm), "%s", cases[i].name);
		report.tasks = &task;
		report.summary.tasks = 1;
		report.summary.marked = 1;
		text = printed(audit_print_json, &report, 1);
		CHECK(strstr(text, cases[i].json) != NULL);
		free(text);
		text = printed(audit_print_table, &report, 1);
		CHECK(strstr(text, cases[i].table) != NULL);
		free(text);
	}
}

static void audits_for_the_command(void)
{
	char *out_text = NULL, *err_text = NULL;
	size_t out_len, err_len;
	FILE *out = open_memstream(&out_text, &out_len);
	FILE *err = open_memstream(&err_text, &err_len);
	/* this process isn't marked or locked; the other can't exist: PIDs end at 2^22 */
	const pid_t pids[] = { getpid(), 1 << 23 };

	CHECK(out && err);
	CHECK_EQ(audit_command(out, err, pids, 2, true), EXIT_UNSAFE);
	CHECK_EQ(audit_command(out, err, pids + 1, 1, true), EXIT_CANNOT_SERVE);
	CHECK_EQ(audit_command(out, err, pids, 0, false), EXIT_CANNOT_SERVE);
	CHECK_EQ(fclose(out), 0);
	CHECK_EQ(fclose(err), 0);
	CHECK(strstr(out_text, "\"safe\": false") != NULL);
	CHECK(strstr(out_text, "\"safe\": true") == NULL);
	CHECK_STR(err_text, "caisson: PID 8388608: audit: No such process\n"
			    "caisson: PID 8388608: audit: No such process\n");
	free(out_text);
	free(err_text);
}

static void full_disks_are_told(void)
{
	FILE *out = fopen("/dev/full", "w");

	if (!out) {
		SKIP("no /dev/full");
		return;
	}
	CHECK_EQ(audit_print_table(out, &safe_report, 1), -EIO);
	CHECK_EQ(audit_print_json(out, &safe_report, 1), -EIO);
	(void)fclose(out); /* fails again */
}

int main(void)
{
	RUN(prints_a_table);
	RUN(prints_json);
	RUN(judges);
	RUN(tells_what_is_wrong_with_memory);
	RUN(escapes_names);
	RUN(audits_for_the_command);
	RUN(full_disks_are_told);
	return test_result();
}
