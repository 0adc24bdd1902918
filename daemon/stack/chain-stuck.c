/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is stuck and what gets on, at the last look. */
#include "stack/chain.h"

bool chain_is_there(const struct chains *chains, const struct waiter *waiter)
{
	return waiter->seen_ms == chains->now_ms || waiter->wait.kind == WAIT_THROTTLE ||
	       wait_is_for_memory(waiter->wait.kind);
}

/* A read of a FUSE file that reads ahead waits for a page, and another for the lock of a file. */
static bool is_for_an_answer(enum wait_kind kind)
{
	return kind == WAIT_FUSE || kind == WAIT_IO || kind == WAIT_LOCK;
}

int64_t chain_stuck_since(const struct chains *chains, uint32_t index)
{
	const struct node *node = &chains->stack->graph.nodes[index];
	const struct place *place = flow_of(chains->flow, node);
	int64_t since = 0;

	if (node->kind == NODE_DEVICE)
		return place ? place->since_ms : 0;
	if (!stack_is_fuse(node))
		return 0;
	/* the kernel doesn't count the answers: somebody must have waited for one all the time */
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (waiter->place == index && is_for_an_answer(waiter->wait.kind) &&
		    chain_is_there(chains, waiter) && (!since || waiter->still_ms < since))
			since = waiter->still_ms;
	}
	return since;
}

bool chain_is_stuck(const struct chains *chains, uint32_t index)
{
	int64_t since = chain_stuck_since(chains, index);

	return since && chains->now_ms - since >= chains->stall_ms;
}

uint64_t chain_under_way(const struct chains *chains, uint32_t index)
{
	const struct place *place = flow_of(chains->flow, &chains->stack->graph.nodes[index]);

	return place ? flow_under_way(place) : 0;
}

uint64_t chain_stuck_requests(const struct chains *chains, uint32_t index)
{
	const struct place *place = flow_of(chains->flow, &chains->stack->graph.nodes[index]);
	uint64_t count = 0;

	for (int i = 0; place && i < LANES; i++) {
		const struct lane_state *lane = &place->lane[i];

		if (lane->since_ms && chains->now_ms - lane->since_ms >= chains->stall_ms)
			count += lane->last.under_way;
	}
	return count;
}

bool chain_is_loaded(const struct chains *chains, uint32_t index)
{
	const struct node *node = &chains->stack->graph.nodes[index];
	const struct place *place = flow_of(chains->flow, node);

	return stack_is_fuse(node) && place && place->since_ms &&
	       chains->now_ms - place->since_ms >= chains->stall_ms;
}

bool chain_gets_on(const struct chains *chains, uint32_t index)
{
	const struct place *place = flow_of(chains->flow, &chains->stack->graph.nodes[index]);

	if (!place || place->kind != NODE_DEVICE || chain_is_stuck(chains, index))
		return false;
	return flow_under_way(place) ||
	       (place->moved_ms && chains->now_ms - place->moved_ms < chains->stall_ms);
}

uint32_t chain_most_stuck(const struct chains *chains, const uint8_t *marked)
{
	uint32_t found = GRAPH_NONE;
	int64_t best = 0;

	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		int64_t since =
			marked[i] && chain_is_stuck(chains, i) ? chain_stuck_since(chains, i) : 0;

		if (since && (!best || since < best)) {
			best = since;
			found = i;
		}
	}
	return found;
}

bool chain_waits_long(const struct chains *chains, const struct waiter *waiter)
{
	return chain_is_there(chains, waiter) &&
	       chains->now_ms - waiter->since_ms >= chains->stall_ms / 2;
}
