/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/stack.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "base/mountinfo.h"
#include "stack/sockets.h"

/* Enough for a machine with thousands of mounts. All of it is about 6 MiB. */
enum { NODES_MAX = 16384, EDGES_MAX = 65536, MOUNTS_MAX = 16384 };
#define TEXT_MAX (2u << 20)

int stack_create(struct stack *stack, const struct system *system)
{
	int r;

	*stack = (struct stack){ .system = system, .mount_max = MOUNTS_MAX, .cgroup2 = "" };
	r = graph_create(&stack->graph, NODES_MAX, EDGES_MAX, TEXT_MAX);
	if (r < 0)
		return r;
	stack->mounts = calloc(MOUNTS_MAX, sizeof(*stack->mounts));
	stack->loops = calloc(STACK_LOOPS_MAX, sizeof(*stack->loops));
	stack->sockets = calloc(1, sizeof(*stack->sockets));
	stack->reader = calloc(1, sizeof(*stack->reader));
	r = -ENOMEM;
	if (stack->mounts && stack->loops && stack->sockets && stack->reader)
		r = reader_start(stack->reader, system);
	if (r == 0)
		return 0;
	free(stack->reader);
	stack->reader = NULL;
	stack_destroy(stack);
	return r;
}

void stack_destroy(struct stack *stack)
{
	/* a thread of it that hangs still uses it */
	if (stack->reader && reader_stop(stack->reader))
		free(stack->reader);
	graph_destroy(&stack->graph);
	free(stack->mounts);
	free(stack->loops);
	free(stack->sockets);
	*stack = (struct stack){ 0 };
}

void stack_clear(struct stack *stack)
{
	graph_clear(&stack->graph);
	stack->mount_count = stack->namespace_count = stack->unseen_count = stack->loop_count = 0;
	stack->late_count = 0;
	stack->is_blind = false;
	stack->cgroup2 = "";
}

int stack_scan(struct stack *stack)
{
	int r = stack_read_mounts(stack, 0, 0);

	if (r < 0)
		return r;
	if (!stack_mount_of(stack, 0, "/"))
		stack_unseen(stack, "mounts outside of this root directory");
	r = stack_read_namespaces(stack);
	if (r < 0)
		return r;
	stack_count_detached(stack);
	if (!stack->without_forks)
		stack_read_loops(stack);
	stack_link_mounts(stack, 0, 0);
	for (uint32_t i = 0; i < stack->namespace_count; i++)
		stack_link_mounts(stack, stack->namespaces[i].pid, stack->namespaces[i].number);
	stack_read_swaps(stack);
	stack_read_devices(stack);
	return stack_read_servers(stack);
}

void stack_unseen(struct stack *stack, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (uint32_t i = 0; i < stack->unseen_count; i++) {
		if (strcmp(stack->unseen[i], text) == 0)
			return;
	}
	if (stack->unseen_count == STACK_UNSEEN_MAX)
		stack->graph.left_off++;
	else
		stack->unseen[stack->unseen_count++] = graph_text(&stack->graph, text);
}

const struct mount *stack_mount(const struct stack *stack, uint32_t id)
{
	for (uint32_t i = 0; i < stack->mount_count; i++) {
		if (stack->mounts[i].id == id)
			return &stack->mounts[i];
	}
	return NULL;
}

const struct mount *stack_mount_of_fdinfo(const struct stack *stack, const char *text)
{
	const char *at = strstr(text, "mnt_id:");
	uint32_t id = 0;

	(void)sscanf(at ? at : "", "mnt_id: %u", &id);
	return stack_mount(stack, id);
}

const struct mount *stack_mount_of_fd(const struct stack *stack, pid_t pid, const char *fd)
{
	char text[512]; /* mnt_id is one of the first lines */

	if (system_read(stack->system, PATH("proc/%d/fdinfo/%s", pid, fd), text, sizeof(text)) < 0)
		return NULL;
	return stack_mount_of_fdinfo(stack, text);
}

/* Whether PATH is POINT or below it. */
static bool is_below(const char *path, const char *point)
{
	size_t len = strlen(point);

	if (len == 1)
		return true;
	return strncmp(path, point, len) == 0 && (path[len] == '/' || !path[len]);
}

const struct mount *stack_mount_of(const struct stack *stack, uint64_t ns, const char *path)
{
	const struct mount *best = NULL;
	size_t best_len = 0;

	for (uint32_t i = 0; i < stack->mount_count; i++) {
		const struct mount *mount = &stack->mounts[i];
		size_t len = strlen(mount->point);

		/* of two at one place, the later one is on top */
		if (mount->ns == ns && len >= best_len && is_below(path, mount->point)) {
			best = mount;
			best_len = len;
		}
	}
	return best;
}

uint32_t stack_filesystem_of(const struct stack *stack, const char *path)
{
	const struct mount *mount = stack_mount_of(stack, 0, path);

	return mount ? mount->filesystem : GRAPH_NONE;
}

bool stack_is_fuse(const struct node *node)
{
	return node->kind == NODE_FILESYSTEM && mountinfo_is_fuse(node->type);
}

bool stack_has_server(const struct stack *stack, uint32_t node)
{
	graph_each_lower (&stack->graph, node, edge) {
		if (edge->kind == EDGE_SERVED)
			return true;
	}
	return false;
}

/* Whether NODE itself can't wait for a process or another machine, whatever lies below it. */
static bool is_local(const struct node *node)
{
	static const char *const filesystems[] = {
		"bcachefs", "btrfs",   "erofs",	   "exfat", "ext2",   "ext3",	 "ext4",
		"f2fs",	    "iso9660", "jfs",	   "ntfs3", "nilfs2", "overlay", "ramfs",
		"reiserfs", "rootfs",  "squashfs", "tmpfs", "udf",    "vfat",	 "xfs",
	};
	static const char *const served[] = { "drbd", "nbd", "rbd", "tcmu", "ublk" };
	bool is_listed = false;

	switch (node->kind) {
	case NODE_FILESYSTEM:
		for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
			is_listed |= strcmp(node->type, filesystems[i]) == 0;
		return is_listed;
	case NODE_DEVICE:
		for (size_t i = 0; i < ARRAY_SIZE(served); i++)
			is_listed |= strcmp(node->type, served[i]) == 0;
		return !is_listed;
	case NODE_SWAP:
		return true;
	case NODE_PROCESS:
	case NODE_PEER:
	case NODE_KINDS:
		break;
	}
	return false;
}

bool stack_is_local(const struct stack *stack, uint32_t node)
{
	uint8_t *seen = calloc(stack->graph.node_count, 1);
	/* a mount that found no room would count as a part of another */
	bool result = seen && !stack->graph.left_off;

	if (seen)
		graph_mark_lower(&stack->graph, node, seen);
	for (uint32_t i = 0; result && i < stack->graph.node_count; i++)
		result = !seen[i] || is_local(&stack->graph.nodes[i]);
	free(seen);
	return result;
}
