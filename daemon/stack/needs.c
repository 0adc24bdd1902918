/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the filesystems and devices that a process needs in order to go on: where its open files
 * are, its program and libraries, its sockets and its working directory.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "stack/careful.h"
#include "stack/namespaces.h"
#include "stack/stack.h"

struct needs {
	struct stack *stack;
	uint32_t node;
	pid_t pid;
	uint64_t ns;		    /* its mount namespace */
	unsigned long sockets[128]; /* inode numbers */
	uint32_t socket_count;
};

/* The file at PATH, as the process sees it. */
static void need_path(const struct needs *needs, enum edge_kind kind, const char *path)
{
	const struct mount *mount = stack_mount_of(needs->stack, needs->ns, path);

	if (mount)
		graph_connect(&needs->stack->graph, kind, needs->node, mount->filesystem, path);
}

/* A device that it has open. What it serves isn't what it needs. Returns false if it is none. */
static bool need_device(const struct needs *needs, const char *path)
{
	struct graph *graph = &needs->stack->graph;
	uint32_t device = stack_device_named(needs->stack, path);

	if (device == GRAPH_NONE)
		return false;
	graph_each_lower (graph, device, edge) {
		if (edge->kind == EDGE_SERVED && edge->lower == needs->node)
			return true;
	}
	graph_connect(graph, EDGE_OPEN, needs->node, device, path);
	return true;
}

/* The file that it has open as FD. */
static void need_file(const struct needs *needs, const char *fd, const char *path)
{
	const struct mount *mount = stack_mount_of_fd(needs->stack, needs->pid, fd);

	if (mount)
		graph_connect(&needs->stack->graph, EDGE_OPEN, needs->node, mount->filesystem,
			      path);
}

static int need_descriptor(void *arg, const char *fd)
{
	struct needs *needs = arg;
	char link[PATH_MAX];
	unsigned long inode;

	if (system_link(needs->stack->system, PATH("proc/%d/fd/%s", needs->pid, fd), link,
			sizeof(link)) < 0)
		return 0;
	if (strcmp(link, "anon_inode:[io_uring]") == 0)
		needs->stack->graph.nodes[needs->node].has_rings = true;
	else if (link[0] == '/' && !need_device(needs, link))
		need_file(needs, fd, link);
	else if (sscanf(link, "socket:[%lu]", &inode) == 1 &&
		 needs->socket_count < ARRAY_SIZE(needs->sockets))
		needs->sockets[needs->socket_count++] = inode;
	return 0;
}

static bool has_socket(const struct needs *needs, unsigned long inode)
{
	for (uint32_t i = 0; i < needs->socket_count; i++) {
		if (needs->sockets[i] == inode)
			return true;
	}
	return false;
}

/* Sockets with a name: "ADDRESS: REFERENCES PROTOCOL FLAGS TYPE STATE INODE PATH". */
static void need_sockets(const struct needs *needs)
{
	struct system_lines lines;
	unsigned long inode;
	char *line;
	int at;

	if (!needs->socket_count ||
	    system_lines_open(needs->stack->system, PATH("proc/%d/net/unix", needs->pid), &lines) <
		    0)
		return;
	while ((line = system_lines_next(&lines))) {
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %lu %n", &inode, &at) == 1 &&
		    line[at] == '/' && has_socket(needs, inode))
			need_path(needs, EDGE_OPEN, line + at);
	}
	system_lines_close(&lines);
}

static void need_link(const struct needs *needs, enum edge_kind kind, const char *name)
{
	char link[PATH_MAX];

	if (reader_link(needs->stack->reader, PATH("proc/%d/%s", needs->pid, name), link,
			sizeof(link)) > 0)
		need_path(needs, kind, link);
}

/* --- libraries --- */

/*
 * Lines such as "7f00-7f10 r-xp 00000000 08:01 123    /usr/lib/libc.so.6". What is executable is a
 * program or a library, what is shared is data.
 */
static void need_mapped_files(const struct needs *needs, struct system_lines *lines)
{
	char *line, *path, *rights;

	while ((line = system_lines_next(lines))) {
		path = strchr(line, '/');
		rights = strchr(line, ' ');
		if (!path || !rights || path - rights < 5 || strstr(path, " (deleted)") ||
		    strncmp(path, "/dev/", strlen("/dev/")) == 0)
			continue;
		if (rights[3] == 'x')
			need_path(needs, EDGE_PROGRAM, path);
		else if (rights[4] == 's')
			need_path(needs, EDGE_OPEN, path);
	}
}

static void need_libraries(const struct needs *needs)
{
	struct careful maps;

	if (careful_open(needs->stack->system, PATH("proc/%d/maps", needs->pid), &maps) < 0)
		return;
	need_mapped_files(needs, &maps.lines);
	if (careful_close(&maps) < 0)
		stack_unseen(needs->stack, "the libraries of process %d: it hangs", needs->pid);
}

void stack_read_needs(struct stack *stack, uint32_t process)
{
	pid_t pid = (pid_t)stack->graph.nodes[process].number;
	struct needs needs = {
		.stack = stack,
		.node = process,
		.pid = pid,
		.ns = namespace_of(stack, pid),
	};

	if (system_names(stack->system, PATH("proc/%d/fd", pid), need_descriptor, &needs) < 0)
		stack_unseen(stack, "the open files of process %d", pid);
	need_sockets(&needs);
	need_link(&needs, EDGE_PROGRAM, "exe");
	if (!stack->without_forks)
		need_libraries(&needs);
	need_link(&needs, EDGE_CWD, "cwd");
}
