/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"

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
	*place = (struct place){ .kind = node->kind, .number = node->number, .fd = -1 };
	return place;
}

/* The file with the counters of NODE, a device or a FUSE mount. */
static struct system_path file_of(const struct node *node)
{
	if (node->kind == NODE_DEVICE)
		return system_path("sys/dev/block/%u:%u/stat", major(node->number),
				   minor(node->number));
	return system_path("sys/fs/fuse/connections/%u/waiting",
			   stack_fuse_connection(node->number));
}

static void close_file(struct flow *flow, struct place *place)
{
	flow->files -= place->fd >= 0;
	close_fd(&place->fd);
}

/* Opens the file of PLACE, and reads it into TEXT. Returns its length or -errno. */
static ssize_t open_file(struct flow *flow, const struct stack *stack, const struct node *node,
			 struct place *place, char *text, size_t size)
{
	struct system_path path = file_of(node);

	if (node->kind != NODE_DEVICE || flow->files == flow->files_max)
		return reader_read(stack->reader, path.text, 0, text, size);
	place->fd = reader_open(stack->reader, path.text);
	if (place->fd < 0)
		return place->fd;
	flow->files++;
	return system_read_open(place->fd, text, size);
}

/* The counters of PLACE as TEXT. Returns their length or -errno: -ETIMEDOUT without MAY_OPEN. */
static ssize_t read_file(struct flow *flow, const struct stack *stack, const struct node *node,
			 struct place *place, bool may_open, char *text, size_t size)
{
	ssize_t len = place->fd < 0 ? 0 : system_read_open(place->fd, text, size);

	if (len > 0)
		return len;
	close_file(flow, place); /* of a device that is gone; its number may be another's now */
	return may_open ? open_file(flow, stack, node, place, text, size) : -ETIMEDOUT;
}

struct counters {
	uint64_t under_way, done, sectors;
};

/*
 * Of a device's line: reads, writes and discards done, with the sectors of each; requests under
 * way. The kernel counts a flush as an empty write, and once more as a flush.
 */
static bool parse_device(const char *text, struct counters *ret_counters)
{
	uint64_t done[3] = { 0 }, sectors[3] = { 0 }, under_way;

	if (sscanf(text,
		   "%" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64
		   " %*u %*u %" SCNu64 " %*u %" SCNu64,
		   &done[0], &sectors[0], &done[1], &sectors[1], &under_way, &done[2],
		   &sectors[2]) < 5)
		return false;
	*ret_counters = (struct counters){
		.under_way = under_way,
		.done = done[0] + done[1] + done[2],
		.sectors = sectors[0] + sectors[1] + sectors[2],
	};
	return true;
}

static bool parse_fuse(const char *text, struct counters *ret_counters)
{
	char *end;
	long long waiting = strtoll(text, &end, 10);

	*ret_counters = (struct counters){ .under_way = waiting > 0 ? (uint64_t)waiting : 0 };
	return end != text;
}

/*
 * Whether PLACE gets on by COUNTERS: data was moved; or as many empty requests were done as were
 * under way at since_ms. Fewer can't be all of those: dm-zoned sends a flush every ten seconds,
 * which is done while the writes hang.
 */
static bool gets_on(const struct place *place, const struct counters *counters)
{
	if (place->sectors != counters->sectors)
		return true;
	if (!place->since_ms)
		return place->done != counters->done;
	return counters->done - place->since_done >= place->since_under_way;
}

static void set_counters(struct place *place, const struct counters *counters, int64_t now_ms)
{
	bool moved = gets_on(place, counters);

	if (place->seen_ms && moved)
		place->moved_ms = now_ms;
	if (!counters->under_way) {
		place->since_ms = 0;
	} else if (moved || !place->seen_ms || !place->since_ms) {
		place->since_ms = now_ms;
		place->since_under_way = counters->under_way;
		place->since_done = counters->done;
	}
	place->under_way = counters->under_way;
	place->done = counters->done;
	place->sectors = counters->sectors;
	place->seen_ms = now_ms;
}

/* The counters of PLACE can't be read now. Nobody knows whether its device gets on. */
static void keep(struct place *place, int64_t now_ms)
{
	if (place->seen_ms)
		place->seen_ms = now_ms;
	if (place->kind == NODE_DEVICE)
		place->since_ms = 0;
}

static bool look_at(struct flow *flow, const struct stack *stack, const struct node *node,
		    int64_t now_ms, bool may_open)
{
	struct place *place = place_of(flow, node);
	struct counters counters;
	char text[256];
	ssize_t len;

	if (!place)
		return false;
	len = read_file(flow, stack, node, place, may_open, text, sizeof(text));
	if (len > 0 && (node->kind == NODE_DEVICE ? parse_device(text, &counters)
						  : parse_fuse(text, &counters)))
		set_counters(place, &counters, now_ms);
	else if (reader_is_late(len))
		keep(place, now_ms);
	return place->since_ms && now_ms - place->since_ms >= STUCK_MS;
}

/* Forgets devices and mounts that are gone. */
static void forget_old(struct flow *flow, int64_t now_ms)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < flow->count; i++) {
		if (flow->place[i].seen_ms == now_ms)
			flow->place[kept++] = flow->place[i];
		else
			close_file(flow, &flow->place[i]);
	}
	flow->count = kept;
}

void flow_clear(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->count; i++)
		close_file(flow, &flow->place[i]);
	flow->count = 0;
}

bool flow_look(struct flow *flow, const struct stack *stack, int64_t now_ms, bool may_open)
{
	bool may_be_stuck = false;

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		if (node->kind == NODE_DEVICE || stack_is_fuse(node))
			may_be_stuck |= look_at(flow, stack, node, now_ms, may_open);
	}
	forget_old(flow, now_ms);
	return may_be_stuck;
}
