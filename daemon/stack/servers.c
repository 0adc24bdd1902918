/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the processes that serve storage from user space, by the devices that they have open:
 *
 *   /dev/fuse    FUSE. Since Linux 6.18 fdinfo tells of which connection the descriptor is; that is
 *                the minor number of the filesystem's st_dev. Before, it takes a guess.
 *   /dev/ublkcN  ublk: the server of /dev/ublkbN
 *   /dev/nbdN    nbd: who serves, or who asks a server
 *   /dev/uioN    TCM in user space (tcmu-runner): tcmu.c finds the disk
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "stack/stack.h"
#include "stack/tcmu.h"

#define COMM_SIZE 64

/* A pass over the open files of one process. */
struct pass {
	struct stack *stack;
	pid_t pid;
	bool guesses; /* a descriptor of /dev/fuse doesn't tell its connection */
};

/* Processes that have /dev/fuse open, and nothing tells for which filesystem. */
struct candidates {
	pid_t pid[256];
	uint32_t count;
};

static bool is_fuse(const struct node *node)
{
	return node->kind == NODE_FILESYSTEM && strncmp(node->type, "fuse", 4) == 0 &&
	       (!node->type[4] || node->type[4] == '.' || strncmp(node->type + 4, "blk", 3) == 0);
}

static uint32_t process_node(struct stack *stack, pid_t pid)
{
	char comm[COMM_SIZE] = "?";

	(void)system_read(stack->system, PATH("proc/%d/comm", pid), comm, sizeof(comm));
	return graph_add(&stack->graph, NODE_PROCESS, (uint64_t)pid, comm, "");
}

/* PID serves NODE. */
static void serve(struct stack *stack, uint32_t node, pid_t pid, const char *evidence)
{
	if (node != GRAPH_NONE)
		graph_connect(&stack->graph, EDGE_SERVED, node, process_node(stack, pid), evidence);
}

static void serve_fuse(struct pass *pass, const char *fd)
{
	struct stack *stack = pass->stack;
	unsigned connection;
	char evidence[64], *line;
	struct system_lines lines;

	if (system_lines_open(stack->system, PATH("proc/%d/fdinfo/%s", pass->pid, fd), &lines) < 0)
		return;
	pass->guesses = true;
	while ((line = system_lines_next(&lines))) {
		uint32_t node;

		if (sscanf(line, "fuse_connection: %u", &connection) != 1)
			continue;
		pass->guesses = false;
		node = graph_find(&stack->graph, NODE_FILESYSTEM, makedev(0, connection));
		if (node == GRAPH_NONE)
			continue;
		(void)snprintf(evidence, sizeof(evidence), "/proc/%d/fdinfo/%s: fuse_connection %u",
			       pass->pid, fd, connection);
		serve(stack, node, pass->pid, evidence);
	}
	system_lines_close(&lines);
}

/* The process serves DEVICE, as its descriptor FD shows. */
static void serve_device(const struct pass *pass, const char *fd, uint32_t device)
{
	char evidence[64];

	(void)snprintf(evidence, sizeof(evidence), "/proc/%d/fd/%s", pass->pid, fd);
	serve(pass->stack, device, pass->pid, evidence);
}

static int look_for_service(void *arg, const char *fd)
{
	struct pass *pass = arg;
	struct stack *stack = pass->stack;
	char link[PATH_MAX], device[64];
	unsigned number;

	if (system_link(stack->system, PATH("proc/%d/fd/%s", pass->pid, fd), link, sizeof(link)) <
	    0)
		return 0;
	if (strcmp(link, "/dev/fuse") == 0) {
		serve_fuse(pass, fd);
	} else if (sscanf(link, "/dev/ublkc%u", &number) == 1) {
		(void)snprintf(device, sizeof(device), "/dev/ublkb%u", number);
		serve_device(pass, fd, stack_device_named(stack, device));
	} else if (sscanf(link, "/dev/nbd%u", &number) == 1) {
		serve_device(pass, fd, stack_device_named(stack, link));
	} else if (sscanf(link, "/dev/uio%u", &number) == 1) {
		serve_device(pass, fd, tcmu_disk(stack, number));
	}
	return 0;
}

uint32_t stack_process(struct stack *stack, pid_t pid)
{
	uint32_t node = graph_find(&stack->graph, NODE_PROCESS, (uint64_t)pid);
	char comm[COMM_SIZE];

	if (node != GRAPH_NONE)
		return node;
	if (system_read(stack->system, PATH("proc/%d/comm", pid), comm, sizeof(comm)) < 0)
		return GRAPH_NONE;
	node = process_node(stack, pid);
	if (node != GRAPH_NONE)
		stack_read_needs(stack, node);
	return node;
}

struct search {
	struct stack *stack;
	struct candidates candidates;
	uint32_t closed; /* processes whose open files can't be read */
};

static int look_at_process(void *arg, const char *name)
{
	struct search *search = arg;
	struct pass pass = { .stack = search->stack, .pid = atoi(name) };
	int r;

	if (pass.pid <= 0)
		return 0;
	r = system_names(search->stack->system, PATH("proc/%d/fd", pass.pid), look_for_service,
			 &pass);
	if (r == -EACCES || r == -EPERM)
		search->closed++;
	if (pass.guesses && search->candidates.count < ARRAY_SIZE(search->candidates.pid))
		search->candidates.pid[search->candidates.count++] = pass.pid;
	return 0;
}

/* Whether a process of the name COMM looks like the server of a filesystem of type "fuse.COMM". */
static bool is_namesake(const struct node *node, const char *comm)
{
	return node->type[4] == '.' && strncmp(node->type + 5, comm, strlen(comm)) == 0;
}

/* Gives each FUSE filesystem that has no server yet the candidates that can be it. */
static void guess(struct stack *stack, const struct candidates *candidates)
{
	uint32_t unserved = 0;

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		unserved += is_fuse(node) && node->first_lower == GRAPH_NONE;
	}
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		if (!is_fuse(node) || node->first_lower != GRAPH_NONE)
			continue;
		for (uint32_t c = 0; c < candidates->count; c++) {
			char comm[COMM_SIZE] = "";

			(void)system_read(stack->system, PATH("proc/%d/comm", candidates->pid[c]),
					  comm, sizeof(comm));
			if (unserved == 1)
				serve(stack, i, candidates->pid[c],
				      "the only FUSE mount, and the process has /dev/fuse open");
			else if (*comm && is_namesake(node, comm))
				serve(stack, i, candidates->pid[c],
				      "the process has /dev/fuse open and the mount's name");
		}
	}
}

int stack_read_servers(struct stack *stack)
{
	struct search search = { .stack = stack };
	int r = system_names(stack->system, "proc", look_at_process, &search);

	if (r < 0)
		return r;
	guess(stack, &search.candidates);
	if (search.closed)
		stack_unseen(stack, "the open files of %u processes of other users", search.closed);
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (stack->graph.nodes[i].kind == NODE_PROCESS)
			stack_read_needs(stack, i);
	}
	return 0;
}
