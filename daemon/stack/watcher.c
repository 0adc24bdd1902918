/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/macro.h"

/* The stack is read again after this time, in case something was changed that nothing tells. */
#define SCAN_MS 120000

/*
 * One part in so many of a CPU's time is for reading tasks: when all is well, if tasks wait, and if
 * requests may be stuck.
 */
#define IDLE_SHARE  400
#define WAIT_SHARE  25
#define STUCK_SHARE 10
#define LOOK_MIN_MS 900 /* a look a second */
#define LOOK_MAX_MS 20000

/* While something hangs, the stack is read again after this time: its server may be another now. */
#define RESCAN_MS 10000

/* Of the descriptors that this process may have, a part for counters, and one for tasks. */
#define FILES_PART 4

static uint32_t files_max(void)
{
	struct rlimit limit = { 0 };

	(void)getrlimit(RLIMIT_NOFILE, &limit); /* can't fail */
	return (uint32_t)MIN(limit.rlim_cur, (rlim_t)4 * FLOW_MAX) / FILES_PART;
}

static void destroy(struct watcher *watcher)
{
	waiters_destroy(&watcher->waiters);
	flow_clear(&watcher->flow);
	stack_destroy(&watcher->stack);
	free(watcher->chains.above);
	free(watcher->chains.seen);
	free(watcher);
}

int watcher_create(struct watcher **ret_watcher, const struct system *system, int64_t stall_ms)
{
	struct watcher *watcher = calloc(1, sizeof(*watcher));
	int r = -ENOMEM;

	if (!watcher)
		return r;
	watcher->system = *system;
	watcher->is_stale = true;
	r = stack_create(&watcher->stack, &watcher->system);
	watcher->chains = (struct chains){
		.stack = &watcher->stack,
		.flow = &watcher->flow,
		.waiters = &watcher->waiters,
		.stall_ms = stall_ms,
		.above = r < 0 ? NULL : calloc(watcher->stack.graph.node_max, 1),
		.seen = r < 0 ? NULL : calloc(watcher->stack.graph.node_max, 1),
	};
	watcher->stack.without_forks = true;
	watcher->waiters.stack = &watcher->stack;
	watcher->waiters.flow = &watcher->flow;
	watcher->flow.files_max = files_max();
	if (r == 0 && (!watcher->chains.above || !watcher->chains.seen))
		r = -ENOMEM;
	if (r == 0)
		r = waiters_create(&watcher->waiters, files_max());
	if (r == 0)
		*ret_watcher = watcher;
	else
		destroy(watcher);
	return r;
}

void watcher_destroy(struct watcher *watcher)
{
	if (watcher)
		destroy(watcher);
}

bool watcher_counts_fuse(const struct watcher *watcher)
{
	for (uint32_t i = 0; i < watcher->stack.graph.node_count; i++) {
		const struct node *node = &watcher->stack.graph.nodes[i];

		if (stack_is_fuse(node) && !flow_of(&watcher->flow, node))
			return false;
	}
	return true;
}

/* Whether a FUSE mount has requests under way, or its count can't be read. */
static bool may_have_sleepers(const struct watcher *watcher)
{
	for (uint32_t i = 0; i < watcher->stack.graph.node_count; i++) {
		const struct node *node = &watcher->stack.graph.nodes[i];
		const struct place *place = flow_of(&watcher->flow, node);

		if (stack_is_fuse(node) && (!place || flow_under_way(place)))
			return true;
	}
	return false;
}

/* CPU time of this process. */
static int64_t used_ms(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used); /* can't fail for this clock */
	return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* Until when to rest after work that took USED_MS, of which one part in SHARE may be such work. */
static int64_t rest_after(int64_t used_ms, int64_t share)
{
	return MAX(LOOK_MIN_MS, MIN(LOOK_MAX_MS, used_ms * share));
}

static int scan(struct watcher *watcher, int64_t now_ms)
{
	int64_t used = used_ms();
	int r;

	stack_clear(&watcher->stack);
	r = stack_scan(&watcher->stack);
	if (r < 0)
		return r;
	watcher->is_stale = false;
	watcher->scanned_ms = now_ms;
	watcher->next_scan_ms = now_ms + rest_after(used_ms() - used, IDLE_SHARE);
	waiters_place(&watcher->waiters);
	return 0;
}

/* Of a CPU's time, for reading tasks. */
static int64_t share_of(const struct watcher *watcher)
{
	if (watcher->flow_state == FLOW_STUCK)
		return STUCK_SHARE;
	return watcher->flow_state == FLOW_LOADED || watcher->waiters.count ? WAIT_SHARE
									    : IDLE_SHARE;
}

static int look_at_tasks(struct watcher *watcher, int64_t now_ms)
{
	int64_t used = used_ms(), rest;
	int r;

	watcher->chains.now_ms = now_ms;
	watcher->waiters.with_sleepers = may_have_sleepers(watcher);
	r = waiters_look(&watcher->waiters, now_ms);
	if (r < 0)
		return r;
	chains_find(&watcher->chains);
	rest = rest_after(used_ms() - used, share_of(watcher));
	if (watcher->waiters.is_short) /* the time is what the kernel took to look for memory */
		rest = LOOK_MIN_MS;
	watcher->next_full_ms = now_ms + rest;
	return 0;
}

/* Whether some place has come to be stuck for the stall time since all tasks were looked at. */
static bool is_newly_stuck(const struct watcher *watcher, int64_t now_ms)
{
	const struct chains *chains = &watcher->chains;

	for (uint32_t i = 0; i < watcher->flow.count; i++) {
		int64_t since_ms = watcher->flow.place[i].since_ms;

		if (since_ms && now_ms - since_ms >= chains->stall_ms &&
		    chains->now_ms - since_ms < chains->stall_ms)
			return true;
	}
	return false;
}

/* Whether it is time to read the stack again. */
static bool is_scan_due(const struct watcher *watcher, int64_t now_ms)
{
	int64_t age_ms = now_ms - watcher->scanned_ms;

	return ((watcher->is_stale && now_ms >= watcher->next_scan_ms) || age_ms > SCAN_MS) &&
	       waiters_may_open(&watcher->waiters);
}

/* The same while something hangs. */
static bool is_rescan_due(const struct watcher *watcher, int64_t now_ms)
{
	return watcher->chains.count && now_ms - watcher->scanned_ms > RESCAN_MS &&
	       now_ms >= watcher->next_scan_ms && waiters_may_open(&watcher->waiters);
}

int watcher_look(struct watcher *watcher, int64_t now_ms)
{
	bool is_due = now_ms >= watcher->next_full_ms;
	enum flow_state before = watcher->flow_state;
	int r = 0;

	if (is_scan_due(watcher, now_ms)) {
		is_due = true; /* the chains name nodes of what was read before */
		r = scan(watcher, now_ms);
	}
	if (r < 0)
		return r;
	watcher->flow_state =
		flow_look(&watcher->flow, &watcher->stack, now_ms, !watcher->waiters.is_short);
	/* at once, so that it is known since when tasks have waited */
	is_due |= watcher->flow_state > before || is_newly_stuck(watcher, now_ms);
	if (!is_due)
		return 0;
	r = look_at_tasks(watcher, now_ms);
	if (r < 0 || !is_rescan_due(watcher, now_ms))
		return r;
	r = scan(watcher, now_ms);
	chains_find(&watcher->chains);
	return r;
}
