/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Describes block devices by sysfs: what kind each is, and what it lies on. Devices whose requests
 * a process answers (ublk, nbd, tcmu) are only named here; servers.c finds the process. Those of
 * other machines are in remote.c.
 */
#include "stack/stack.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "base/procfs.h"
#include "stack/mapper.h"

/* Format and arguments of a path below a device's directory. */
#define DEVICE	"sys/dev/block/%u:%u/"
#define OF(dev) major(dev), minor(dev)

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* The device that is named so below /sys/class/block, where "!" stands for "/". */
static int number_of(const struct stack *stack, const char *name, dev_t *ret_dev)
{
	char own[NAME_MAX + 1];

	(void)snprintf(own, sizeof(own), "%s", name);
	for (char *at = own; *at; at++) {
		if (*at == '/')
			*at = '!';
	}
	return system_dev(stack->system, PATH("sys/class/block/%s/dev", own), ret_dev);
}

/* A search for a mapped device by its name. */
struct mapped {
	const struct stack *stack;
	const char *name;
	dev_t dev;
};

static int compare_mapped(void *arg, const char *device)
{
	struct mapped *search = arg;
	char name[256];

	if (!starts_with(device, "dm-") ||
	    system_read(search->stack->system, PATH("sys/class/block/%s/dm/name", device), name,
			sizeof(name)) < 0 ||
	    strcmp(name, search->name) != 0)
		return 0;
	return number_of(search->stack, device, &search->dev) == 0;
}

int stack_device_number(const struct stack *stack, const char *path, dev_t *ret_dev)
{
	struct mapped search = { .stack = stack };
	int r;

	if (!starts_with(path, "/dev/"))
		return -ENOENT;
	if (!starts_with(path, "/dev/mapper/"))
		return number_of(stack, path + strlen("/dev/"), ret_dev);
	search.name = path + strlen("/dev/mapper/");
	r = system_names(stack->system, "sys/class/block", compare_mapped, &search);
	if (r < 0)
		return r;
	if (r == 0)
		return -ENOENT;
	*ret_dev = search.dev;
	return 0;
}

uint32_t stack_device_named(struct stack *stack, const char *path)
{
	dev_t dev;

	return stack_device_number(stack, path, &dev) < 0 ? GRAPH_NONE : stack_device(stack, dev);
}

/* --- kinds --- */

/* Without root, the beginning of the uuid tells who has made a mapped device. */
static void type_of_mapped(const struct stack *stack, dev_t dev, char *type, size_t size)
{
	static const char *const kinds[][2] = {
		{ "CRYPT-", "dm crypt" }, { "LVM-", "dm lvm" },	    { "mpath-", "dm multipath" },
		{ "part", "dm part" },	  { "DMRAID-", "dm raid" },
	};
	char uuid[160];

	if (mapper_type(stack->system, dev, type, size) == 0)
		return;
	(void)snprintf(type, size, "dm");
	if (system_read(stack->system, PATH(DEVICE "dm/uuid", OF(dev)), uuid, sizeof(uuid)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (starts_with(uuid, kinds[i][0]))
			(void)snprintf(type, size, "%s", kinds[i][1]);
	}
}

/* Whether a SCSI disk is one of the kernel's target that a process serves. */
static bool is_from_user_space(const struct stack *stack, dev_t dev)
{
	char model[32];

	return system_read(stack->system, PATH(DEVICE "device/model", OF(dev)), model,
			   sizeof(model)) > 0 &&
	       starts_with(model, "TCMU ");
}

/* Writes what kind of device NAME is to TYPE. */
static void type_of(const struct stack *stack, dev_t dev, const char *name, char *type, size_t size)
{
	static const char *const kinds[] = { "loop", "zram", "zloop", "nbd",   "ublk",
					     "rbd",  "drbd", "ram",   "bcache" };
	char value[32];
	int64_t number;

	if (system_number(stack->system, PATH(DEVICE "partition", OF(dev)), &number) == 0) {
		(void)snprintf(type, size, "part");
		return;
	}
	if (starts_with(name, "dm-")) {
		type_of_mapped(stack, dev, type, size);
		return;
	}
	if (system_read(stack->system, PATH(DEVICE "md/level", OF(dev)), value, sizeof(value)) >=
	    0) {
		(void)snprintf(type, size, "md %s", value);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (starts_with(name, kinds[i])) {
			(void)snprintf(type, size, "%s", kinds[i]);
			return;
		}
	}
	(void)snprintf(type, size, "%s", is_from_user_space(stack, dev) ? "tcmu" : "disk");
}

/* --- what a device lies on --- */

struct parent {
	struct stack *stack;
	uint32_t node;
	dev_t dev;
};

static int lie_on_slave(void *arg, const char *name)
{
	const struct parent *parent = arg;
	dev_t slave;

	if (system_dev(parent->stack->system, PATH(DEVICE "slaves/%s/dev", OF(parent->dev), name),
		       &slave) == 0)
		graph_connect(&parent->stack->graph, EDGE_ON, parent->node,
			      stack_device(parent->stack, slave), "");
	return 0;
}

/* Whether st_dev of files differs from the number that mountinfo has (subvolumes, layers). */
static bool has_numbers_of_its_own(const struct graph *graph, uint32_t filesystem)
{
	static const char *const types[] = { "bcachefs", "btrfs", "overlay" };

	for (size_t i = 0; filesystem != GRAPH_NONE && i < ARRAY_SIZE(types); i++) {
		if (strcmp(graph->nodes[filesystem].type, types[i]) == 0)
			return true;
	}
	return false;
}

/* The filesystem with the file of loop device DEV, whose path is PATH, or GRAPH_NONE. */
static uint32_t filesystem_of_loop(const struct stack *stack, dev_t dev, const char *path)
{
	uint32_t by_path = stack_filesystem_of(stack, path);

	for (uint32_t i = 0; i < stack->loop_count; i++) {
		uint32_t found = GRAPH_NONE;

		if (stack->loops[i].dev != dev)
			continue;
		found = graph_find(&stack->graph, NODE_FILESYSTEM, stack->loops[i].file_dev);
		if (found == GRAPH_NONE && has_numbers_of_its_own(&stack->graph, by_path))
			return by_path;
		return found;
	}
	return by_path;
}

/* A device or a file at PATH, which it cuts. DEV: a loop device, or 0. */
static void lie_on_path(struct stack *stack, uint32_t node, dev_t dev, char *path)
{
	uint32_t device;

	if (system_is_deleted(path))
		path[strlen(path) - strlen(SYSTEM_DELETED)] = '\0';
	if (path[0] != '/')
		return;
	device = stack_device_named(stack, path);
	if (device != GRAPH_NONE)
		graph_connect(&stack->graph, EDGE_ON, node, device, "");
	else
		graph_connect(&stack->graph, EDGE_FILE, node,
			      dev ? filesystem_of_loop(stack, dev, path)
				  : stack_filesystem_of(stack, path),
			      path);
}

static void link_device(struct stack *stack, uint32_t node, dev_t dev)
{
	struct parent parent = { .stack = stack, .node = node, .dev = dev };
	char path[PATH_MAX];
	int64_t number;
	dev_t disk;

	if (system_number(stack->system, PATH(DEVICE "partition", OF(dev)), &number) == 0 &&
	    system_dev(stack->system, PATH(DEVICE "../dev", OF(dev)), &disk) == 0)
		graph_connect(&stack->graph, EDGE_ON, node, stack_device(stack, disk), "");
	(void)system_names(stack->system, PATH(DEVICE "slaves", OF(dev)), lie_on_slave, &parent);
	if (system_read(stack->system, PATH(DEVICE "loop/backing_file", OF(dev)), path,
			sizeof(path)) > 0)
		lie_on_path(stack, node, dev, path);
	if (system_read(stack->system, PATH(DEVICE "backing_dev", OF(dev)), path, sizeof(path)) > 0)
		lie_on_path(stack, node, 0, path); /* zram */
	stack_link_remote_device(stack, node, dev);
}

uint32_t stack_device(struct stack *stack, dev_t dev)
{
	uint32_t node = graph_find(&stack->graph, NODE_DEVICE, dev);
	char link[PATH_MAX], type[64];
	const char *name;

	if (node != GRAPH_NONE)
		return node;
	if (system_link(stack->system, PATH("sys/dev/block/%u:%u", OF(dev)), link, sizeof(link)) <
	    0)
		return GRAPH_NONE;
	name = basename(link);
	type_of(stack, dev, name, type, sizeof(type));
	node = graph_add(&stack->graph, NODE_DEVICE, dev, name, type);
	if (node != GRAPH_NONE)
		link_device(stack, node, dev);
	return node;
}

/* Adds the device NAME if it lies on something: its kind has users besides mounts. */
static int add_device(void *arg, const char *name)
{
	struct stack *stack = arg;
	char path[PATH_MAX];
	dev_t dev;

	if (number_of(stack, name, &dev) < 0)
		return 0;
	if ((starts_with(name, "dm-") || starts_with(name, "md")) ||
	    system_read(stack->system, PATH("sys/class/block/%s/loop/backing_file", name), path,
			sizeof(path)) > 0)
		(void)stack_device(stack, dev);
	return 0;
}

void stack_read_devices(struct stack *stack)
{
	if (system_names(stack->system, "sys/class/block", add_device, stack) < 0)
		stack_unseen(stack, "/sys/class/block: block devices that aren't mounted");
}

/* --- swap areas: "PATH TYPE SIZE USED PRIORITY" --- */

void stack_read_swaps(struct stack *stack)
{
	struct system_lines lines;
	char *line, *type, *name;
	unsigned row = 0;

	if (system_lines_open(stack->system, "proc/swaps", &lines) < 0)
		return;
	(void)system_lines_next(&lines); /* the headings */
	while ((line = system_lines_next(&lines))) {
		uint32_t node;

		name = strsep(&line, " \t");
		if (!line)
			continue;
		line += strspn(line, " \t");
		type = strsep(&line, " \t");
		procfs_unescape(name);
		node = graph_add(&stack->graph, NODE_SWAP, row++, name, type);
		if (node != GRAPH_NONE)
			lie_on_path(stack, node, 0, name);
	}
	system_lines_close(&lines);
}
