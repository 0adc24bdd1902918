/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds what a path means without touching a mount that may hang. The path is taken apart as text.
 * A component is only read, to follow a symlink, if its directory is on a filesystem that neither
 * a process nor the network serves.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stack/stack.h"

#define SYMLINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

struct walk {
	const struct stack *stack;
	char done[PATH_MAX]; /* what is free of symlinks; "" for the root */
	char rest[PATH_MAX]; /* what is still to be looked at, without a slash in front */
	unsigned symlinks;
};

/* Takes the next component of walk->rest. Returns false at the end. */
static bool next_component(struct walk *walk, char name[static NAME_MAX + 1])
{
	size_t skip = strspn(walk->rest, "/"), len = strcspn(walk->rest + skip, "/");

	if (!len || len > NAME_MAX)
		return false;
	memcpy(name, walk->rest + skip, len);
	name[len] = '\0';
	memmove(walk->rest, walk->rest + skip + len, strlen(walk->rest + skip + len) + 1);
	return true;
}

static void drop_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash)
		*slash = '\0';
}

/*
 * Reads the symlink PATH, whose directory is DIR, if that can't hang. Returns 1; 0 if PATH isn't
 * known to be one; or -ENOENT.
 */
static int read_symlink(const struct stack *stack, const char *dir, const char *path, char *target,
			size_t size)
{
	uint32_t node = stack_filesystem_of(stack, *dir ? dir : "/");
	const struct mount *mount = stack_mount_of(stack, 0, path);
	ssize_t len;

	if (node == GRAPH_NONE || !stack_is_local(stack, node) ||
	    (mount && strcmp(mount->point, path) == 0))
		return 0;
	len = readlink(path, target, size - 1);
	if (len < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : 0;
	target[len] = '\0';
	return 1;
}

/* Appends the component NAME to what is done. Returns false if there is no such path. */
static bool step(struct walk *walk, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX], rest[PATH_MAX];
	int r;

	if (strcmp(name, ".") == 0)
		return true;
	if (strcmp(name, "..") == 0) {
		drop_last(walk->done);
		return true;
	}
	if (snprintf(path, sizeof(path), "%s/%s", walk->done, name) >= (int)sizeof(path))
		return false;
	r = read_symlink(walk->stack, walk->done, path, target, sizeof(target));
	if (r < 0)
		return false;
	if (r == 0) {
		memcpy(walk->done, path, strlen(path) + 1);
		return true;
	}
	if (++walk->symlinks > SYMLINKS_MAX ||
	    snprintf(rest, sizeof(rest), "%s/%s", target, walk->rest) >= (int)sizeof(rest))
		return false;
	memcpy(walk->rest, rest, strlen(rest) + 1);
	if (target[0] == '/')
		walk->done[0] = '\0';
	return true;
}

/* Makes PATH absolute and free of symlinks, as far as that is safe. */
static bool resolve(const struct stack *stack, const char *path, char ret_path[static PATH_MAX])
{
	struct walk walk = { .stack = stack };
	char name[NAME_MAX + 1], cwd[PATH_MAX] = "";
	int len;

	/* the kernel knows it, and asks no filesystem */
	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return false;
	len = snprintf(walk.rest, sizeof(walk.rest), "%s/%s", cwd, path);
	if (len >= (int)sizeof(walk.rest))
		return false;
	while (next_component(&walk, name)) {
		if (!step(&walk, name))
			return false;
	}
	(void)snprintf(ret_path, PATH_MAX, "%s", *walk.done ? walk.done : "/");
	return true;
}

static uint32_t find_swap(const struct graph *graph, const char *path)
{
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_SWAP && strcmp(graph->nodes[i].name, path) == 0)
			return i;
	}
	return GRAPH_NONE;
}

uint32_t stack_find(struct stack *stack, const char *object)
{
	char path[PATH_MAX];
	uint32_t node;

	if (!resolve(stack, object, path))
		return GRAPH_NONE;
	node = stack_device_named(stack, path);
	if (node == GRAPH_NONE)
		node = find_swap(&stack->graph, path);
	return node == GRAPH_NONE ? stack_filesystem_of(stack, path) : node;
}
