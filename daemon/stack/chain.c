/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/chain.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "caisson/reclaim.h"

static const struct node *node_at(const struct chains *chains, uint32_t index)
{
	return &chains->stack->graph.nodes[index];
}

/* --- what hangs --- */

/*
 * Whether WAITER was there at the last look. One that is throttled or reclaims memory wakes up now
 * and then.
 */
static bool is_there(const struct chains *chains, const struct waiter *waiter)
{
	return waiter->seen_ms == chains->now_ms || waiter->wait.kind == WAIT_THROTTLE ||
	       waiter->wait.kind == WAIT_RECLAIM || waiter->wait.kind == WAIT_MEMORY;
}

/* A read of a FUSE file that reads ahead waits for a page, and another for the lock of a file. */
static bool is_for_an_answer(enum wait_kind kind)
{
	return kind == WAIT_FUSE || kind == WAIT_IO || kind == WAIT_LOCK;
}

/* Since when no request was answered at a node, or 0 if all is well there. */
static int64_t stuck_since(const struct chains *chains, uint32_t index)
{
	const struct node *node = node_at(chains, index);
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
		    is_there(chains, waiter) && (!since || waiter->still_ms < since))
			since = waiter->still_ms;
	}
	return since;
}

static bool is_stuck(const struct chains *chains, uint32_t index)
{
	int64_t since = stuck_since(chains, index);

	return since && chains->now_ms - since >= chains->stall_ms;
}

/* Requests that are under way at a node. */
static uint64_t under_way(const struct chains *chains, uint32_t index)
{
	const struct place *place = flow_of(chains->flow, node_at(chains, index));

	return place ? place->under_way : 0;
}

/* Whether a device answers requests. A throttled control group may have none under way. */
static bool gets_on(const struct chains *chains, uint32_t index)
{
	const struct place *place = flow_of(chains->flow, node_at(chains, index));

	if (!place || place->kind != NODE_DEVICE)
		return false;
	return (place->under_way && !is_stuck(chains, index)) ||
	       (place->moved_ms && chains->now_ms - place->moved_ms < chains->stall_ms);
}

/* Of the nodes that MARKED marks, the one that is stuck for the longest time, or GRAPH_NONE. */
static uint32_t most_stuck(const struct chains *chains, const uint8_t *marked)
{
	uint32_t found = GRAPH_NONE;
	int64_t best = 0;

	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		int64_t since = marked[i] && is_stuck(chains, i) ? stuck_since(chains, i) : 0;

		if (since && (!best || since < best)) {
			best = since;
			found = i;
		}
	}
	return found;
}

/* A task that has waited for a good part of the stall, at whatever moment of it that began. */
static bool waits_long(const struct chains *chains, const struct waiter *waiter)
{
	return is_there(chains, waiter) &&
	       chains->now_ms - waiter->since_ms >= chains->stall_ms / 2;
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
		    !waiter_is_of_kernel(waiter) && waits_long(chains, waiter) &&
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

/* A search for a task that waits for work. */
struct idle {
	const struct chains *chains;
	pid_t pid;
	bool is_found;
};

static int look_for_idle(void *arg, const char *tid)
{
	static const char *const names[] = { "fuse_dev_do_read", "io_cqring_wait" };
	struct idle *idle = arg;
	char wchan[64] = "";

	(void)reader_read(idle->chains->stack->reader,
			  PATH("proc/%d/task/%s/wchan", idle->pid, tid), 0, wchan, sizeof(wchan));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		idle->is_found |= strncmp(wchan, names[i], strlen(names[i])) == 0;
	return idle->is_found;
}

/* Whether the process has a task that waits for work: what another waits for can be done. */
static bool has_idle_task(const struct chains *chains, pid_t pid)
{
	struct idle idle = { .chains = chains, .pid = pid };

	(void)system_names(chains->stack->system, PATH("proc/%d/task", pid), look_for_idle, &idle);
	return idle.is_found;
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
	case WAIT_FREEZE:
	case WAIT_IO:
	case WAIT_LOCK:
		if (waiter->place != GRAPH_NONE && chains->above[waiter->place] &&
		    !has_idle_task(chains, waiter->pid))
			return waiter->place;
		break;
	case WAIT_UNKNOWN:
	case WAIT_FINE:
	case WAIT_KINDS:
		break;
	}
	return GRAPH_NONE;
}

/* The task of process PID that waits for something above, with what that is; or NULL. */
static const struct waiter *culprit_of(const struct chains *chains, uint64_t pid,
				       uint32_t *ret_back)
{
	const struct waiter *best = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];
		uint32_t back;

		if ((uint64_t)waiter->pid != pid || !waits_long(chains, waiter) ||
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
 * Pushes the way down from FROM to the process TO, of nodes that `above` marks. The depth of the
 * recursion is at most the number of nodes of a chain. Returns false if there is none.
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

/* Marks what the process serves, and all that is above that. Returns whether it serves anything. */
static bool mark_above(const struct chains *chains, uint32_t process)
{
	const struct graph *graph = &chains->stack->graph;
	bool serves = false;

	memset(chains->above, 0, graph->node_count);
	graph_each_upper (graph, process, edge) {
		if (edge->kind != EDGE_SERVED)
			continue;
		serves = true;
		graph_mark_upper(graph, edge->upper, chains->above);
	}
	return serves;
}

static void look_for_cycle(struct chains *chains, uint32_t process)
{
	const struct waiter *culprit, *client;
	uint32_t back, stuck, top;
	struct chain *chain;
	int64_t since;

	if (!mark_above(chains, process))
		return;
	culprit = culprit_of(chains, node_at(chains, process)->number, &back);
	if (!culprit)
		return;
	stuck = most_stuck(chains, chains->above);
	since = stuck == GRAPH_NONE ? culprit->still_ms : stuck_since(chains, stuck);
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
	if (!push_way(chains, chain, top, process))
		push_node(chain, process);
	push_waiter(chain, culprit);
	chain->end = END_CYCLE;
	chain->back = back;
	chain->for_ms = chains->now_ms - since;
}

/* --- the ends of other chains --- */

/* What the tasks of a process are in. */
struct condition {
	const struct stack *stack;
	pid_t pid;
	uint32_t tasks, stopped, running;
	bool is_frozen; /* one of them says so */
};

static int look_at_state(void *arg, const char *tid)
{
	struct condition *condition = arg;
	char text[256], wchan[64] = "", *at;

	if (system_read(condition->stack->system,
			PATH("proc/%d/task/%s/status", condition->pid, tid), text,
			sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\nState:\t");
	if (!at)
		return 0;
	at += strlen("\nState:\t");
	if (*at == 'Z' || *at == 'X')
		return 0;
	condition->tasks++;
	condition->stopped += *at == 'T' || *at == 't';
	condition->running += *at == 'R';
	if (condition->is_frozen || *at == 'R')
		return 0;
	(void)reader_read(condition->stack->reader,
			  PATH("proc/%d/task/%s/wchan", condition->pid, tid), 0, wchan,
			  sizeof(wchan));
	condition->is_frozen = strcmp(wchan, "do_freezer_trap") == 0 ||
			       strcmp(wchan, "__refrigerator") == 0;
	return 0;
}

static struct condition condition_of(const struct chains *chains, uint32_t process)
{
	struct condition condition = {
		.stack = chains->stack,
		.pid = (pid_t)node_at(chains, process)->number,
	};

	(void)system_names(condition.stack->system, PATH("proc/%d/task", condition.pid),
			   look_at_state, &condition);
	return condition;
}

/* Whether all tasks are stopped or frozen. */
static bool is_halted(const struct condition *condition)
{
	return condition->tasks && (condition->is_frozen || condition->stopped == condition->tasks);
}

/* The task of the process NODE that has waited longest for something known, or NULL. */
static const struct waiter *waiter_of(const struct chains *chains, uint32_t node)
{
	const struct waiter *best = NULL;

	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if ((uint64_t)waiter->pid == node_at(chains, node)->number &&
		    waiter->place != GRAPH_NONE && waiter->wait.kind != WAIT_FINE &&
		    waiter->wait.kind != WAIT_UNKNOWN && waits_long(chains, waiter) &&
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
		struct condition condition;
		uint32_t rank;

		if (edge->kind != EDGE_SERVED || node_at(chains, edge->lower)->kind != NODE_PROCESS)
			continue;
		condition = condition_of(chains, edge->lower);
		rank = condition.tasks; /* 0: it has ended */
		if (is_halted(&condition))
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

		if (stuck_since(chains, edge->lower))
			rank = 3;
		else if (under_way(chains, edge->lower))
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
		if (chains->seen[i] && gets_on(chains, i))
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
		if (chains->seen[i] && (gets_on(chains, i) || is_stuck(chains, i)))
			return true;
	}
	return false;
}

static bool any_gets_on(const struct chains *chains)
{
	for (uint32_t i = 0; i < chains->stack->graph.node_count; i++) {
		if (gets_on(chains, i))
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
		    !waits_long(chains, waiter))
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
	struct condition condition = condition_of(chains, process);
	const struct waiter *waiter;

	*ret_next = GRAPH_NONE;
	if (is_halted(&condition)) {
		chain->end = condition.is_frozen ? END_FROZEN : END_STOPPED;
		return true;
	}
	waiter = waiter_of(chains, process);
	/* no cycle if another task can go on with it (back_of()) */
	if (waiter && (!has_node(chain, waiter->place) || !has_idle_task(chains, waiter->pid))) {
		push_waiter(chain, waiter);
		*ret_next = waiter->place;
		return true;
	}
	graph_each_lower (&chains->stack->graph, process, edge) {
		uint32_t device = worst_below(chains, edge->lower);

		if (device != GRAPH_NONE && is_stuck(chains, device) &&
		    !has_node(chain, edge->lower)) {
			*ret_next = edge->lower;
			return true;
		}
	}
	chain->end = END_SERVER;
	return !condition.running && !works(chains, process);
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
	return is_stuck(chains, node);
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

/*
 * Whether NODE is a FUSE mount with requests under way all the time whose server is halted. Nobody
 * need wait in the kernel for an answer: clients may use io_uring or aio.
 */
static bool is_abandoned(const struct chains *chains, uint32_t node)
{
	const struct place *place = flow_of(chains->flow, node_at(chains, node));
	struct condition condition;
	uint32_t server;

	if (!stack_is_fuse(node_at(chains, node)) || !place || !place->since_ms ||
	    chains->now_ms - place->since_ms < chains->stall_ms)
		return false;
	server = server_of(chains, node);
	if (server == GRAPH_NONE)
		return false;
	condition = condition_of(chains, server);
	return is_halted(&condition);
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
		chain->for_ms =
			chains->now_ms - stuck_since(chains, chain->hops[chain->count - 1].node);
}

/* Whether WAITER hangs at its place, for all that can be told, or is only slow. */
static bool hangs_alone(const struct chains *chains, const struct waiter *waiter)
{
	if (waiter->wait.kind == WAIT_FREEZE)
		return true;
	if (waiter->place != GRAPH_NONE)
		return !is_explained_below(chains, waiter->place);
	/* it may wait for anything that isn't storage */
	return waiter->wait.kind != WAIT_UNKNOWN && !any_gets_on(chains);
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

void chains_find(struct chains *chains)
{
	const struct graph *graph = &chains->stack->graph;

	chains->count = chains->of_tasks = chains->left_off = 0;
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_PROCESS)
			look_for_cycle(chains, i);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (is_stuck(chains, i) && !is_told(chains, i))
			tell_place(chains, i, stuck_since(chains, i));
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (is_abandoned(chains, i) && !is_told(chains, i))
			tell_place(chains, i, flow_of(chains->flow, &graph->nodes[i])->since_ms);
	}
	for (uint32_t i = 0; i < chains->waiters->count; i++) {
		const struct waiter *waiter = &chains->waiters->waiter[i];

		if (!waiter_is_of_kernel(waiter) && waiter->wait.kind != WAIT_FINE &&
		    is_there(chains, waiter) &&
		    chains->now_ms - waiter->still_ms >= chains->stall_ms &&
		    !is_waiter_told(chains, waiter))
			tell_waiter(chains, waiter);
	}
}

/* --- words --- */

const char *chain_end_name(enum chain_end end)
{
	static const char *const names[END_KINDS] = {
		[END_CYCLE] = "cycle",	 [END_DEVICE] = "device", [END_STOPPED] = "stopped",
		[END_FROZEN] = "frozen", [END_THAW] = "thaw",	  [END_SERVER] = "server",
		[END_PEER] = "peer",	 [END_NOBODY] = "nobody", [END_TASK] = "task",
	};

	return names[end];
}

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size,
							 const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text + len, size - len, format, args);
	va_end(args);
}

static void append_node(const struct chains *chains, uint32_t index, char *text, size_t size)
{
	const struct node *node = node_at(chains, index);

	switch (node->kind) {
	case NODE_FILESYSTEM:
		append(text, size, "%s %s", node->type, node->name);
		break;
	case NODE_DEVICE:
		append(text, size, "%s", node->name);
		if (*node->type && strncmp(node->name, node->type, strlen(node->type)) != 0)
			append(text, size, " (%s)", node->type);
		break;
	case NODE_SWAP:
		append(text, size, "swap %s", node->name);
		break;
	case NODE_PROCESS:
		append(text, size, "%s(%" PRIu64 ")", node->name, node->number);
		break;
	case NODE_PEER:
		append(text, size, "%s by %s", node->name, node->type);
		break;
	case NODE_KINDS:
		break;
	}
}

/* A task after its process. */
static void append_waiter(const struct waiter *waiter, char *text, size_t size)
{
	append(text, size, "its task %d (%s) %s (%s)", waiter->tid, waiter->comm,
	       wait_text(waiter->wait.kind), *waiter->wait.where ? waiter->wait.where : "?");
}

static void append_end(const struct chains *chains, const struct chain *chain, char *text,
		       size_t size)
{
	switch (chain->end) {
	case END_CYCLE:
		append(text, size, " -> ");
		append_node(chains, chain->back, text, size);
		break;
	case END_DEVICE:
		append(text, size, ", the end: %" PRIu64 " requests under way, none done",
		       under_way(chains, chain->hops[chain->count - 1].node));
		break;
	case END_STOPPED:
		append(text, size, ", which is stopped by a signal (T)");
		break;
	case END_FROZEN:
		append(text, size, ", which is in a frozen control group");
		break;
	case END_THAW:
		append(text, size, "%s",
		       chain->count > 1 ? ", which is frozen (fsfreeze)"
					: " waits for a frozen filesystem");
		break;
	case END_SERVER:
		append(text, size, ", which doesn't answer; none of its tasks waits for storage");
		break;
	case END_PEER:
		append(text, size, ", which doesn't answer");
		break;
	case END_NOBODY:
		append(text, size, ", which nobody is seen to serve");
		break;
	case END_TASK:
		append(text, size, ": %s (%s), for whom isn't known",
		       wait_text(chain->hops[0].waiter ? chain->hops[0].waiter->wait.kind
						       : WAIT_UNKNOWN),
		       chain->hops[0].waiter && *chain->hops[0].waiter->wait.where
			       ? chain->hops[0].waiter->wait.where
			       : "?");
		break;
	case END_KINDS:
		break;
	}
}

void chain_text(const struct chains *chains, const struct chain *chain, char *text, size_t size)
{
	text[0] = '\0';
	/* first what matters most: lines of the log are cut */
	append(text, size,
	       "%s for %" PRId64 " s: ", chain->end == END_CYCLE ? "CYCLE" : "no cycle, but a hang",
	       chain->for_ms / 1000);
	for (uint32_t i = 0; i < chain->count; i++) {
		const struct hop *hop = &chain->hops[i];

		if (i)
			append(text, size, i == 1 && chain->hops[0].waiter ? " " : " -> ");
		if (!hop->waiter)
			append_node(chains, hop->node, text, size);
		else if (i)
			append_waiter(hop->waiter, text, size);
		else if (chain->count == 1)
			append(text, size, "%s(%d)", hop->waiter->comm, hop->waiter->pid);
		else
			append(text, size, "%s(%d) %s", hop->waiter->comm, hop->waiter->pid,
			       waiter_action(hop->waiter));
	}
	append_end(chains, chain, text, size);
}
