/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/watch-print.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "tool/json.h"

static struct json_object *node_of(const struct node *node)
{
	struct json_object *object = json_object_new_object();

	json_add(object, "kind", json_object_new_string(graph_kind_name(node->kind)));
	json_add(object, "name", json_object_new_string(node->name));
	json_add(object, "type", json_object_new_string(node->type));
	if (node->kind == NODE_PROCESS)
		json_add(object, "pid", json_object_new_int64((int64_t)node->number));
	return object;
}

static struct json_object *task_of(const struct waiter *waiter)
{
	struct json_object *object = json_object_new_object();

	json_add(object, "kind", json_object_new_string("task"));
	json_add(object, "name", json_object_new_string(waiter->comm));
	json_add(object, "pid", json_object_new_int64(waiter->pid));
	json_add(object, "tid", json_object_new_int64(waiter->tid));
	json_add(object, "does", json_object_new_string(waiter_action(waiter)));
	json_add(object, "waits", json_object_new_string(wait_text(waiter->wait.kind)));
	json_add(object, "function", json_object_new_string(waiter->wait.where));
	return object;
}

bool watch_json(const struct chains *chains, const struct chain *chain, char *text, size_t size)
{
	const struct node *nodes = chains->stack->graph.nodes;
	struct json_object *document = json_object_new_object();
	struct json_object *hops = json_object_new_array();
	char line[CHAIN_TEXT_SIZE];
	bool is_whole = false;
	FILE *out;

	for (uint32_t i = 0; i < chain->count; i++) {
		const struct hop *hop = &chain->hops[i];

		json_append(hops, hop->waiter ? task_of(hop->waiter) : node_of(&nodes[hop->node]));
	}
	chain_text(chains, chain, line, sizeof(line));
	json_add(document, "end", json_object_new_string(chain_end_name(chain->end)));
	json_add(document, "seconds", json_object_new_int64(chain->for_ms / 1000));
	json_add(document, "text", json_object_new_string(line));
	json_add(document, "hops", hops);
	if (chain->back == GRAPH_NONE)
		json_add_null(document, "back");
	else
		json_add(document, "back", node_of(&nodes[chain->back]));
	out = fmemopen(text, size, "w");
	if (out) {
		json_print(out, document, JSON_C_TO_STRING_PLAIN);
		fputc('\n', out);
		/* without room for the NUL, this fails */
		is_whole = fclose(out) == 0 && memchr(text, '\n', size);
	}
	(void)json_object_put(document);
	return is_whole;
}
