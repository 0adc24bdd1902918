/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains in words. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stack/chain.h"

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
	const struct node *node = &chains->stack->graph.nodes[index];

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
	append(text, size, "its %s %d (%s) %s (%s)",
	       waiter_is_of_kernel(waiter) ? "worker" : "task", waiter->tid, waiter->comm,
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
		       chain_stuck_requests(chains, chain->hops[chain->count - 1].node));
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

/* Whether nobody is sure that UPPER, a step of a chain, lies on the next one, LOWER. */
static bool is_guess(const struct chains *chains, const struct hop *upper, const struct hop *lower)
{
	if (upper->waiter || lower->waiter)
		return false;
	graph_each_lower (&chains->stack->graph, upper->node, edge) {
		if (edge->lower == lower->node)
			return strcmp(edge->text, CHAIN_GUESS) == 0;
	}
	return false;
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
		if (i && is_guess(chains, hop - 1, hop))
			append(text, size, "probably ");
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
