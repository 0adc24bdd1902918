/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/chain.h"

#include <string.h>

#include "caisson/reclaim.h"
#include "stack/server-state.h"

static const struct node *node_at(const struct chains *chains, uint32_t index)
{
	return &chains->stack->graph.nodes[index];
}

/* --- a chain --- */

static struct chain *add_chain(struct chains *chains)
{
	struct chain *chain;

	if (chains->count == CHAINS_MAX) {
		chains->left_off++;
		return NULL;
	}
	chain = &chains->chain[chains->count++];
	chain->count = 0;
	chain->back = GRAPH_NONE;
	chain->for_ms = 0;
	return chain;
}

static void push_waiter(struct chain *chain, const struct waiter *waiter)
{
	if (chain->count < CHAIN_HOPS_MAX)
		chain->hops[chain->count++] = (struct hop){ .waiter = waiter, .node = GRAPH_NONE };
}

static void push_node(struct chain *chain, uint32_t node)
{
	if (chain->count < CHAIN_HOPS_MAX)
		chain->hops[chain->count++] = (struct hop){ .node = node };
}

static bool has_node(const struct chain *chain, uint32_t node)
{
	for (uint32_t i = 0; i < chain->count; i++) {
		if (!chain->hops[i].waiter && chain->hops[i].node == node)
			return true;
	}
	return false;
}

/* The process of WAITER, if it serves anything; or GRAPH_NONE. */
static uint32_t process_of(const struct chains *chains, const struct waiter *waiter)
{
	return graph_find(&chains->stack->graph, NODE_PROCESS, (uint64_t)waiter->pid);
}

/* The task of no server that has waited longest at a node that MARKED marks, or NULL. */
static const struct waiter *client_of(const struct chains *chains, const uint8_t *marked)
{
	const struct waiter *best = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (waiter->place != GRAPH_NONE && marked[waiter->place] &&
		    !waiter_is_of_kernel(waiter) && chain_waits_long(chains, waiter) &&
		    process_of(chains, waiter) == GRAPH_NONE &&
		    (!best || waiter->since_ms < best->since_ms))
			best = waiter;
	}
	return best;
}

/* --- cycles --- */

/*
 * Which node that `above` marks has pages that can't be written, or memory that can't be freed,
 * while its server waits: swap, if that counts, or a filesystem. GRAPH_NONE: none.
 */
static uint32_t holder_above(const struct chains *chains, bool with_files)
{
	uint32_t found = GRAPH_NONE;

	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		const struct node *node = node_at(chains, i);

		if (!chains->above[i])
			continue;
		if (node->kind == NODE_SWAP)
			return i;
		/* pages of a FUSE file are written by whoever mapped it, or a loop device */
		if (with_files && node->kind == NODE_FILESYSTEM && !stack_is_fuse(node))
			found = i;
	}
	return found;
}

/* What WAITER, a task of the server, waits for that is above; or GRAPH_NONE. */
static uint32_t back_of(const struct chains *chains, const struct waiter *waiter)
{
	bool is_throttled_alone = waiter->flags & CAISSON_PF_LOCAL_THROTTLE;
	bool reclaims_alone = waiter->flags & CAISSON_PF_MEMALLOC_NOIO;

	switch (waiter->wait.kind) {
	case WAIT_THROTTLE:
		return is_throttled_alone ? GRAPH_NONE : holder_above(chains, true);
	case WAIT_RECLAIM:
	case WAIT_MEMORY:
		return holder_above(chains, !reclaims_alone);
	case WAIT_FUSE:
	case WAIT_NETWORK:
	case WAIT_IO:
	case WAIT_LOCK:
		/* whether another task goes on is in files that aren't open */
		if (!chains->waiters->is_short && waiter->place != GRAPH_NONE &&
		    chains->above[waiter->place] &&
		    !server_has_idle_task(chains->stack, waiter->pid))
			return waiter->place;
		break;
	case WAIT_FREEZE: /* a thaw ends it */
	case WAIT_UNKNOWN:
	case WAIT_FINE:
	case WAIT_KINDS:
		break;
	}
	return GRAPH_NONE;
}

/* Whether WAITER is a task of NODE, a process; or a worker of NODE, a device, that wants memory. */
static bool is_task_of(const struct chains *chains, const struct waiter *waiter, uint32_t node)
{
	if (node_at(chains, node)->kind == NODE_PROCESS)
		return (uint64_t)waiter->pid == node_at(chains, node)->number;
	return waiter_is_of_kernel(waiter) && wait_is_for_memory(waiter->wait.kind) &&
	       waiter_device(chains->stack, waiter) == node;
}

/* The task of NODE that waits for something above, with what that is; or NULL. */
static const struct waiter *culprit_of(const struct chains *chains, uint32_t node,
				       uint32_t *ret_back)
{
	const struct waiter *best = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];
		uint32_t back;

		if (!chain_waits_long(chains, waiter) || !is_task_of(chains, waiter, node) ||
		    (chains->waiters->is_short && !waiter->is_held) || /* it isn't seen now */
		    (best && best->since_ms <= waiter->since_ms))
			continue;
		back = back_of(chains, waiter);
		if (back == GRAPH_NONE)
			continue;
		best = waiter;
		*ret_back = back;
	}
	return best;
}

/*
 * Pushes the way down from FROM to TO, of nodes that `above` marks. The depth of the recursion is
 * at most the number of nodes of a chain. Returns false if there is none.
 */
static bool push_way(const struct chains *chains, struct chain *chain, uint32_t from, uint32_t to)
{
	uint32_t count = chain->count;

	if (from != to && (!chains->above[from] || chains->seen[from]))
		return false;
	chains->seen[from] = 1;
	push_node(chain, from);
	if (from == to)
		return true;
	graph_each_lower (&chains->stack->graph, from, edge) {
		if (push_way(chains, chain, edge->lower, to))
			return true;
	}
	chain->count = count;
	return false;
}

/*
 * Marks NODE, if it is a device, or what it serves, if it is a process; and all that is above that.
 * Returns whether there is anything.
 */
static bool mark_above(const struct chains *chains, uint32_t node)
{
	const struct graph *graph = &chains->stack->graph;
	bool is_any = graph->nodes[node].kind == NODE_DEVICE;

	memset(chains->above, 0, graph->node_count);
	if (is_any)
		graph_mark_upper(graph, node, chains->above);
	graph_each_upper (graph, node, edge) {
		if (edge->kind != EDGE_SERVED)
			continue;
		is_any = true;
		graph_mark_upper(graph, edge->upper, chains->above);
	}
	return is_any;
}

/*
 * Since when nothing gets on at NODE, a device; or above it, if it is a process of which CULPRIT is
 * a task.
 */
static int64_t hangs_since(const struct chains *chains, uint32_t node, const struct waiter *culprit)
{
	bool is_device = node_at(chains, node)->kind == NODE_DEVICE;
	uint32_t stuck = is_device ? node : chain_most_stuck(chains, chains->above);
	int64_t since = stuck == GRAPH_NONE ? culprit->still_ms : chain_stuck_since(chains, stuck);

	return since ? since : chains->now_ms;
}

/* Looks for a cycle through NODE: a process and a task of it, or a device and its worker. */
static void look_for_cycle(struct chains *chains, uint32_t node)
{
	const struct waiter *culprit, *client;
	uint32_t back, top;
	struct chain *chain;
	int64_t since;

	if (!mark_above(chains, node))
		return;
	culprit = culprit_of(chains, node, &back);
	if (!culprit)
		return;
	since = hangs_since(chains, node, culprit);
	if (chains->now_ms - since < chains->stall_ms)
		return;
	chain = add_chain(chains);
	if (!chain)
		return;
	client = client_of(chains, chains->above);
	if (client)
		push_waiter(chain, client);
	top = client ? client->place : back;
	memset(chains->seen, 0, chains->stack->graph.node_count);
	if (!push_way(chains, chain, top, node))
		push_node(chain, node);
	push_waiter(chain, culprit);
	chain->end = END_CYCLE;
	chain->back = back;
	chain->for_ms = chains->now_ms - since;
}

/* --- the ends of other chains --- */

/* The task of the process NODE that has waited longest for something known, or NULL. */
static const struct waiter *waiter_of(const struct chains *chains, uint32_t node)
{
	const struct waiter *best = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if ((uint64_t)waiter->pid == node_at(chains, node)->number &&
		    waiter->place != GRAPH_NONE && waiter->wait.kind != WAIT_FINE &&
		    waiter->wait.kind != WAIT_UNKNOWN && chain_waits_long(chains, waiter) &&
		    (!best || waiter->since_ms < best->since_ms))
			best = waiter;
	}
	return best;
}

/*
 * Of the processes that serve NODE, or share the descriptor of the one that does, the one that
 * waits for something; or else one that is halted; or else the one with the most tasks. GRAPH_NONE
 * if there is none.
 */
static uint32_t server_of(const struct chains *chains, uint32_t node)
{
	uint32_t found = GRAPH_NONE, best = 0;

	graph_each_lower (&chains->stack->graph, node, edge) {
		struct server_state state;
		uint32_t rank;

		if (edge->kind != EDGE_SERVED || node_at(chains, edge->lower)->kind != NODE_PROCESS)
			continue;
		state = server_state_of(chains->stack, (pid_t)node_at(chains, edge->lower)->number);
		rank = state.tasks; /* 0: it has ended */
		if (server_is_halted(&state))
			rank = UINT32_MAX - 1;
		if (rank && waiter_of(chains, edge->lower))
			rank = UINT32_MAX;
		if (rank > best) {
			best = rank;
			found = edge->lower;
		}
	}
	return found;
}

/*
 * Of what lies below NODE: where something is stuck, or else something is under way, or else the
 * first. GRAPH_NONE if nothing does.
 */
static uint32_t worst_below(const struct chains *chains, uint32_t node)
{
	uint32_t found = GRAPH_NONE;
	unsigned best = 0;

	graph_each_lower (&chains->stack->graph, node, edge) {
		unsigned rank = 1;

		if (chain_stuck_since(chains, edge->lower))
			rank = 3;
		else if (chain_under_way(chains, edge->lower))
			rank = 2;
		if (rank > best) {
			best = rank;
			found = edge->lower;
		}
	}
	return found;
}

/* Marks what NODE's data is on, in the kernel. The recursion is as deep as a chain is long. */
static void mark_storage(const struct graph *graph, uint32_t node, uint8_t *seen)
{
	if (seen[node])
		return;
	seen[node] = 1;
	graph_each_lower (graph, node, edge) {
		if (edge->kind == EDGE_ON || edge->kind == EDGE_FILE)
			mark_storage(graph, edge->lower, seen);
	}
}

/* Whether NODE, or what its data is on, gets on. `seen` is overwritten. */
static bool storage_gets_on(const struct chains *chains, uint32_t node)
{
	const struct graph *graph = &chains->stack->graph;

	memset(chains->seen, 0, graph->node_count);
	mark_storage(graph, node, chains->seen);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (chains->seen[i] && chain_gets_on(chains, i))
			return true;
	}
	return false;
}

/*
 * Whether anything below NODE, or NODE, gets on, or is stuck and so was told, or was found to be
 * slow. `seen` is overwritten.
 */
static bool is_explained_below(const struct chains *chains, uint32_t node)
{
	const struct graph *graph = &chains->stack->graph;

	memset(chains->seen, 0, graph->node_count);
	graph_mark_lower(graph, node, chains->seen);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (chains->seen[i] && (chain_gets_on(chains, i) || chain_is_stuck(chains, i)))
			return true;
	}
	return false;
}

static bool any_gets_on(const struct chains *chains)
{
	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		if (chain_gets_on(chains, i))
			return true;
	}
	return false;
}

/*
 * Whether the server does I/O: a task of it has begun to wait for some; or, as it uses io_uring,
 * nobody does, and it has files on what gets on.
 */
static bool works(const struct chains *chains, uint32_t process)
{
	const struct node *node = node_at(chains, process);

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if ((uint64_t)waiter->pid == node->number && waiter->wait.kind != WAIT_FINE &&
		    !chain_waits_long(chains, waiter))
			return true;
	}
	if (!node->has_rings)
		return false;
	graph_each_lower (&chains->stack->graph, process, edge) {
		if (edge->kind == EDGE_OPEN && storage_gets_on(chains, edge->lower))
			return true;
	}
	return false;
}

/*
 * The next node below the process that was pushed last, or GRAPH_NONE with the chain's end; or with
 * false if nothing hangs.
 */
static bool leave_process(const struct chains *chains, struct chain *chain, uint32_t process,
			  uint32_t *ret_next)
{
	struct server_state state =
		server_state_of(chains->stack, (pid_t)node_at(chains, process)->number);
	const struct waiter *waiter;

	*ret_next = GRAPH_NONE;
	if (server_is_halted(&state)) {
		chain->end = state.is_frozen ? END_FROZEN : END_STOPPED;
		return true;
	}
	waiter = waiter_of(chains, process);
	if (waiter && waiter->wait.kind == WAIT_FREEZE) {
		push_waiter(chain, waiter);
		push_node(chain, waiter->place);
		chain->end = END_THAW;
		return true;
	}
	/* no cycle if another task can go on with it (back_of()) */
	if (waiter && (!has_node(chain, waiter->place) ||
		       !server_has_idle_task(chains->stack, waiter->pid))) {
		push_waiter(chain, waiter);
		*ret_next = waiter->place;
		return true;
	}
	graph_each_lower (&chains->stack->graph, process, edge) {
		uint32_t device = worst_below(chains, edge->lower);

		if (device != GRAPH_NONE && chain_is_stuck(chains, device) &&
		    !has_node(chain, edge->lower)) {
			*ret_next = edge->lower;
			return true;
		}
	}
	chain->end = END_SERVER;
	return !state.running && !works(chains, process);
}

/* The same below a filesystem, a device or swap. */
static bool leave_node(const struct chains *chains, struct chain *chain, uint32_t node,
		       uint32_t *ret_next)
{
	*ret_next = server_of(chains, node);
	if (*ret_next == GRAPH_NONE)
		*ret_next = worst_below(chains, node);
	if (*ret_next != GRAPH_NONE)
		return true;
	chain->end = stack_is_fuse(node_at(chains, node)) ? END_NOBODY : END_DEVICE;
	return chain_is_stuck(chains, node);
}

/* Pushes NODE and what it waits for. Returns false if nothing hangs: it is only slow. */
static bool follow(const struct chains *chains, struct chain *chain, uint32_t node)
{
	while (node != GRAPH_NONE) {
		bool hangs = true;

		if (has_node(chain, node)) {
			chain->end = END_CYCLE;
			chain->back = node;
			return true;
		}
		push_node(chain, node);
		if (chain->count == CHAIN_HOPS_MAX) {
			chain->end = END_TASK;
			return true;
		}
		switch (node_at(chains, node)->kind) {
		case NODE_PROCESS:
			hangs = leave_process(chains, chain, node, &node);
			break;
		case NODE_PEER:
			chain->end = END_PEER;
			return true;
		case NODE_FILESYSTEM:
		case NODE_DEVICE:
		case NODE_SWAP:
		case NODE_KINDS:
			hangs = leave_node(chains, chain, node, &node);
			break;
		}
		if (!hangs)
			return false;
	}
	return true;
}

/* Whether NODE is a FUSE mount that has requests under way, whose server is halted. */
static bool is_halted(const struct chains *chains, uint32_t node)
{
	struct server_state state;
	uint32_t server;

	if (!stack_is_fuse(node_at(chains, node)) || !chain_under_way(chains, node))
		return false;
	server = server_of(chains, node);
	if (server == GRAPH_NONE)
		return false;
	state = server_state_of(chains->stack, (pid_t)node_at(chains, server)->number);
	return server_is_halted(&state);
}

/* Since when that is known, or 0. */
static int64_t halted_since(struct chains *chains, uint32_t node)
{
	uint64_t number = node_at(chains, node)->number;
	struct halt *halt = chains->halts, *end = halt + chains->halt_count;

	if (!is_halted(chains, node))
		return 0;
	while (halt < end && halt->number != number)
		halt++;
	if (halt == end && chains->halt_count == HALTS_MAX)
		return 0;
	if (halt == end) {
		*halt = (struct halt){ .number = number, .since_ms = chains->now_ms };
		chains->halt_count++;
	}
	halt->seen_ms = chains->now_ms;
	return halt->since_ms;
}

/* Whether NODE is in a chain that is told already. */
static bool is_told(const struct chains *chains, uint32_t node)
{
	for (uint32_t i = 0; i < chains->count; i++) {
		if (has_node(&chains->chain[i], node))
			return true;
	}
	return false;
}

/* Whether a cycle is told that is below NODE. `seen` is overwritten. */
static bool is_cycle_told_below(const struct chains *chains, uint32_t node)
{
	memset(chains->seen, 0, chains->stack->graph.node_count);
	graph_mark_lower(&chains->stack->graph, node, chains->seen);
	for (uint32_t i = 0; i < chains->count; i++) {
		const struct chain *chain = &chains->chain[i];
		uint32_t last = chain->count - 1;

		if (chain->end != END_CYCLE)
			continue;
		if (chain->hops[last].waiter) /* a task of the node before it */
			last--;
		if (chains->seen[chain->hops[last].node])
			return true;
	}
	return false;
}

/* Whether WAITER, its process or what it waits for is in such a chain. */
static bool is_waiter_told(const struct chains *chains, const struct waiter *waiter)
{
	uint32_t process = graph_find(&chains->stack->graph, NODE_PROCESS, (uint64_t)waiter->pid);

	if ((waiter->place != GRAPH_NONE && is_told(chains, waiter->place)) ||
	    (process != GRAPH_NONE && is_told(chains, process)))
		return true;
	for (uint32_t i = 0; i < chains->count; i++) {
		for (uint32_t hop = 0; hop < chains->chain[i].count; hop++) {
			if (chains->chain[i].hops[hop].waiter == waiter)
				return true;
		}
	}
	return false;
}

/* NODE is stuck since then: tells from the top of what waits for it. */
static void tell_place(struct chains *chains, uint32_t node, int64_t since)
{
	const struct waiter *client;
	struct chain *chain;

	memset(chains->above, 0, chains->stack->graph.node_count);
	graph_mark_upper(&chains->stack->graph, node, chains->above);
	client = client_of(chains, chains->above);
	chain = add_chain(chains);
	if (!chain)
		return;
	if (client)
		push_waiter(chain, client);
	chain->for_ms = chains->now_ms - since;
	if (!follow(chains, chain, client ? client->place : node))
		chains->count--;
	else if (chain->end == END_DEVICE)
		chain->for_ms = chains->now_ms -
				chain_stuck_since(chains, chain->hops[chain->count - 1].node);
}

/*
 * Tells of FUSE mounts whose servers are halted. Nobody need wait in the kernel for an answer:
 * clients may use io_uring or aio. Others may halt a server for a moment.
 */
static void tell_halted(struct chains *chains)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		int64_t since = halted_since(chains, i);

		if (since && chains->now_ms - since >= chains->stall_ms &&
		    chain_is_loaded(chains, i) && !is_told(chains, i))
			tell_place(chains, i, since);
	}
	for (uint32_t i = 0; i < chains->halt_count; i++) {
		if (chains->halts[i].seen_ms == chains->now_ms)
			chains->halts[kept++] = chains->halts[i];
	}
	chains->halt_count = kept;
}

/* Whether WAITER hangs at its place, for all that can be told, or is only slow. */
static bool hangs_alone(const struct chains *chains, const struct waiter *waiter)
{
	if (waiter->wait.kind == WAIT_FREEZE)
		return true;
	if (waiter->place != GRAPH_NONE)
		return !is_explained_below(chains, waiter->place);
	/* it may wait for anything that isn't storage */
	return waiter->wait.kind != WAIT_UNKNOWN && !chains->gets_on;
}

/* WAITER hasn't run for the stall time, and nothing that is stuck explains that. */
static void tell_waiter(struct chains *chains, const struct waiter *waiter)
{
	struct chain *chain;

	if (!hangs_alone(chains, waiter))
		return;
	if (waiter->wait.kind != WAIT_FREEZE && chains->of_tasks == CHAINS_OF_TASKS_MAX) {
		chains->left_off++;
		return;
	}
	chain = add_chain(chains);
	if (!chain)
		return;
	chains->of_tasks += waiter->wait.kind != WAIT_FREEZE;
	push_waiter(chain, waiter);
	if (waiter->place != GRAPH_NONE)
		push_node(chain, waiter->place);
	chain->for_ms = chains->now_ms - waiter->still_ms;
	chain->end = waiter->wait.kind == WAIT_FREEZE ? END_THAW : END_TASK;
}

static void look_for_cycles_of_workers(struct chains *chains)
{
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];
		uint32_t device;

		if (!waiter_is_of_kernel(waiter) || !wait_is_for_memory(waiter->wait.kind) ||
		    !chain_waits_long(chains, waiter))
			continue;
		device = waiter_device(chains->stack, waiter);
		if (device != GRAPH_NONE && !is_told(chains, device))
			look_for_cycle(chains, device);
	}
}

void chains_find(struct chains *chains)
{
	const struct graph *graph = &chains->stack->graph;

	chains->count = chains->of_tasks = chains->left_off = 0;
	chain_find_zloop_files(chains);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_PROCESS)
			look_for_cycle(chains, i);
	}
	look_for_cycles_of_workers(chains);
	/* the rest opens files of /proc */
	if (chains->waiters->is_short) {
		chains->halt_count = 0; /* a server may go on meanwhile */
		return;
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (chain_is_stuck(chains, i) && !is_told(chains, i) &&
		    !is_cycle_told_below(chains, i))
			tell_place(chains, i, chain_stuck_since(chains, i));
	}
	tell_halted(chains);
	chains->gets_on = any_gets_on(chains);
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (!waiter_is_of_kernel(waiter) && waiter->wait.kind != WAIT_FINE &&
		    chain_is_there(chains, waiter) &&
		    chains->now_ms - waiter->still_ms >= chains->stall_ms &&
		    !is_waiter_told(chains, waiter))
			tell_waiter(chains, waiter);
	}
}
