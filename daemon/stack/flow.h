/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How requests flow through the block devices and FUSE mounts of a stack: how many are under way,
 * and since when none gets on. Reads and writes are told apart: one kind may hang while the other
 * goes on. Read from files of /sys; those of devices stay open, as there may be no memory to open
 * them when it matters. Those of FUSE can be read only once. One thread uses a flow.
 */
#ifndef CAISSON_FLOW_H
#define CAISSON_FLOW_H

#include "stack/stack.h"

#define FLOW_MAX 4096

/*
 * Requests are counted apart that may hang while others go on. OTHER are flushes, and what the
 * driver doesn't have yet: for these, all that is done counts.
 */
enum lane { LANE_READ, LANE_WRITE, LANE_OTHER, LANES };

/* What the kernel counts of requests. Discards are writes. */
struct counters {
	uint64_t under_way, done;
	uint64_t sectors, took_ms; /* that those which are done have moved, and took in all */
};

struct lane_state {
	struct counters last;
	int64_t since_ms;	/* since when requests are under way and don't get on, or 0 */
	uint64_t since_took_ms; /* what those had taken that were done then */
};

struct place {
	enum node_kind kind;	       /* NODE_DEVICE, or NODE_FILESYSTEM for a FUSE mount */
	uint64_t number;	       /* of the node */
	struct lane_state lane[LANES]; /* a FUSE mount has one, of which only under_way is told */
	int64_t since_ms;	       /* the older of its lanes', or 0 */
	int64_t moved_ms;	       /* when it was last seen that some got on, or 0 */
	int64_t seen_ms;
	int done_fd, under_way_fd; /* a device's files, if they stay open; or -1 */
};

struct flow {
	struct place place[FLOW_MAX];
	uint32_t count;
	uint32_t files, files_max; /* that are open, that may be */
};

/* For two seconds requests were under way, and none got on as far as is known. */
enum flow_state {
	FLOW_FINE,   /* nowhere */
	FLOW_LOADED, /* at a FUSE mount, whose answers the kernel doesn't count */
	FLOW_STUCK,  /* at a device */
};

/*
 * Reads the counters of all devices and FUSE mounts of STACK, at the time NOW_MS; without MAY_OPEN,
 * only those that are open, and the others stay as they are.
 */
enum flow_state flow_look(struct flow *flow, const struct stack *stack, int64_t now_ms,
			  bool may_open);

/* Closes what is open, and forgets all. */
void flow_clear(struct flow *flow);

/* The counters of NODE, or NULL. */
const struct place *flow_of(const struct flow *flow, const struct node *node);

/* Requests under way at PLACE. */
uint64_t flow_under_way(const struct place *place);

#endif
