/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The graph of a machine's storage: what lies on what. A node is a filesystem, a block device, a
 * swap area, a process that serves one of these, or a machine on the network. An edge goes from
 * what needs (upper) to what is needed (lower).
 *
 * All memory is allocated by graph_create(). What finds no room is counted in left_off. One thread
 * uses a graph.
 */
#ifndef CAISSON_GRAPH_H
#define CAISSON_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GRAPH_NONE UINT32_MAX

enum node_kind {
	NODE_FILESYSTEM, /* number: its device number (st_dev) */
	NODE_DEVICE,	 /* number: its device number */
	NODE_SWAP,	 /* number: its row in /proc/swaps, from 0 */
	NODE_PROCESS,	 /* number: its PID */
	NODE_PEER,	 /* a machine that serves over the network; number: any, by its name */
	NODE_KINDS,
};

enum edge_kind {
	EDGE_ON,      /* upper's data is on lower */
	EDGE_FILE,    /* upper's data is in a file of lower; text: its path */
	EDGE_SERVED,  /* lower answers upper's requests; text: how that is known */
	EDGE_OPEN,    /* process upper has a file of lower open; text: its path */
	EDGE_PROGRAM, /* process upper runs a program or a library on lower; text: its path */
	EDGE_CWD,     /* process upper's working directory is on lower; text: its path */
	EDGE_KINDS,
};

struct node {
	enum node_kind kind;
	uint64_t number;
	const char *name;		   /* such as "/mnt/x", "loop0", "caissond", "192.0.2.1" */
	const char *type;		   /* such as "xfs", "loop"; "" if unknown */
	uint32_t first_lower, first_upper; /* edges, in the order in which they were added */
	bool is_unflushed; /* a filesystem: its options keep it from flushing disks */
	bool has_rings;	   /* a process: it has io_uring open */
};

struct edge {
	enum edge_kind kind;
	uint32_t upper, lower;		 /* nodes */
	uint32_t next_lower, next_upper; /* of the same upper node, of the same lower node */
	const char *text;
};

struct graph {
	struct node *nodes;
	struct edge *edges;
	char *text;
	uint32_t node_count, node_max, edge_count, edge_max;
	size_t text_len, text_max;
	uint32_t left_off; /* nodes, edges and texts for which there was no room */
};

/* Returns 0 or -ENOMEM. */
int graph_create(struct graph *graph, uint32_t nodes, uint32_t edges, size_t text_len);
void graph_destroy(struct graph *graph);

/* Forgets all nodes, edges and texts, and keeps the memory. */
void graph_clear(struct graph *graph);

/* "filesystem", "device" ... */
const char *graph_kind_name(enum node_kind kind);

/* Copies TEXT, which is then valid as long as GRAPH. Without room for it, the copy is "". */
const char *graph_text(struct graph *graph, const char *text);

uint32_t graph_find(const struct graph *graph, enum node_kind kind, uint64_t number);

/* Finds a node or adds it, with copies of NAME and TYPE. Returns GRAPH_NONE if there is no room. */
uint32_t graph_add(struct graph *graph, enum node_kind kind, uint64_t number, const char *name,
		   const char *type);

/*
 * Adds an edge with a copy of TEXT, unless there is one of that kind between these nodes. Ignores
 * GRAPH_NONE.
 */
void graph_connect(struct graph *graph, enum edge_kind kind, uint32_t upper, uint32_t lower,
		   const char *text);

/* Marks in SEEN, a byte for each node, all nodes that NODE needs, and NODE itself. */
void graph_mark_lower(const struct graph *graph, uint32_t node, uint8_t *seen);
/* The same for all nodes that need NODE. */
void graph_mark_upper(const struct graph *graph, uint32_t node, uint8_t *seen);

/* Iterates over the edges below or above a node. */
#define graph_each_lower(graph, node, edge)                                                        \
	for (const struct edge *edge = graph_edge(graph, (graph)->nodes[node].first_lower); edge;  \
	     edge = graph_edge(graph, edge->next_lower))
#define graph_each_upper(graph, node, edge)                                                        \
	for (const struct edge *edge = graph_edge(graph, (graph)->nodes[node].first_upper); edge;  \
	     edge = graph_edge(graph, edge->next_upper))

static inline const struct edge *graph_edge(const struct graph *graph, uint32_t index)
{
	return index == GRAPH_NONE ? NULL : &graph->edges[index];
}

#endif
