/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/flow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/macro.h"

/* Less is nothing to be looked at. */
#define STUCK_MS 2000

static struct place *find(struct flow *flow, const struct node *node)
{
	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->place[i].kind == node->kind && flow->place[i].number == node->number)
			return &flow->place[i];
	}
	return NULL;
}

const struct place *flow_of(const struct flow *flow, const struct node *node)
{
	return find((struct flow *)flow, node);
}

uint64_t flow_under_way(const struct place *place)
{
	uint64_t under_way = 0;

	for (int i = 0; i < LANES; i++)
		under_way += place->lane[i].last.under_way;
	return under_way;
}

/* The place of NODE, which is added if it is new; NULL without room. */
static struct place *place_of(struct flow *flow, const struct node *node)
{
	struct place *place = find(flow, node);

	if (place || flow->count == FLOW_MAX)
		return place;
	place = &flow->place[flow->count++];
	*place = (struct place){
		.kind = node->kind,
		.number = node->number,
		.done_fd = -1,
		.under_way_fd = -1,
	};
	return place;
}

/* --- files --- */

static void close_file(struct flow *flow, int *fd)
{
	flow->files -= *fd >= 0;
	close_fd(fd);
}

static void close_files(struct flow *flow, struct place *place)
{
	close_file(flow, &place->done_fd);
	close_file(flow, &place->under_way_fd);
}

/*
 * Reads a device's file NAME, which stays open as *FD if there is room. Returns its length or
 * -errno: -ETIMEDOUT without MAY_OPEN, if it isn't open.
 */
static ssize_t read_file(struct flow *flow, const struct stack *stack, const struct node *node,
			 const char *name, int *fd, bool may_open, char *text, size_t size)
{
	ssize_t len = *fd < 0 ? 0 : system_read_open(*fd, text, size);
	struct system_path path = system_path("sys/dev/block/%u:%u/%s", major(node->number),
					      minor(node->number), name);

	if (len > 0)
		return len;
	close_file(flow, fd); /* of a device that is gone; its number may be another's now */
	if (!may_open)
		return -ETIMEDOUT;
	if (flow->files == flow->files_max)
		return reader_read(stack->reader, path.text, 0, text, size);
	*fd = reader_open(stack->reader, path.text);
	if (*fd < 0)
		return *fd;
	flow->files++;
	return system_read_open(*fd, text, size);
}

static struct counters sum(const struct counters *one, const struct counters *other)
{
	return (struct counters){
		.done = one->done + other->done,
		.sectors = one->sectors + other->sectors,
		.took_ms = one->took_ms + other->took_ms,
	};
}

/*
 * Reads, writes and discards that are done, and all requests under way as those of LANE_OTHER. A
 * flush that is done is an empty write, too.
 */
static bool parse_stat(const char *text, struct counters counters[static LANES])
{
	struct counters *reads = &counters[LANE_READ], *writes = &counters[LANE_WRITE];
	struct counters discards = { 0 };
	uint64_t under_way;

	if (sscanf(text,
		   "%" SCNu64 " %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %*u %*u %" SCNu64 " %*u %" SCNu64 " %" SCNu64,
		   &reads->done, &reads->sectors, &reads->took_ms, &writes->done, &writes->sectors,
		   &writes->took_ms, &under_way, &discards.done, &discards.sectors,
		   &discards.took_ms) < 7)
		return false;
	*writes = sum(writes, &discards);
	counters[LANE_OTHER] = sum(reads, writes);
	counters[LANE_OTHER].under_way = under_way;
	return true;
}

/* Reads and writes that a device's driver has. */
static bool parse_inflight(const char *text, struct counters counters[static LANES])
{
	uint64_t reads, writes, *others = &counters[LANE_OTHER].under_way;

	if (sscanf(text, "%" SCNu64 " %" SCNu64, &reads, &writes) != 2)
		return false;
	counters[LANE_READ].under_way = reads;
	counters[LANE_WRITE].under_way = writes;
	*others -= MIN(*others, reads + writes); /* it was read earlier */
	return true;
}

/* Returns 1 or -errno; or 0 if the kernel tells something else. What is done is read first. */
static ssize_t read_device(struct flow *flow, const struct stack *stack, const struct node *node,
			   struct place *place, bool may_open,
			   struct counters counters[static LANES])
{
	char text[256];
	ssize_t len =
		read_file(flow, stack, node, "stat", &place->done_fd, may_open, text, sizeof(text));

	if (len <= 0 || !parse_stat(text, counters))
		return MIN(len, 0);
	len = read_file(flow, stack, node, "inflight", &place->under_way_fd, may_open, text,
			sizeof(text));
	return len <= 0 ? len : parse_inflight(text, counters);
}

/* The same of a FUSE mount. */
static ssize_t read_fuse(const struct stack *stack, const struct node *node,
			 struct counters counters[static LANES])
{
	struct system_path path = system_path("sys/fs/fuse/connections/%u/waiting",
					      stack_fuse_connection(node->number));
	long long waiting;
	char text[64], *end;
	ssize_t len = reader_read(stack->reader, path.text, 0, text, sizeof(text));

	if (len <= 0)
		return len;
	waiting = strtoll(text, &end, 10);
	counters[LANE_READ].under_way = waiting > 0 ? (uint64_t)waiting : 0;
	return end != text;
}

/* --- what gets on --- */

/*
 * Whether requests get on by COUNTERS: data was moved; or some were done, and took so long that
 * they may be what was under way all the time. Otherwise something else was: dm-zoned has a flush
 * done every ten seconds while its writes hang.
 */
static bool gets_on(const struct lane_state *lane, const struct counters *counters, int64_t now_ms)
{
	uint64_t took_ms = counters->took_ms - lane->since_took_ms;

	if (lane->last.sectors != counters->sectors)
		return true;
	if (lane->last.done == counters->done)
		return false;
	return !lane->since_ms || 2 * took_ms >= (uint64_t)(now_ms - lane->since_ms);
}

/* Returns whether requests got on. */
static bool set_lane(struct lane_state *lane, const struct counters *counters, int64_t now_ms)
{
	bool moved = gets_on(lane, counters, now_ms);

	if (!counters->under_way) {
		lane->since_ms = 0;
	} else if (moved || !lane->since_ms) {
		lane->since_ms = now_ms;
		lane->since_took_ms = counters->took_ms;
	}
	lane->last = *counters;
	return moved;
}

static void set_counters(struct place *place, const struct counters counters[static LANES],
			 int64_t now_ms)
{
	bool moved = false;

	place->since_ms = 0;
	for (int i = 0; i < LANES; i++) {
		struct lane_state *lane = &place->lane[i];

		moved |= set_lane(lane, &counters[i], now_ms);
		if (lane->since_ms && (!place->since_ms || lane->since_ms < place->since_ms))
			place->since_ms = lane->since_ms;
	}
	if (place->seen_ms && moved)
		place->moved_ms = now_ms;
	place->seen_ms = now_ms;
}

/* The counters of PLACE can't be read now. Nobody knows whether its device gets on. */
static void keep(struct place *place, int64_t now_ms)
{
	if (place->seen_ms)
		place->seen_ms = now_ms;
	if (place->kind != NODE_DEVICE)
		return;
	place->since_ms = 0;
	for (int i = 0; i < LANES; i++)
		place->lane[i].since_ms = 0;
}

static enum flow_state look_at(struct flow *flow, const struct stack *stack,
			       const struct node *node, int64_t now_ms, bool may_open)
{
	struct place *place = place_of(flow, node);
	struct counters counters[LANES] = { 0 };
	ssize_t r = -ETIMEDOUT;

	if (!place)
		return FLOW_FINE;
	if (node->kind == NODE_DEVICE)
		r = read_device(flow, stack, node, place, may_open, counters);
	else if (may_open)
		r = read_fuse(stack, node, counters);
	if (r > 0)
		set_counters(place, counters, now_ms);
	else if (reader_is_late(r))
		keep(place, now_ms);
	if (!place->since_ms || now_ms - place->since_ms < STUCK_MS)
		return FLOW_FINE;
	return node->kind == NODE_DEVICE ? FLOW_STUCK : FLOW_LOADED;
}

/* Forgets devices and mounts that are gone. */
static void forget_old(struct flow *flow, int64_t now_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->place[i].seen_ms == now_ms)
			flow->place[kept++] = flow->place[i];
		else
			close_files(flow, &flow->place[i]);
	}
	flow->count = kept;
}

void flow_clear(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->count; i++)
		close_files(flow, &flow->place[i]);
	flow->count = 0;
}

enum flow_state flow_look(struct flow *flow, const struct stack *stack, int64_t now_ms,
			  bool may_open)
{
	enum flow_state worst = FLOW_FINE;

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		if (node->kind == NODE_DEVICE || stack_is_fuse(node))
			worst = MAX(worst, look_at(flow, stack, node, now_ms, may_open));
	}
	forget_old(flow, now_ms);
	return worst;
}
