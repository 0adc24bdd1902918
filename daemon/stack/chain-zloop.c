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
 * The one FUSE mount not above the device NODE that is loaded, where nobody is seen to wait and
 * only zloop devices may have files; or GRAPH_NONE. `above` is overwritten.
 */
static uint32_t mount_without_clients(const struct chains *chains, uint32_t node)
{
	const struct graph *graph = &chains->stack->graph;
	uint32_t found = GRAPH_NONE;

	memset(chains->above, 0, graph->node_count);
	graph_mark_upper(graph, node, chains->above);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (!chain_is_loaded(chains, i) || has_client(chains, i) || has_device(graph, i) ||
		    chains->above[i])
			continue;
		if (found != GRAPH_NONE)
			return GRAPH_NONE;
		found = i;
	}
	return found;
}

/* A worker of the device NODE that waits, for an answer of FUSE if one does; or NULL. */
static const struct waiter *worker_of(const struct chains *chains, uint32_t node)
{
	const struct waiter *found = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (!waiter_is_of_kernel(waiter) || waiter_device(chains->stack, waiter) != node)
			continue;
		if (waiter->wait.kind == WAIT_FUSE)
			return waiter;
		found = waiter;
	}
	return found;
}

void chain_find_zloop_files(struct chains *chains)
{
	struct graph *graph = &chains->stack->graph;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct waiter *worker;

		if (!is_zloop(&graph->nodes[i]) || graph->nodes[i].first_lower != GRAPH_NONE ||
		    !chain_is_stuck(chains, i))
			continue;
		worker = worker_of(chains, i);
		if (worker && worker->wait.kind == WAIT_FUSE)
			graph_connect(graph, EDGE_FILE, i, worker->place, "");
		else if (!worker || !*worker->wait.filesystem)
			graph_connect(graph, EDGE_FILE, i, mount_without_clients(chains, i),
				      CHAIN_GUESS);
	}
}
