/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysmacros.h>

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

/* The place of NODE, which is added if it is new; NULL without room. */
static struct place *place_of(struct flow *flow, const struct node *node)
{
	struct place *place = find(flow, node);

	if (place || flow->count == FLOW_MAX)
		return place;
	place = &flow->place[flow->count++];
	*place = (struct place){ .kind = node->kind, .number = node->number };
	return place;
}

/* Of a device's line of counters: reads, writes, discards and flushes done; requests under way. */
static bool read_device(const struct system *system, dev_t dev, uint64_t *ret_under_way,
			uint64_t *ret_done)
{
	uint64_t reads, writes, under_way, discards = 0, flushes = 0;
	char text[256];

	if (system_read(system, PATH("sys/dev/block/%u:%u/stat", major(dev), minor(dev)), text,
			sizeof(text)) < 0 ||
	    sscanf(text,
		   "%" SCNu64 " %*u %*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64 " %*u %*u %" SCNu64
		   " %*u %*u %*u %" SCNu64,
		   &reads, &writes, &under_way, &discards, &flushes) < 3)
		return false;
	*ret_under_way = under_way;
	*ret_done = reads + writes + discards + flushes;
	return true;
}

static bool read_place(const struct system *system, const struct node *node,
		       uint64_t *ret_under_way, uint64_t *ret_done)
{
	int64_t waiting;

	if (node->kind == NODE_DEVICE)
		return read_device(system, node->number, ret_under_way, ret_done);
	/* the directory is named by the device number, of which the major number is 0 */
	if (!stack_is_fuse(node) ||
	    system_number(system, PATH("sys/fs/fuse/connections/%u/waiting", minor(node->number)),
			  &waiting) < 0)
		return false;
	*ret_under_way = waiting > 0 ? (uint64_t)waiting : 0;
	*ret_done = 0;
	return true;
}

static bool look_at(struct flow *flow, const struct stack *stack, const struct node *node,
		    int64_t now_ms)
{
	uint64_t under_way, done;
	struct place *place;

	if (!read_place(stack->system, node, &under_way, &done))
		return false;
	place = place_of(flow, node);
	if (!place)
		return false;
	if (place->seen_ms && place->done != done)
		place->moved_ms = now_ms;
	if (!under_way || place->done != done || !place->seen_ms)
		place->since_ms = under_way ? now_ms : 0;
	else if (!place->since_ms)
		place->since_ms = now_ms;
	place->under_way = under_way;
	place->done = done;
	place->seen_ms = now_ms;
	return place->since_ms && now_ms - place->since_ms >= STUCK_MS;
}

/* Forgets devices and mounts that are gone. */
static void forget_old(struct flow *flow, int64_t now_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->place[i].seen_ms == now_ms)
			flow->place[kept++] = flow->place[i];
	}
	flow->count = kept;
}

bool flow_look(struct flow *flow, const struct stack *stack, int64_t now_ms)
{
	bool may_be_stuck = false;

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		if (node->kind == NODE_DEVICE || node->kind == NODE_FILESYSTEM)
			may_be_stuck |= look_at(flow, stack, node, now_ms);
	}
	forget_old(flow, now_ms);
	return may_be_stuck;
}
