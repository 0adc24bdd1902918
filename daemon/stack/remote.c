/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storage that comes over a network: which machine serves it, by sysfs or the mount's options. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "stack/stack.h"

/* Format and arguments of a path below a device's directory. */
#define DEVICE	"sys/dev/block/%u:%u/"
#define OF(dev) major(dev), minor(dev)

void stack_serve_remotely(struct stack *stack, uint32_t node, const char *address, const char *type,
			  const char *evidence)
{
	uint32_t peer = graph_add(&stack->graph, NODE_PEER, mix_text(address), address, type);

	graph_connect(&stack->graph, EDGE_SERVED, node, peer, evidence);
}

/* Cuts the port off ADDRESS, and the brackets of IPv6. Returns its beginning. */
static char *host_of(char *address)
{
	char *end = strrchr(address, ']');

	if (*address == '[' && end) {
		*end = '\0';
		return address + 1;
	}
	address[strcspn(address, ":")] = '\0';
	return address;
}

void stack_serve_by_monitors(struct stack *stack, uint32_t node, char *monitors,
			     const char *evidence)
{
	char *one;

	while ((one = strsep(&monitors, ",/"))) {
		const char *host = host_of(one);

		if (*host)
			stack_serve_remotely(stack, node, host, "ceph", evidence);
	}
}

/* A SCSI disk of an iSCSI session: its address is that of the session's first connection. */
static void serve_from_target(struct stack *stack, uint32_t node, dev_t dev)
{
	char link[PATH_MAX], address[128];
	const char *session;
	unsigned number;

	if (system_link(stack->system, PATH("sys/dev/block/%u:%u", OF(dev)), link, sizeof(link)) <
	    0)
		return;
	session = strstr(link, "/session");
	if (!session || sscanf(session, "/session%u", &number) != 1)
		return;
	if (system_read(
		    stack->system,
		    PATH("sys/class/iscsi_connection/connection%u:0/persistent_address", number),
		    address, sizeof(address)) > 0)
		stack_serve_remotely(stack, node, address, "iscsi",
				     "/sys/class/iscsi_connection/*/persistent_address");
}

/* The disk that is described. */
struct disk {
	struct stack *stack;
	uint32_t node;
	dev_t dev;
};

/* A controller NAME below the device's link `device`; "." if that is the only one. */
static int serve_from_controller(void *arg, const char *name)
{
	const struct disk *disk = arg;
	const struct system *system = disk->stack->system;
	char address[256], transport[16], *host;

	if (system_read(system, PATH(DEVICE "device/%s/transport", OF(disk->dev), name), transport,
			sizeof(transport)) < 0 ||
	    strcmp(transport, "pcie") == 0 ||
	    system_read(system, PATH(DEVICE "device/%s/address", OF(disk->dev), name), address,
			sizeof(address)) < 0)
		return 0;
	/* "traddr=ADDRESS,trsvcid=4420", in any order */
	host = strstr(address, "traddr=");
	if (!host || (host != address && host[-1] != ','))
		return 0;
	host += strlen("traddr=");
	host[strcspn(host, ",")] = '\0';
	stack_serve_remotely(disk->stack, disk->node, host, "nvme",
			     "the controller's /sys/.../address");
	return 0;
}

/* An NVMe namespace is a controller's, or a subsystem's, of which several controllers may be. */
static void serve_from_controllers(struct stack *stack, uint32_t node, dev_t dev)
{
	struct disk disk = { .stack = stack, .node = node, .dev = dev };

	if (strncmp(stack->graph.nodes[node].name, "nvme", strlen("nvme")) != 0)
		return;
	(void)serve_from_controller(&disk, ".");
	(void)system_names(stack->system, PATH(DEVICE "device", OF(dev)), serve_from_controller,
			   &disk);
}

/* A device of Ceph: "MONITORS OPTIONS POOL IMAGE", as it was added. */
static void serve_from_cluster(struct stack *stack, uint32_t node)
{
	char config[512];
	unsigned number;

	if (sscanf(stack->graph.nodes[node].name, "rbd%u", &number) != 1 ||
	    system_read(stack->system, PATH("sys/bus/rbd/devices/%u/config_info", number), config,
			sizeof(config)) <= 0)
		return;
	config[strcspn(config, " ")] = '\0';
	stack_serve_by_monitors(stack, node, config, "/sys/bus/rbd/devices/*/config_info");
}

void stack_link_remote_device(struct stack *stack, uint32_t node, dev_t dev)
{
	serve_from_target(stack, node, dev);
	serve_from_controllers(stack, node, dev);
	serve_from_cluster(stack, node);
}
