/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads mountinfo, see proc_pid_mountinfo(5), and finds out what each filesystem lies on: by its
 * device number, or, for filesystems that have none of their own device, by its source and options.
 */
#include "stack/stack.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "base/mountinfo.h"
#include "base/procfs.h"

#define NAMESPACE_MOUNTS_MAX 1024

/* Filesystems that hold nothing on any storage. */
static const char *const pseudo[] = {
	"bdev",	      "binder",	   "binfmt_misc", "bpf",      "cgroup",	  "cgroup2", "configfs",
	"cpuset",     "debugfs",   "devpts",	  "devtmpfs", "efivarfs", "fusectl", "hugetlbfs",
	"mqueue",     "nfsd",	   "nsfs",	  "proc",     "pstore",	  "resctrl", "rpc_pipefs",
	"securityfs", "selinuxfs", "sysfs",	  "tracefs",
};

/* Filesystems on devices whose number isn't that of a device. The source names one. */
static const char *const pooled[] = { "bcachefs", "btrfs" };

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}

static bool has_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = options; at; at = strchr(at, ',')) {
		if (*at == ',')
			at++;
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || !at[len]))
			return true;
	}
	return false;
}

/* Copies the value of option KEY ("addr=") to VALUE. Returns false if there is none. */
static bool option_value(const char *options, const char *key, char *value, size_t size)
{
	size_t len = strlen(key);

	for (const char *at = options; at; at = strchr(at, ',')) {
		if (*at == ',')
			at++;
		if (strncmp(at, key, len) == 0) {
			(void)snprintf(value, size, "%.*s", (int)strcspn(at + len, ","), at + len);
			procfs_unescape(value);
			return true;
		}
	}
	return false;
}

static void add_mount(struct stack *stack, const struct mountinfo_line *line, uint64_t ns)
{
	struct graph *graph = &stack->graph;
	uint32_t node;

	if (strcmp(line->type, "cgroup2") == 0 && !ns && !*stack->cgroup2)
		stack->cgroup2 = graph_text(graph, line->point);
	if (is_one_of(line->type, pseudo, ARRAY_SIZE(pseudo)))
		return;
	if (stack->mount_count == stack->mount_max) {
		graph->left_off++;
		return;
	}
	node = graph_add(graph, NODE_FILESYSTEM, makedev(line->major, line->minor), line->point,
			 line->type);
	if (node == GRAPH_NONE)
		return;
	graph->nodes[node].is_unflushed = has_option(line->super_options, "nobarrier") ||
					  has_option(line->super_options, "barrier=0") ||
					  has_option(line->super_options, "fsync_mode=nobarrier");
	stack->mounts[stack->mount_count++] = (struct mount){
		.id = line->id,
		.filesystem = node,
		.ns = ns,
		.point = graph_text(graph, line->point),
	};
}

static int open_mountinfo(const struct stack *stack, pid_t pid, struct system_lines *lines)
{
	return pid ? system_lines_open(stack->system, PATH("proc/%d/mountinfo", pid), lines)
		   : system_lines_open(stack->system, "proc/self/mountinfo", lines);
}

/*
 * Whether there is room for another mount of a namespace that has COUNT so far. Others may fill
 * theirs with anything: they get half of the room, and so much each.
 */
static bool has_room(const struct stack *stack, uint64_t ns, uint32_t count)
{
	return !ns || (count < NAMESPACE_MOUNTS_MAX && stack->mount_count < stack->mount_max / 2 &&
		       stack->graph.text_len < stack->graph.text_max / 2);
}

int stack_read_mounts(struct stack *stack, pid_t pid, uint64_t ns)
{
	struct system_lines lines;
	struct mountinfo_line line;
	uint32_t count = 0;
	char *text;
	int r = open_mountinfo(stack, pid, &lines);

	if (r < 0)
		return r;
	while ((text = system_lines_next(&lines))) {
		if (!has_room(stack, ns, count++)) {
			stack_unseen(stack, "some mounts of the namespace of process %d", pid);
			break;
		}
		if (mountinfo_parse(text, &line))
			add_mount(stack, &line, ns);
	}
	system_lines_close(&lines);
	return 0;
}

/* --- what a filesystem lies on --- */

/* The length of the first path of a list. Colons separate paths; "\\:" is a colon in one. */
static size_t path_len(const char *paths)
{
	size_t len = 0;

	while (paths[len] && paths[len] != ':')
		len += paths[len] == '\\' && paths[len + 1] ? 2 : 1;
	return len;
}

/* Connects NODE to the filesystem of each path of the list PATHS in namespace NS. */
static void lie_on_paths(struct stack *stack, uint32_t node, const char *paths, uint64_t ns)
{
	char path[PATH_MAX], *out;

	while (*paths) {
		size_t len = path_len(paths);
		const struct mount *mount;

		out = path;
		for (size_t i = 0; i < len && i < sizeof(path) - 1; i++) {
			if (paths[i] == '\\' && i + 1 < len)
				i++;
			*out++ = paths[i];
		}
		*out = '\0';
		mount = path[0] == '/' ? stack_mount_of(stack, ns, path) : NULL;
		if (mount)
			graph_connect(&stack->graph, EDGE_FILE, node, mount->filesystem, path);
		paths += len + (paths[len] == ':');
	}
}

static void lie_on_layers(struct stack *stack, uint32_t node, const struct mountinfo_line *line,
			  uint64_t ns)
{
	static const char *const keys[] = { "upperdir=", "lowerdir=", "workdir=" };
	char value[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (option_value(line->super_options, keys[i], value, sizeof(value)))
			lie_on_paths(stack, node, value, ns);
	}
}

/* A search for the btrfs that a device belongs to. */
struct btrfs {
	struct stack *stack;
	uint32_t node;
	const char *uuid;
	const char *name; /* of the device that is looked for, or NULL to add all */
};

static int btrfs_device(void *arg, const char *name)
{
	const struct btrfs *search = arg;
	char path[NAME_MAX + 8];

	if (search->name)
		return strcmp(name, search->name) == 0;
	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	graph_connect(&search->stack->graph, EDGE_ON, search->node,
		      stack_device_named(search->stack, path), "");
	return 0;
}

/* Adds all devices of the filesystem UUID if one of them is the device that is looked for. */
static int btrfs_filesystem(void *arg, const char *uuid)
{
	struct btrfs *search = arg;
	const struct system *system = search->stack->system;

	if (system_names(system, PATH("sys/fs/btrfs/%s/devices", uuid), btrfs_device, search) != 1)
		return 0;
	search->name = NULL;
	(void)system_names(system, PATH("sys/fs/btrfs/%s/devices", uuid), btrfs_device, search);
	return 1;
}

static void lie_on_source(struct stack *stack, uint32_t node, const struct mountinfo_line *line)
{
	/* of a list, as bcachefs has it, the first */
	char first[PATH_MAX];
	uint32_t device;
	struct btrfs search = { .stack = stack, .node = node };

	(void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(line->source, ":"), line->source);
	device = stack_device_named(stack, first);
	if (device == GRAPH_NONE)
		return;
	search.name = stack->graph.nodes[device].name;
	if (strcmp(line->type, "btrfs") != 0 ||
	    system_names(stack->system, "sys/fs/btrfs", btrfs_filesystem, &search) != 1)
		graph_connect(&stack->graph, EDGE_ON, node, device, "");
}

/* Devices that hold a journal or the real-time data apart from the rest. */
static void lie_on_more(struct stack *stack, uint32_t node, const struct mountinfo_line *line)
{
	static const char *const keys[] = { "logdev=", "rtdev=" };
	char value[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (option_value(line->super_options, keys[i], value, sizeof(value)))
			graph_connect(&stack->graph, EDGE_ON, node,
				      stack_device_named(stack, value), "");
	}
}

/* The addresses of a CephFS are in its source: "ADDRESS:PORT[,ADDRESS:PORT…]:/PATH". */
static void serve_from_monitors(struct stack *stack, uint32_t node,
				const struct mountinfo_line *line)
{
	char value[256];

	if (!option_value(line->super_options, "mon_addr=", value, sizeof(value)))
		(void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(line->source, "/"),
			       line->source);
	stack_serve_by_monitors(stack, node, value, "the mount's options");
}

static void link_filesystem(struct stack *stack, uint32_t node, const struct mountinfo_line *line,
			    uint64_t ns)
{
	char value[256];

	if (line->major) {
		graph_connect(&stack->graph, EDGE_ON, node,
			      stack_device(stack, makedev(line->major, line->minor)), "");
		lie_on_more(stack, node, line);
	} else if (strcmp(line->type, "overlay") == 0) {
		lie_on_layers(stack, node, line, ns);
	} else if (strcmp(line->type, "ecryptfs") == 0) {
		lie_on_paths(stack, node, line->source, ns);
	} else if (strcmp(line->type, "ceph") == 0) {
		serve_from_monitors(stack, node, line);
	} else if (option_value(line->super_options, "addr=", value, sizeof(value))) {
		stack_serve_remotely(stack, node, value, line->type, "addr= of the mount");
	} else if (is_one_of(line->type, pooled, ARRAY_SIZE(pooled))) {
		lie_on_source(stack, node, line);
	}
}

static int count_detached(void *arg, const char *name)
{
	struct stack *stack = arg;
	unsigned number = (unsigned)strtoul(name, NULL, 10);

	stack->detached += graph_find(&stack->graph, NODE_FILESYSTEM, stack_fuse_dev(number)) ==
			   GRAPH_NONE;
	return 0;
}

void stack_count_detached(struct stack *stack)
{
	stack->detached = 0;
	(void)reader_names(stack->reader, "sys/fs/fuse/connections", count_detached, stack);
}

void stack_link_mounts(struct stack *stack, pid_t pid, uint64_t ns)
{
	struct system_lines lines;
	struct mountinfo_line line;
	char *text;

	if (open_mountinfo(stack, pid, &lines) < 0)
		return;
	while ((text = system_lines_next(&lines))) {
		uint32_t node;

		if (!mountinfo_parse(text, &line))
			continue;
		node = graph_find(&stack->graph, NODE_FILESYSTEM, makedev(line.major, line.minor));
		if (node != GRAPH_NONE && stack->graph.nodes[node].first_lower == GRAPH_NONE)
			link_filesystem(stack, node, &line, ns);
	}
	system_lines_close(&lines);
}
