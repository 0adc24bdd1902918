/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When `caisson watch` reports, and its exit status, by a watcher and a clock of the test's: each
 * look takes as long, and finds, what the case says.
 */
#include "tool/watch.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "stack/watcher.h"
#include "tool/watch-alert.h"

#include "test.h"

static struct plan {
	int64_t look_ms;   /* how long a look takes */
	int64_t pace_ms;   /* all tasks are looked at as rarely, but for --once */
	int64_t hangs_for; /* ms, from the first look on; 0: nothing hangs */
	enum chain_end end;
	int fails_after; /* looks; 0: none fails */
	bool is_short, is_blind;
} plan;

#define BEGIN_MS 1000000

static int64_t now_ms = BEGIN_MS, end_ms, full_ms;
static int looks;
static uint32_t *reports; /* shared with the process that watches */

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_watcher_create(struct watcher **ret_watcher, const struct system *system,
			  int64_t stall_ms);
void __wrap_watcher_destroy(struct watcher *watcher);
int __wrap_watcher_look(struct watcher *watcher, int64_t at_ms);
void __wrap_alert_send(const struct alert *alert, const char *text);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	if (id != CLOCK_MONOTONIC)
		return __real_clock_gettime(id, ret);
	*ret = (struct timespec){ now_ms / 1000, now_ms % 1000 * 1000000 };
	return 0;
}

/* The watch waits for three files, and nobody else does here. Its signal comes at END_MS. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (count != 3)
		return __real_poll(fds, count, timeout);
	now_ms += timeout;
	if (now_ms < end_ms)
		return 0;
	fds[0].revents = POLLIN;
	return 1;
}

int __wrap_watcher_create(struct watcher **ret_watcher, const struct system *system,
			  int64_t stall_ms)
{
	static struct watcher watcher;

	watcher.system = *system;
	watcher.chains.stack = &watcher.stack;
	watcher.chains.flow = &watcher.flow;
	watcher.chains.waiters = &watcher.waiters;
	watcher.chains.stall_ms = stall_ms;
	CHECK_EQ(graph_create(&watcher.stack.graph, 1, 1, 64), 0);
	CHECK_EQ(graph_add(&watcher.stack.graph, NODE_PROCESS, 100, "server", ""), 0u);
	*ret_watcher = &watcher;
	return 0;
}

void __wrap_watcher_destroy(struct watcher *watcher)
{
	graph_destroy(&watcher->stack.graph);
}

int __wrap_watcher_look(struct watcher *watcher, int64_t at_ms)
{
	struct chains *chains = &watcher->chains;
	int64_t hung_ms = at_ms - BEGIN_MS;

	now_ms += plan.look_ms;
	if (plan.fails_after && ++looks > plan.fails_after)
		return -EIO;
	if (full_ms && at_ms < full_ms + plan.pace_ms && watcher->next_full_ms)
		return 0;
	full_ms = at_ms;
	watcher->next_full_ms = full_ms + plan.pace_ms;
	watcher->waiters.is_short = plan.is_short;
	watcher->waiters.is_blind = plan.is_blind;
	chains->now_ms = at_ms;
	chains->count = 0;
	if (hung_ms < chains->stall_ms || hung_ms >= plan.hangs_for)
		return 0;
	chains->chain[0] = (struct chain){
		.hops = { { .node = 0 } },
		.count = 1,
		.end = plan.end,
		.back = plan.end == END_CYCLE ? 0 : GRAPH_NONE,
		.for_ms = hung_ms,
	};
	chains->count = 1;
	return 0;
}

void __wrap_alert_send(const struct alert *alert, const char *text)
{
	(void)alert;
	CHECK(strstr(text, " for "));
	++*reports;
}

/* Watches as PLAN says, with a signal after SECONDS. Returns the exit status. */
static int watch(struct plan as, int seconds, const char *stall, const char *once)
{
	const char *const words[] = { "watch", stall, once, NULL };
	char *argv[ARRAY_SIZE(words)];
	int status;
	pid_t pid;

	*reports = 0;
	(void)fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		plan = as;
		end_ms = BEGIN_MS + seconds * 1000;
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			argv[i] = words[i] ? strdup(words[i]) : NULL;
		_exit(watch_command(once ? 3 : 2, argv));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define FOREVER INT64_MAX
#define LONG	3600 /* s */

static int once(struct plan as)
{
	return watch(as, LONG, "--stall=20", "--once");
}

/* Once: until it is known whether something hangs, however long a look takes. */
static void once_looks_long_enough(void)
{
	for (int64_t ms = 10; ms <= 10000; ms += 3330) {
		const struct plan slow = { .look_ms = ms, .pace_ms = 20000 };
		struct plan hang = slow;

		CHECK_EQ(once(slow), WATCH_FINE);
		CHECK_EQ(*reports, 0u);
		hang.hangs_for = FOREVER;
		hang.end = END_SERVER;
		CHECK_EQ(once(hang), WATCH_HANG);
		CHECK_EQ(*reports, 1u);
		hang.end = END_CYCLE;
		CHECK_EQ(once(hang), WATCH_CYCLE);
	}
}

static void once_says_that_it_cannot_know(void)
{
	CHECK_EQ(once((struct plan){ .fails_after = 1 }), WATCH_CANNOT);
	CHECK_EQ(once((struct plan){ .is_short = true }), WATCH_CANNOT);
	CHECK_EQ(once((struct plan){ .is_blind = true }), WATCH_CANNOT);
	CHECK_EQ(once((struct plan){ .look_ms = 50000 }), WATCH_CANNOT);
	/* what is seen then counts */
	CHECK_EQ(once((struct plan){ .is_short = true, .hangs_for = FOREVER, .end = END_CYCLE }),
		 WATCH_CYCLE);
}

/* Again each time that it has lasted twice as long, and if it comes again. */
static void reports_sparingly(void)
{
	static const enum chain_end ends[] = { END_DEVICE, END_SERVER };

	for (int64_t pace_ms = 900; pace_ms < 20000; pace_ms += 8000) {
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
			struct plan plan_ = { .pace_ms = pace_ms,
					      .hangs_for = FOREVER,
					      .end = ends[i] };

			CHECK_EQ(watch(plan_, 600, "--stall=5", NULL), WATCH_HANG);
			CHECK(*reports >= 3 && *reports <= 8);
			plan_.hangs_for = 0;
			CHECK_EQ(watch(plan_, 600, "--stall=5", NULL), WATCH_FINE);
			CHECK_EQ(*reports, 0u);
		}
	}
}

int main(void)
{
	reports = mmap(NULL, sizeof(*reports), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	CHECK(reports != MAP_FAILED);
	RUN(once_looks_long_enough);
	RUN(once_says_that_it_cannot_know);
	RUN(reports_sparingly);
	return test_result();
}
