/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the files of a zloop device are, which the kernel doesn't tell: by who waits for them while
 * the device hangs. Each scan makes the graph anew, so the edges are looked for at each look.
 */
#include <string.h>

#include "stack/chain.h"

/* Whether a task that isn't the kernel's is seen to wait at NODE. */
static bool has_client(const struct chains *chains, uint32_t node)
{
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (waiter->place == node && !waiter_is_of_kernel(waiter))
			return true;
	}
	return false;
}

static bool is_zloop(const struct node *node)
{
	return node->kind == NODE_DEVICE && strcmp(node->type, "zloop") == 0;
}

/* Whether a device that isn't zloop's has files on NODE. */
static bool has_device(const struct graph *graph, uint32_t node)
{
	graph_each_upper (graph, node, edge) {
		if (edge->kind == EDGE_FILE && !is_zloop(&graph->nodes[edge->upper]))
			return true;
	}
	return false;
}

/*
 * The one FUSE mount that is loaded, where nobody is seen to wait and only zloop devices may have
 * files; or GRAPH_NONE.
 */
static uint32_t mount_without_clients(const struct chains *chains)
{
	const struct graph *graph = &chains->stack->graph;
	uint32_t found = GRAPH_NONE;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (!chain_is_loaded(chains, i) || has_client(chains, i) || has_device(graph, i))
			continue;
		if (found != GRAPH_NONE)
			return GRAPH_NONE;
		found = i;
	}
	return found;
}

/* The FUSE mount for whose answer a worker of the device NODE waits, or GRAPH_NONE. */
static uint32_t mount_of_worker(const struct chains *chains, uint32_t node)
{
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (waiter->wait.kind == WAIT_FUSE && waiter_is_of_kernel(waiter) &&
		    waiter_device(chains->stack, waiter) == node)
			return waiter->place;
	}
	return GRAPH_NONE;
}

void chain_find_zloop_files(struct chains *chains)
{
	struct graph *graph = &chains->stack->graph;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		uint32_t mount;

		if (!is_zloop(&graph->nodes[i]) || graph->nodes[i].first_lower != GRAPH_NONE ||
		    !chain_is_stuck(chains, i))
			continue;
		mount = mount_of_worker(chains, i);
		if (mount == GRAPH_NONE)
			mount = mount_without_clients(chains);
		graph_connect(graph, EDGE_FILE, i, mount, "");
	}
}
