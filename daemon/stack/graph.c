/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/graph.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int graph_create(struct graph *graph, uint32_t nodes, uint32_t edges, size_t text_len)
{
	*graph = (struct graph){
		.nodes = calloc(nodes, sizeof(*graph->nodes)),
		.edges = calloc(edges, sizeof(*graph->edges)),
		.text = calloc(text_len, 1),
		.node_max = nodes,
		.edge_max = edges,
		.text_max = text_len,
	};
	if (graph->nodes && graph->edges && graph->text)
		return 0;
	graph_destroy(graph);
	return -ENOMEM;
}

void graph_destroy(struct graph *graph)
{
	free(graph->nodes);
	free(graph->edges);
	free(graph->text);
	*graph = (struct graph){ 0 };
}

void graph_clear(struct graph *graph)
{
	graph->node_count = graph->edge_count = graph->left_off = 0;
	graph->text_len = 0;
}

const char *graph_kind_name(enum node_kind kind)
{
	static const char *const names[NODE_KINDS] = {
		[NODE_FILESYSTEM] = "filesystem", [NODE_DEVICE] = "device", [NODE_SWAP] = "swap",
		[NODE_PROCESS] = "process",	  [NODE_PEER] = "peer",
	};

	return names[kind];
}

const char *graph_text(struct graph *graph, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = graph->text + graph->text_len;

	if (size == 1)
		return "";
	if (size > graph->text_max - graph->text_len) {
		graph->left_off++;
		return "";
	}
	memcpy(copy, text, size);
	graph->text_len += size;
	return copy;
}

uint32_t graph_find(const struct graph *graph, enum node_kind kind, uint64_t number)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == kind && graph->nodes[i].number == number)
			return i;
	}
	return GRAPH_NONE;
}

uint32_t graph_add(struct graph *graph, enum node_kind kind, uint64_t number, const char *name,
		   const char *type)
{
	uint32_t index = graph_find(graph, kind, number);

	if (index != GRAPH_NONE)
		return index;
	if (graph->node_count == graph->node_max) {
		graph->left_off++;
		return GRAPH_NONE;
	}
	index = graph->node_count++;
	graph->nodes[index] = (struct node){
		.kind = kind,
		.number = number,
		.name = graph_text(graph, name),
		.type = graph_text(graph, type),
		.first_lower = GRAPH_NONE,
		.first_upper = GRAPH_NONE,
	};
	return index;
}

void graph_connect(struct graph *graph, enum edge_kind kind, uint32_t upper, uint32_t lower,
		   const char *text)
{
	uint32_t *lower_end, *upper_end;

	if (upper == GRAPH_NONE || lower == GRAPH_NONE)
		return;
	lower_end = &graph->nodes[upper].first_lower;
	for (; *lower_end != GRAPH_NONE; lower_end = &graph->edges[*lower_end].next_lower) {
		const struct edge *edge = &graph->edges[*lower_end];

		if (edge->lower == lower && edge->kind == kind)
			return;
	}
	if (graph->edge_count == graph->edge_max) {
		graph->left_off++;
		return;
	}
	upper_end = &graph->nodes[lower].first_upper;
	while (*upper_end != GRAPH_NONE)
		upper_end = &graph->edges[*upper_end].next_upper;
	*lower_end = *upper_end = graph->edge_count;
	graph->edges[graph->edge_count++] = (struct edge){
		.kind = kind,
		.upper = upper,
		.lower = lower,
		.next_lower = GRAPH_NONE,
		.next_upper = GRAPH_NONE,
		.text = graph_text(graph, text),
	};
}

/* The depth of the recursion is at most the number of nodes of a chain. */
void graph_mark_lower(const struct graph *graph, uint32_t node, uint8_t *seen)
{
	if (seen[node])
		return;
	seen[node] = 1;
	graph_each_lower (graph, node, edge)
		graph_mark_lower(graph, edge->lower, seen);
}

void graph_mark_upper(const struct graph *graph, uint32_t node, uint8_t *seen)
{
	if (seen[node])
		return;
	seen[node] = 1;
	graph_each_upper (graph, node, edge)
		graph_mark_upper(graph, edge->upper, seen);
}
