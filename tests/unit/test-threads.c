/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's threads: the order in which each makes itself ready. None runs before all are.
 * Dropping capabilities and the log are made up here.
 */
#include "serve/threads.h"

#include <errno.h>
#include <stdarg.h>

#include "base/log.h"
#include "store/privdrop.h"
#include "test.h"

#define THREADS 3

static _Atomic uint32_t prepared, ran, lines;
static char last_line[256];
static uint32_t first_bad; /* the number from which on threads can't prepare themselves */
static int context;
static _Thread_local int stage;

int privdrop_thread(void)
{
	CHECK(stage <= 1); /* a role without steps comes here first */
	stage = 2;
	return 0;
}

void log_message(enum log_level level, const char *format, ...)
{
	va_list args;

	CHECK_EQ(level, LOG_LEVEL_FAIL);
	va_start(args, format);
	vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	lines++;
}

static int before(void *arg, uint32_t number)
{
	CHECK(arg == &context && number < THREADS);
	CHECK_EQ(stage, 0);
	stage = 1;
	return number < first_bad ? 0 : -EIO;
}

static int after(void *arg, uint32_t number)
{
	CHECK(arg == &context && number < THREADS);
	CHECK_EQ(stage, 2);
	stage = 3;
	prepared++;
	return 0;
}

static void run(void *arg, uint32_t number)
{
	CHECK(arg == &context && number < THREADS);
	CHECK_EQ(stage, 3);
	CHECK_EQ(prepared, (uint32_t)THREADS);
	ran++;
}

static void run_plain(void *arg, uint32_t number)
{
	CHECK(arg == &context && number == 0);
	CHECK_EQ(stage, 2);
	CHECK_EQ(prepared, (uint32_t)THREADS);
	ran++;
}

static const struct thread_role role = {
	.name = "role",
	.before = { "begin", before },
	.after = { "go on", after },
	.run = run,
};
static const struct thread_role plain = { .name = "plain", .run = run_plain };

static void make(struct threads *threads, uint32_t bad_from)
{
	prepared = ran = lines = 0;
	first_bad = bad_from;
	CHECK_EQ(threads_init(threads, THREADS + 1, &context), 0);
	CHECK_EQ(threads_start(threads, &role, THREADS), 0);
	CHECK_EQ(threads_start(threads, &plain, 1), 0);
}

static void end(struct threads *threads)
{
	threads_join(threads, &plain);
	threads_join(threads, &role);
	threads_join(threads, &role); /* each is joined once */
	threads_destroy(threads);
	CHECK(!threads->all);
}

static void runs_when_all_are_ready(void)
{
	struct threads threads;

	make(&threads, THREADS);
	CHECK_EQ(threads_wait_ready(&threads), 0);
	CHECK_EQ(prepared, (uint32_t)THREADS);
	CHECK_EQ(ran, 0u);
	threads_let_go(&threads);
	threads_give_up(&threads); /* too late */
	end(&threads);
	CHECK_EQ(ran, THREADS + 1u);
	CHECK_EQ(lines, 0u);
}

static void one_failure_is_everybodys_and_told_once(void)
{
	struct threads threads;

	make(&threads, 1);
	CHECK_EQ(threads_wait_ready(&threads), -EIO);
	threads_give_up(&threads);
	end(&threads);
	CHECK_EQ(ran, 0u);
	CHECK_EQ(lines, 1u);
	CHECK(strncmp(last_line, "thread role-", strlen("thread role-")) == 0);
	CHECK(strstr(last_line, ": begin: "));
}

/* Given up before the threads have come to the gate. */
static void gives_up_early(void)
{
	struct threads threads;

	make(&threads, THREADS);
	threads_give_up(&threads);
	end(&threads);
	CHECK_EQ(prepared, (uint32_t)THREADS);
	CHECK_EQ(ran, 0u);
}

int main(void)
{
	RUN(runs_when_all_are_ready);
	RUN(one_failure_is_everybodys_and_told_once);
	RUN(gives_up_early);
	return test_result();
}
