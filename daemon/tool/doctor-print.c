/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/doctor-print.h"

#include <json-c/json.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "base/printable.h"
#include "tool/json.h"

#define LINE_SIZE (PATH_MAX + 512)
#define DEPTH_MAX 100

static const char *const edge_names[EDGE_KINDS] = {
	[EDGE_ON] = "on",	  [EDGE_FILE] = "file",	      [EDGE_SERVED] = "served by",
	[EDGE_OPEN] = "has open", [EDGE_PROGRAM] = "program", [EDGE_CWD] = "directory",
};

/* Writes how NODE is called to NAME. */
static void name_of(const struct node *node, char *name, size_t size)
{
	switch (node->kind) {
	case NODE_PROCESS:
		(void)snprintf(name, size, "%s(%llu)", node->name,
			       (unsigned long long)node->number);
		break;
	case NODE_FILESYSTEM:
	case NODE_DEVICE:
	case NODE_SWAP:
	case NODE_PEER:
	case NODE_KINDS:
		(void)snprintf(name, size, "%s", node->name);
		break;
	}
}

/* Prints a line with a newline. Bytes that could harm a terminal become "?". */
__attribute__((format(printf, 2, 3))) static void put(FILE *out, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	printable_line(line);
	fprintf(out, "%s\n", line);
}

/* --- the tree --- */

struct tree {
	FILE *out;
	const struct doctor_report *report;
	uint8_t *shown;	      /* a byte for each node */
	char prefix[512];     /* of the present line */
	char line[LINE_SIZE]; /* room for it, which would be much in a recursion */
	uint32_t depth;
	const char *branch, *last, *down, *gap;
};

/* Appends the ids of the verdicts about NODE to LINE, the worst first. */
static void add_marks(const struct tree *tree, uint32_t node, char *line, size_t size)
{
	const struct judge *judge = tree->report->judge;
	bool is_first = true;

	for (uint32_t i = 0; i < judge->count; i++) {
		const struct verdict *verdict = &judge->verdicts[i];
		size_t len = strlen(line);

		if (verdict->node != node || strstr(line, verdict->rule->id))
			continue;
		(void)snprintf(line + len, size - len, "%s%s%s", is_first ? "  [" : ", ",
			       is_first ? severity_name(verdict->severity) : "",
			       is_first ? ": " : "");
		len = strlen(line);
		(void)snprintf(line + len, size - len, "%s", verdict->rule->id);
		is_first = false;
	}
	if (!is_first)
		strncat(line, "]", size - strlen(line) - 1);
}

static void show(struct tree *tree, uint32_t index, const struct edge *edge, bool is_last);

/* The next edge below EDGE's upper node that leads to another node than EDGE does. */
static const struct edge *next_of(const struct graph *graph, const struct edge *edge)
{
	uint32_t lower = edge->lower;

	do
		edge = graph_edge(graph, edge->next_lower);
	while (edge && edge->lower == lower);
	return edge;
}

/* Edges to the same node are on one line, if they follow each other. */
static void show_lower(struct tree *tree, uint32_t index)
{
	const struct graph *graph = &tree->report->stack->graph;
	const struct edge *edge = graph_edge(graph, graph->nodes[index].first_lower), *next;

	for (; edge; edge = next) {
		next = next_of(graph, edge);
		show(tree, edge->lower, edge, !next);
	}
}

/* Appends what EDGE, and those beside it to the same node, mean. */
static void add_edges_of(const struct graph *graph, const struct edge *edge, char *line,
			 size_t size)
{
	const uint32_t lower = edge->lower;
	const char *separator = "  ";

	for (; edge && edge->lower == lower; edge = graph_edge(graph, edge->next_lower)) {
		size_t len = strlen(line);
		bool has_path = edge->kind != EDGE_SERVED && *edge->text;

		if (edge->kind == EDGE_ON)
			continue;
		(void)snprintf(line + len, size - len, "%s%s%s%s", separator,
			       edge_names[edge->kind], has_path ? " " : "",
			       has_path ? edge->text : "");
		separator = ", ";
	}
}

/* Makes the line of NODE, to which EDGE has led, without its prefix. */
static void make_line(struct tree *tree, uint32_t index, const struct edge *edge, bool is_again)
{
	const struct graph *graph = &tree->report->stack->graph;
	const struct node *node = &graph->nodes[index];
	char name[PATH_MAX];

	name_of(node, name, sizeof(name));
	(void)snprintf(tree->line, sizeof(tree->line), "%s%s%s%s", name, *node->type ? "  " : "",
		       node->type, is_again ? "  (see above)" : "");
	if (edge)
		add_edges_of(graph, edge, tree->line, sizeof(tree->line));
	add_marks(tree, index, tree->line, sizeof(tree->line));
}

static void show(struct tree *tree, uint32_t index, const struct edge *edge, bool is_last)
{
	const struct node *node = &tree->report->stack->graph.nodes[index];
	size_t len = strlen(tree->prefix);
	bool is_again = tree->shown[index] && node->first_lower != GRAPH_NONE;

	make_line(tree, index, edge, is_again);
	put(tree->out, "%s%s%s", tree->prefix,
	    !edge     ? ""
	    : is_last ? tree->last
		      : tree->branch,
	    tree->line);
	if (is_again)
		return;
	tree->shown[index] = 1;
	(void)snprintf(tree->prefix + len, sizeof(tree->prefix) - len, "%s",
		       !edge	 ? ""
		       : is_last ? tree->gap
				 : tree->down);
	if (tree->depth++ < DEPTH_MAX)
		show_lower(tree, index);
	else
		put(tree->out, "%s...", tree->prefix);
	tree->depth--;
	tree->prefix[len] = '\0';
}

/* Whether nothing that is asked for needs the node INDEX. */
static bool is_top(const struct doctor_report *report, uint32_t index)
{
	graph_each_upper (&report->stack->graph, index, edge) {
		if (report->asked[edge->upper])
			return false;
	}
	return true;
}

static void show_all(struct tree *tree)
{
	const struct doctor_report *report = tree->report;
	const struct graph *graph = &report->stack->graph;

	/* first what nothing lies on; then what is left, which is in a cycle */
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (report->asked[i] && !tree->shown[i] && is_top(report, i))
			show(tree, i, NULL, true);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (report->asked[i] && !tree->shown[i])
			show(tree, i, NULL, true);
	}
}

static void print_verdicts(FILE *out, const struct doctor_report *report)
{
	for (uint32_t i = 0; i < report->judge->count; i++) {
		const struct verdict *verdict = &report->judge->verdicts[i];
		char name[PATH_MAX];

		name_of(&report->stack->graph.nodes[verdict->node], name, sizeof(name));
		put(out, "%s %s: %s %s", severity_name(verdict->severity), verdict->rule->id, name,
		    verdict->rule->title);
		put(out, "     seen:   %s", verdict->evidence);
		put(out, "     remedy: %s", verdict->rule->remedy);
	}
}

/* What couldn't be seen, and what found no room. */
static void print_unseen(FILE *out, const struct doctor_report *report)
{
	const struct stack *stack = report->stack;
	uint32_t left_off = stack->graph.left_off + report->judge->left_off;

	for (uint32_t i = 0; i < stack->unseen_count; i++)
		put(out, "not seen: %s", stack->unseen[i]);
	if (left_off)
		put(out, "not seen: %u things for which there was no room", left_off);
}

void doctor_print_tree(FILE *out, const struct doctor_report *report)
{
	struct tree tree = { .out = out, .report = report };
	bool is_utf8;

	(void)setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	tree.branch = is_utf8 ? "├─" : "|-";
	tree.last = is_utf8 ? "└─" : "`-";
	tree.down = is_utf8 ? "│ " : "| ";
	tree.gap = "  ";
	tree.shown = calloc(MAX(report->stack->graph.node_count, 1u), 1);
	if (tree.shown)
		show_all(&tree);
	free(tree.shown);
	print_verdicts(out, report);
	print_unseen(out, report);
}

/* --- JSON --- */

static struct json_object *text_of(const char *text)
{
	return json_object_new_string(text);
}

static void add_nodes(struct json_object *document, const struct doctor_report *report)
{
	const struct graph *graph = &report->stack->graph;
	struct json_object *nodes = json_object_new_array();

	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];
		struct json_object *object;
		char number[32];

		if (!report->asked[i])
			continue;
		object = json_object_new_object();
		json_add(object, "id", json_object_new_int64(i));
		json_add(object, "kind", text_of(graph_kind_name(node->kind)));
		json_add(object, "name", text_of(node->name));
		json_add(object, "type", text_of(node->type));
		if (node->kind == NODE_FILESYSTEM || node->kind == NODE_DEVICE) {
			(void)snprintf(number, sizeof(number), "%u:%u", major(node->number),
				       minor(node->number));
			json_add(object, "dev", text_of(number));
		} else if (node->kind == NODE_PROCESS) {
			json_add(object, "pid", json_object_new_int64((int64_t)node->number));
		}
		json_append(nodes, object);
	}
	json_add(document, "nodes", nodes);
}

static void add_edges(struct json_object *document, const struct doctor_report *report)
{
	const struct graph *graph = &report->stack->graph;
	struct json_object *edges = json_object_new_array();

	for (uint32_t i = 0; i < graph->edge_count; i++) {
		const struct edge *edge = &graph->edges[i];
		struct json_object *object;

		if (!report->asked[edge->upper])
			continue;
		object = json_object_new_object();
		json_add(object, "kind", text_of(edge_names[edge->kind]));
		json_add(object, "upper", json_object_new_int64(edge->upper));
		json_add(object, "lower", json_object_new_int64(edge->lower));
		json_add(object, "text", text_of(edge->text));
		json_append(edges, object);
	}
	json_add(document, "edges", edges);
}

static void add_verdicts(struct json_object *document, const struct judge *judge)
{
	struct json_object *verdicts = json_object_new_array();

	for (uint32_t i = 0; i < judge->count; i++) {
		const struct verdict *verdict = &judge->verdicts[i];
		struct json_object *object = json_object_new_object();

		json_add(object, "rule", text_of(verdict->rule->id));
		json_add(object, "severity", text_of(severity_name(verdict->severity)));
		json_add(object, "node", json_object_new_int64(verdict->node));
		json_add(object, "title", text_of(verdict->rule->title));
		json_add(object, "evidence", text_of(verdict->evidence));
		json_add(object, "remedy", text_of(verdict->rule->remedy));
		json_append(verdicts, object);
	}
	json_add(document, "verdicts", verdicts);
}

void doctor_print_json(FILE *out, const struct doctor_report *report)
{
	struct json_object *document = json_object_new_object();
	struct json_object *unseen = json_object_new_array();

	add_nodes(document, report);
	add_edges(document, report);
	add_verdicts(document, report->judge);
	for (uint32_t i = 0; i < report->stack->unseen_count; i++)
		json_append(unseen, text_of(report->stack->unseen[i]));
	json_add(document, "not_seen", unseen);
	json_add(document, "left_off",
		 json_object_new_int64(report->stack->graph.left_off + report->judge->left_off));
	json_print(out, document, JSON_PRETTY);
	fputc('\n', out);
	(void)json_object_put(document);
}

/* --- DOT --- */

/* Prints TEXT as a quoted string of the DOT language. */
static void put_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		size_t len = printable_len(text);

		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fprintf(out, "%.*s", (int)MAX(len, (size_t)1), len ? text : "?");
		text += MAX(len, (size_t)1);
	}
	fputc('"', out);
}

static const char *colour_of(const struct judge *judge, uint32_t node)
{
	/* the worst verdict comes first */
	for (uint32_t i = 0; i < judge->count; i++) {
		if (judge->verdicts[i].node != node)
			continue;
		switch (judge->verdicts[i].severity) {
		case SEVERITY_FAIL:
			return "red";
		case SEVERITY_WARN:
			return "orange";
		case SEVERITY_INFO:
			break;
		}
		break;
	}
	return "black";
}

void doctor_print_dot(FILE *out, const struct doctor_report *report)
{
	const struct graph *graph = &report->stack->graph;
	char label[PATH_MAX + 128], name[PATH_MAX];

	fprintf(out, "digraph stack {\n\tnode [shape=box];\n");
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (!report->asked[i])
			continue;
		name_of(&graph->nodes[i], name, sizeof(name));
		(void)snprintf(label, sizeof(label), "%s %s", graph->nodes[i].type, name);
		fprintf(out, "\tn%u [color=%s, label=", i, colour_of(report->judge, i));
		put_quoted(out, label);
		fprintf(out, "];\n");
	}
	for (uint32_t i = 0; i < graph->edge_count; i++) {
		const struct edge *edge = &graph->edges[i];

		if (!report->asked[edge->upper])
			continue;
		fprintf(out, "\tn%u -> n%u [label=", edge->upper, edge->lower);
		put_quoted(out, edge_names[edge->kind]);
		fprintf(out, "];\n");
	}
	fprintf(out, "}\n");
}
