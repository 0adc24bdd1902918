/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watches the machine's storage for what hangs. All memory, about 14 MiB, is allocated by
 * watcher_create(). One thread uses a watcher.
 *
 * A look reads the counters of devices and FUSE mounts, which is cheap. It reads all tasks as well
 * if requests may be stuck, and otherwise as often as a small share of a CPU's time allows.
 */
#ifndef CAISSON_WATCHER_H
#define CAISSON_WATCHER_H

#include "stack/chain.h"

struct watcher {
	struct system system;
	struct stack stack;
	struct flow flow;
	struct waiters waiters;
	struct chains chains;
	enum flow_state flow_state; /* at the last look */
	bool is_stale;	    /* mounts or swap areas have changed: set it, and the next look scans */
	int64_t scanned_ms; /* when the stack was read */
	int64_t next_full_ms; /* when to read all tasks again */
	int64_t next_scan_ms; /* when to read the stack again, if it is stale */
};

/* The directories of SYSTEM must stay open. Returns 0 or -errno. Starts threads. */
int watcher_create(struct watcher **ret_watcher, const struct system *system, int64_t stall_ms);
void watcher_destroy(struct watcher *watcher);

/*
 * Looks, at the time NOW_MS (clock_ms()); once a second. What hangs is then in `chains`. Returns 0
 * or -errno.
 */
int watcher_look(struct watcher *watcher, int64_t now_ms);

/* Whether the last look saw how many requests are under way at each FUSE mount, by fusectl. */
bool watcher_counts_fuse(const struct watcher *watcher);

#endif
