/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the processes that serve storage from user space, by the devices that they have open:
 *
 *   /dev/fuse    FUSE. On newer kernels (6.18 does it, 6.1 doesn't) fdinfo tells the connection's
 *                number, which is the filesystem's st_dev: the major number in the upper 12 bits.
 *                On others it takes a guess.
 *   /dev/ublkcN  ublk: the server of /dev/ublkbN
 *   /dev/nbdN    nbd: the process whose thread waits in the disk for its end; or there is none,
 *                since a client such as nbd-client has given its connection to the kernel. The
 *                server is who has the other end of that connection, if it is on this machine.
 *   /dev/uioN    TCM in user space (tcmu-runner): tcmu.c finds the disk
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "stack/sockets.h"
#include "stack/stack.h"
#include "stack/tcmu.h"

#define COMM_SIZE 64

/* A pass over the open files of one process. */
struct pass {
	struct stack *stack;
	pid_t pid;
	bool guesses; /* a descriptor of /dev/fuse doesn't tell its connection */
	bool knows;   /* one does: this kernel can tell */
};

/* Processes that have /dev/fuse open, and nothing tells for which filesystem. */
struct candidates {
	pid_t pid[256];
	uint32_t count;
};

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
		pass->knows = true;
		node = graph_find(&stack->graph, NODE_FILESYSTEM, stack_fuse_dev(connection));
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

/* Others may have the disk open, too. The kernel knows which thread waits in it for its end. */
static void serve_nbd(const struct pass *pass, const char *fd, unsigned number)
{
	struct stack *stack = pass->stack;
	char comm[COMM_SIZE];
	int64_t tid;

	if (system_number(stack->system, PATH("sys/class/block/nbd%u/pid", number), &tid) == 0 &&
	    system_read(stack->system, PATH("proc/%d/task/%lld/comm", pass->pid, (long long)tid),
			comm, sizeof(comm)) > 0)
		serve_device(pass, fd, stack_device_named(stack, PATH("/dev/nbd%u", number)));
}

static void note_socket(const struct pass *pass, const char *fd, const char *link)
{
	unsigned long long inode;

	if (pass->stack->sockets->count && sscanf(link, "socket:[%llu]", &inode) == 1)
		sockets_note(pass->stack->sockets, inode, pass->pid, atoi(fd));
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
		serve_nbd(pass, fd, number);
	} else if (sscanf(link, "/dev/uio%u", &number) == 1) {
		serve_device(pass, fd, tcmu_disk(stack, number));
	} else {
		note_socket(pass, fd, link);
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
	bool knows;	 /* the kernel tells whose descriptors of /dev/fuse are */
};

static int look_at_process(void *arg, const char *name)
{
	struct search *search = arg;
	struct pass pass = { .stack = search->stack, .pid = atoi(name) };
	int r;

	if (pass.pid <= 0 || stack_hangs(search->stack, pass.pid))
		return 0;
	r = system_names(search->stack->system, PATH("proc/%d/fd", pass.pid), look_for_service,
			 &pass);
	if (r == -EACCES || r == -EPERM)
		search->closed++;
	search->knows |= pass.knows;
	if (pass.guesses && search->candidates.count < ARRAY_SIZE(search->candidates.pid))
		search->candidates.pid[search->candidates.count++] = pass.pid;
	return 0;
}

/* Whether ARGUMENT of a command line has "mountpoint=MOUNTPOINT", as of qemu-storage-daemon. */
static bool has_mountpoint(const char *argument, const char *mountpoint)
{
	const char *value = strstr(argument, "mountpoint=");
	size_t len = strlen(mountpoint);

	if (!value)
		return false;
	value += strlen("mountpoint=");
	return strncmp(value, mountpoint, len) == 0 && (!value[len] || value[len] == ',');
}

/* Whether ARGUMENT of a command line is MOUNTPOINT, perhaps as a relative path, or has it. */
static bool is_mountpoint(const char *argument, const char *mountpoint)
{
	if (argument[0] == '/')
		return strcmp(argument, mountpoint) == 0;
	if (has_mountpoint(argument, mountpoint))
		return true;
	return *argument && strcmp(basename(argument), basename(mountpoint)) == 0;
}

static bool has_argument(struct stack *stack, pid_t pid, const char *mountpoint)
{
	char text[READER_TEXT_SIZE];
	ssize_t len =
		reader_read(stack->reader, PATH("proc/%d/cmdline", pid), 0, text, sizeof(text));

	if (reader_is_late(len))
		stack_unseen(stack, "the command line of process %d: it hangs", pid);
	/* after the program's name, each argument with a NUL; a long line is cut */
	for (ssize_t at = (ssize_t)strnlen(text, len < 0 ? 0 : (size_t)len) + 1; at < len;) {
		if (is_mountpoint(text + at, mountpoint))
			return true;
		at += (ssize_t)strlen(text + at) + 1;
	}
	return false;
}

/* Finds the servers of the FUSE filesystem NODE among CANDIDATES. IS_ONLY: none else lacks one. */
static void guess_servers(struct stack *stack, uint32_t node, const struct candidates *candidates,
			  bool is_only)
{
	const char *mountpoint = stack->graph.nodes[node].name;

	for (uint32_t i = 0; i < candidates->count; i++) {
		pid_t pid = candidates->pid[i];

		if (is_only)
			serve(stack, node, pid,
			      "it has /dev/fuse open, and no other mount lacks a server");
		else if (has_argument(stack, pid, mountpoint))
			serve(stack, node, pid,
			      "it has /dev/fuse open, and the mountpoint as argument");
	}
}

static bool lacks_server(const struct stack *stack, uint32_t node)
{
	return stack_is_fuse(&stack->graph.nodes[node]) && !stack_has_server(stack, node);
}

/* Guesses the servers of the FUSE filesystems that have none yet. */
static void guess(struct stack *stack, const struct candidates *candidates)
{
	uint32_t count = stack->graph.node_count, lacking = 0;

	for (uint32_t i = 0; i < count; i++)
		lacking += lacks_server(stack, i);
	for (uint32_t i = 0; i < count && candidates->count; i++) {
		if (lacks_server(stack, i))
			guess_servers(stack, i, candidates, lacking == 1);
	}
}

/* Whether NODE is a network block device that is connected. */
static bool is_connected_nbd(const struct stack *stack, const struct node *node)
{
	int64_t pid;

	return node->kind == NODE_DEVICE && strcmp(node->type, "nbd") == 0 &&
	       system_number(stack->system, PATH("sys/class/block/%s/pid", node->name), &pid) == 0;
}

/* The process that serves NODE, or 0. */
static pid_t server_of(const struct stack *stack, uint32_t node)
{
	graph_each_lower (&stack->graph, node, edge) {
		if (edge->kind == EDGE_SERVED &&
		    stack->graph.nodes[edge->lower].kind == NODE_PROCESS)
			return (pid_t)stack->graph.nodes[edge->lower].number;
	}
	return 0;
}

/* Connected network block devices; of these, such as no client waits in. */
struct nbd_count {
	uint32_t connected, left;
};

static struct nbd_count count_nbd(const struct stack *stack)
{
	struct nbd_count count = { 0 };

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (!is_connected_nbd(stack, &stack->graph.nodes[i]))
			continue;
		count.connected++;
		count.left += !server_of(stack, i);
	}
	return count;
}

/*
 * Finds who serves the network block device NODE by the connections of its client. If that has
 * left, by those of the kernel, which may be of several devices. COUNT is of all devices.
 */
static void serve_by_connection(struct stack *stack, uint32_t node, const struct nbd_count *count)
{
	pid_t client = server_of(stack, node), peer = SOCKETS_UNKNOWN;

	if (client || count->left == 1)
		peer = sockets_peer(stack->sockets, client);
	if (peer == SOCKETS_UNKNOWN)
		stack_unseen(stack, "who serves %s", stack->graph.nodes[node].name);
	else if (peer && client)
		serve(stack, process_node(stack, client), peer, "they have a connection");
	else if (peer)
		serve(stack, node, peer, "the kernel has the other end of a connection with it");
}

/* Whether the processes of all namespaces, and of all users, are in /proc. */
static bool sees_all_processes(const struct stack *stack)
{
	char namespace[32], name[COMM_SIZE];

	return system_link(stack->system, "proc/self/ns/pid", namespace, sizeof(namespace)) > 0 &&
	       strcmp(namespace, "pid:[4026531836]") == 0 && /* PROC_PID_INIT_INO */
	       system_read(stack->system, "proc/1/comm", name, sizeof(name)) > 0;
}

/* SEES_ALL: else what another process has open would seem to be the kernel's. */
static void find_nbd_servers(struct stack *stack, bool sees_all)
{
	struct nbd_count count = count_nbd(stack);

	if (count.connected && (!sees_all || stack->sockets->is_cut)) {
		stack_unseen(stack, "who serves network block devices");
		return;
	}
	for (uint32_t i = 0; count.connected && i < stack->graph.node_count; i++) {
		if (is_connected_nbd(stack, &stack->graph.nodes[i]))
			serve_by_connection(stack, i, &count);
	}
}

int stack_read_servers(struct stack *stack)
{
	struct search search = { .stack = stack };
	int r;

	stack->sockets->count = 0;
	if (count_nbd(stack).connected)
		sockets_read(stack->sockets, stack->system, !stack->without_forks);
	r = system_names(stack->system, "proc", look_at_process, &search);
	if (r < 0)
		return r;
	if (!search.knows)
		guess(stack, &search.candidates);
	find_nbd_servers(stack, !search.closed && !stack->late_count && !stack->is_blind &&
					sees_all_processes(stack));
	if (search.closed)
		stack_unseen(stack, "the open files of %u processes of other users", search.closed);
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		if (stack->graph.nodes[i].kind == NODE_PROCESS)
			stack_read_needs(stack, i);
	}
	return 0;
}
