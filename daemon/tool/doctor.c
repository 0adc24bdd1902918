/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stack/judge.h"
#include "stack/stack.h"
#include "tool/arguments.h"
#include "tool/doctor-print.h"
#include "tool/tell.h"

enum { OPTION_ALL, OPTION_JSON, OPTION_DOT, OPTION_COUNT };

static const struct option options[] = {
	[OPTION_ALL] = ARGUMENTS_FLAG("all"),
	[OPTION_JSON] = ARGUMENTS_FLAG("json"),
	[OPTION_DOT] = ARGUMENTS_FLAG("dot"),
	[OPTION_COUNT] = { 0 },
};

/* A filesystem in memory, or one of another container, is in the way unless it is asked for. */
static bool is_of_interest(const struct stack *stack, uint32_t index)
{
	const struct node *node = &stack->graph.nodes[index];

	switch (node->kind) {
	case NODE_FILESYSTEM:
		break;
	case NODE_DEVICE:
	case NODE_SWAP:
		return true;
	case NODE_PROCESS:
	case NODE_PEER:
	case NODE_KINDS:
		return false;
	}
	if (node->first_lower == GRAPH_NONE && !stack_is_fuse(node))
		return false;
	for (uint32_t i = 0; i < stack->mount_count; i++) {
		if (stack->mounts[i].filesystem == index && stack->mounts[i].ns == 0)
			return true;
	}
	return false;
}

static void ask_for_everything(const struct stack *stack, bool all, uint8_t *asked)
{
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (all || is_of_interest(stack, i))
			graph_mark_lower(&stack->graph, i, asked);
	}
}

/* A number is a PID; a directory of that name can be given as ./NAME. */
static uint32_t find_object(struct stack *stack, const char *object)
{
	uint64_t pid;

	if (arguments_number(object, INT32_MAX, &pid) == 0)
		return stack_process(stack, (pid_t)pid);
	return stack_find(stack, object);
}

/* Marks what process NODE needs, and all that needs it, with what that needs. */
static bool ask_for_process(const struct stack *stack, uint32_t node, uint8_t *asked)
{
	autofree uint8_t *upper = calloc(stack->graph.node_count, 1);

	if (!upper)
		return false;
	graph_mark_upper(&stack->graph, node, upper);
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (upper[i])
			graph_mark_lower(&stack->graph, i, asked);
	}
	return true;
}

static bool ask_for(struct stack *stack, const char *object, uint8_t *asked)
{
	uint32_t node = *object ? find_object(stack, object) : GRAPH_NONE;

	if (node == GRAPH_NONE) {
		tell("%s: find: no mount, block device, swap area or process is seen there",
		     object);
		return false;
	}
	if (stack->graph.nodes[node].kind == NODE_PROCESS)
		return ask_for_process(stack, node, asked);
	graph_mark_lower(&stack->graph, node, asked);
	return true;
}

static int exit_code(const struct stack *stack, const struct judge *judge)
{
	switch (judge->worst) {
	case SEVERITY_FAIL:
		return DOCTOR_FAIL;
	case SEVERITY_WARN:
		return DOCTOR_WARN;
	case SEVERITY_INFO:
		break;
	}
	/* what isn't seen may be wrong */
	return stack->unseen_count || stack->graph.left_off || judge->left_off ? DOCTOR_WARN
									       : DOCTOR_FINE;
}

static int report(struct stack *stack, const uint8_t *asked, const char *const *values)
{
	autofree struct judge *judge = malloc(sizeof(*judge));
	struct doctor_report report = { .stack = stack, .judge = judge, .asked = asked };

	if (!judge || judge_stack(judge, stack, asked) < 0) {
		tell("stack: judge: %s", strerror(ENOMEM));
		return DOCTOR_CANNOT;
	}
	if (values[OPTION_JSON])
		doctor_print_json(stdout, &report);
	else if (values[OPTION_DOT])
		doctor_print_dot(stdout, &report);
	else
		doctor_print_tree(stdout, &report);
	return exit_code(stack, judge);
}

static int examine(struct stack *stack, char **objects, size_t count, const char *const *values)
{
	autofree uint8_t *asked = NULL;
	int r = stack_scan(stack);

	if (r < 0) {
		tell("/proc and /sys: read: %s", strerror(-r));
		return DOCTOR_CANNOT;
	}
	/* a process that is asked for may still be added, with the devices that it has open */
	asked = calloc(stack->graph.node_max, 1);
	if (!asked) {
		tell("stack: draw: %s", strerror(ENOMEM));
		return DOCTOR_CANNOT;
	}
	for (size_t i = 0; i < count; i++) {
		if (!ask_for(stack, objects[i], asked))
			return DOCTOR_CANNOT;
	}
	if (!count)
		ask_for_everything(stack, values[OPTION_ALL], asked);
	return report(stack, asked, values);
}

int doctor_command(int argc, char **argv)
{
	const char *values[OPTION_COUNT] = { NULL };
	struct system system;
	struct stack stack;
	size_t count;
	int r, code;

	if (!arguments_parse_many(argc, argv, options, values, &count))
		return DOCTOR_CANNOT;
	if (values[OPTION_JSON] && values[OPTION_DOT]) {
		tell("--json: parse: is given with --dot");
		return DOCTOR_CANNOT;
	}
	if (values[OPTION_ALL] && count) {
		tell("--all: parse: is given with an object");
		return DOCTOR_CANNOT;
	}
	r = system_open(&system);
	if (r == 0)
		r = stack_create(&stack, &system);
	if (r < 0) {
		tell("stack: draw: %s", strerror(-r));
		return DOCTOR_CANNOT;
	}
	code = examine(&stack, argv, count, values);
	stack_destroy(&stack);
	system_close(&system);
	return code;
}
