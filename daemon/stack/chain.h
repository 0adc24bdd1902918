/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who waits for whom: finds what hangs, follows it down through the stack to what it waits for, and
 * says whether that waits for it again.
 *
 * A place (a device, a FUSE mount) hangs if requests are under way there and none was answered for
 * the stall time; a task, if it hasn't run for that time. A process that serves such a place, or
 * something below it, or has such a task, is in a cycle if one of its tasks waits meanwhile for
 * what is above:
 *
 *   for fewer dirty pages, unless it is marked: those above can only be written through it;
 *   for memory, unless it is marked or swap is above: reclaim waits for what is above;
 *   for I/O, a lock or an answer of what is above, while no other task of it waits for work.
 *
 * A device is in a cycle if a worker of the kernel that does its I/O waits for memory, and swap is
 * above.
 *
 * zloop doesn't tell where its files are. If a zloop device hangs, they are taken to be on the FUSE
 * mount for whose answer a worker of it waits. As it may also send I/O without waiting, they are
 * otherwise taken to be on the one FUSE mount that has requests for which no task waits; that is a
 * guess, and is told as one.
 *
 * What waits for a place that gets on isn't told: that is only slow. Allocates nothing.
 */
#ifndef CAISSON_CHAIN_H
#define CAISSON_CHAIN_H

#include "stack/flow.h"
#include "stack/waiters.h"

#define CHAIN_HOPS_MAX	    32
#define CHAINS_MAX	    32
#define CHAINS_OF_TASKS_MAX 4 /* of these, of tasks that nothing else explains */
#define CHAIN_TEXT_SIZE	    2048
#define CHAIN_GUESS	    "guess" /* text of an edge of which nobody is sure */

enum chain_end {
	END_CYCLE,   /* the last task waits for `back`, which is above it */
	END_DEVICE,  /* the last node is a device that doesn't answer */
	END_STOPPED, /* the last process is stopped by a signal */
	END_FROZEN,  /* the last process is in a frozen control group */
	END_THAW,    /* the last node is a frozen filesystem */
	END_SERVER,  /* the last process doesn't answer; why can't be told */
	END_PEER,    /* the last node is another machine, which doesn't answer */
	END_NOBODY,  /* no process is seen that serves the last node */
	END_TASK,    /* what the last task waits for isn't known */
	END_KINDS,
};

/* A step: a task, or a node if that is NULL. */
struct hop {
	const struct waiter *waiter;
	uint32_t node;
};

struct chain {
	struct hop hops[CHAIN_HOPS_MAX];
	uint32_t count;
	enum chain_end end;
	uint32_t back;	/* for END_CYCLE, a node; otherwise GRAPH_NONE */
	int64_t for_ms; /* since when it hangs */
};

/* A FUSE mount with requests under way whose server is halted. */
struct halt {
	uint64_t number; /* of the mount's node */
	int64_t since_ms, seen_ms;
};

#define HALTS_MAX 16

struct chains {
	struct stack *stack; /* its graph gains what is only seen while something hangs */
	const struct flow *flow;
	const struct waiters *waiters;
	int64_t now_ms, stall_ms;
	struct chain chain[CHAINS_MAX];
	uint32_t count, of_tasks;
	uint32_t left_off; /* for which there was no room */
	bool gets_on;	   /* a device of the machine answers requests */
	struct halt halts[HALTS_MAX];
	uint32_t halt_count;
	uint8_t *above; /* room for a byte for each of stack's nodes, twice */
	uint8_t *seen;
};

/*
 * Finds all that hangs, by what was seen at the last look. The cycles come first. If no file can be
 * opened, only cycles are found, by tasks that wait for memory or for fewer dirty pages.
 */
void chains_find(struct chains *chains);

/* Writes CHAIN as a sentence to TEXT, such as "CYCLE for 22 s: fio(812) writes xfs ...". */
void chain_text(const struct chains *chains, const struct chain *chain, char *text, size_t size);

/* "cycle", "device" ... */
const char *chain_end_name(enum chain_end end);

/* --- for the files chain*.c --- */

/* Whether WAITER was there at the last look. One that is throttled or reclaims memory wakes up. */
bool chain_is_there(const struct chains *chains, const struct waiter *waiter);

/* A task that has waited for a good part of the stall, at whatever moment of it that began. */
bool chain_waits_long(const struct chains *chains, const struct waiter *waiter);

/* Since when no request was answered at NODE, or 0 if all is well there. */
int64_t chain_stuck_since(const struct chains *chains, uint32_t node);

/* Whether that is longer than the stall time. */
bool chain_is_stuck(const struct chains *chains, uint32_t node);

/* Of the nodes that MARKED marks, the one that is stuck for the longest time, or GRAPH_NONE. */
uint32_t chain_most_stuck(const struct chains *chains, const uint8_t *marked);

/* Requests that are under way at NODE. */
uint64_t chain_under_way(const struct chains *chains, uint32_t node);

/* Of these, those of the lanes (flow.h) that don't get on. */
uint64_t chain_stuck_requests(const struct chains *chains, uint32_t node);

/* Whether NODE is a FUSE mount that has had requests under way for the stall time. */
bool chain_is_loaded(const struct chains *chains, uint32_t node);

/* Whether a device answers requests. A throttled control group may have none under way. */
bool chain_gets_on(const struct chains *chains, uint32_t node);

/* Adds to the graph where the files of the zloop devices are that hang, as far as that is seen. */
void chain_find_zloop_files(struct chains *chains);

#endif
