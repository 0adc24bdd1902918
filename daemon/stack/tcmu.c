/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the SCSI disk behind a device of the kernel's TCM in user space, which a process serves
 * through /dev/uioN:
 *
 *   /sys/class/uio/uioN/name                        tcm-user/HBA/NAME/CONFIG
 *   target/loopback/WWN/tpgt_T/lun/lun_L/LINK       a symlink to target/core/user_HBA/NAME
 *   target/loopback/WWN/tpgt_T/address              HOST:CHANNEL:ID
 *   /sys/bus/scsi/devices/HOST:CHANNEL:ID:L/block   the disk
 *
 * `target` is in configfs, /sys/kernel/config. A disk that is exported by iSCSI is found on the
 * machine that uses it, as a disk of a session (devices.c).
 */
#include "stack/tcmu.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define LOOPBACK "sys/kernel/config/target/loopback/"

/* A search: each step goes a level deeper into the directories of the target. */
struct search {
	struct stack *stack;
	unsigned hba;
	char name[128]; /* of the device in core/user_HBA */
	const char *wwn, *portal, *lun;
	uint32_t disk; /* the result: a node */
};

static int take_disk(void *arg, const char *name)
{
	struct search *search = arg;
	char path[NAME_MAX + 8];

	(void)snprintf(path, sizeof(path), "/dev/%s", name);
	search->disk = stack_device_named(search->stack, path);
	return search->disk != GRAPH_NONE;
}

/* LINK of a LUN: to the device that is looked for? Then finds the disk. */
static int look_at_link(void *arg, const char *link)
{
	struct search *search = arg;
	const struct system *system = search->stack->system;
	char target[PATH_MAX], wanted[192], address[64];
	unsigned lun;
	size_t len, end;

	if (system_link(system,
			PATH(LOOPBACK "%s/%s/lun/%s/%s", search->wwn, search->portal, search->lun,
			     link),
			target, sizeof(target)) < 0)
		return 0;
	(void)snprintf(wanted, sizeof(wanted), "/core/user_%u/%s", search->hba, search->name);
	len = strlen(target);
	end = strlen(wanted);
	if (len < end || strcmp(target + len - end, wanted) != 0 ||
	    sscanf(search->lun, "lun_%u", &lun) != 1 ||
	    system_read(system, PATH(LOOPBACK "%s/%s/address", search->wwn, search->portal),
			address, sizeof(address)) < 0)
		return 0;
	return system_names(system, PATH("sys/bus/scsi/devices/%s:%u/block", address, lun),
			    take_disk, search) == 1;
}

static int look_at_lun(void *arg, const char *lun)
{
	struct search *search = arg;

	search->lun = lun;
	return system_names(search->stack->system,
			    PATH(LOOPBACK "%s/%s/lun/%s", search->wwn, search->portal, lun),
			    look_at_link, search) == 1;
}

static int look_at_portal(void *arg, const char *portal)
{
	struct search *search = arg;

	search->portal = portal;
	return system_names(search->stack->system, PATH(LOOPBACK "%s/%s/lun", search->wwn, portal),
			    look_at_lun, search) == 1;
}

static int look_at_target(void *arg, const char *wwn)
{
	struct search *search = arg;

	search->wwn = wwn;
	return system_names(search->stack->system, PATH(LOOPBACK "%s", wwn), look_at_portal,
			    search) == 1;
}

uint32_t tcmu_disk(struct stack *stack, unsigned uio)
{
	struct search search = { .stack = stack, .disk = GRAPH_NONE };
	char name[PATH_MAX];

	if (system_read(stack->system, PATH("sys/class/uio/uio%u/name", uio), name, sizeof(name)) <
		    0 ||
	    sscanf(name, "tcm-user/%u/%127[^/]", &search.hba, search.name) != 2)
		return GRAPH_NONE;
	if (system_names(stack->system, LOOPBACK, look_at_target, &search) < 0)
		stack_unseen(stack, "configfs: which disk is /dev/uio%u (%s)", uio, search.name);
	return search.disk;
}
