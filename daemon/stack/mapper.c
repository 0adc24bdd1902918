/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/mapper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"

/* A reply to an ioctl of the device mapper: its head, then a line for each target of the table. */
struct reply {
	struct dm_ioctl head;
	char targets[16384];
};

/* Asks for the table, which doesn't touch the device's data. Takes root. Returns 0 or -errno. */
static int read_table(const struct system *system, dev_t dev, struct reply *reply)
{
	autoclose int fd = system_openat(system, "dev/mapper/control", O_RDWR);

	memset(reply, 0, sizeof(*reply));
	if (fd < 0)
		return -errno;
	reply->head = (struct dm_ioctl){
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(*reply),
		.data_start = offsetof(struct reply, targets),
		.flags = DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG,
		.dev = dev,
	};
	return ioctl(fd, DM_TABLE_STATUS, reply) < 0 ? -errno : 0;
}

/* Appends NAME to TYPE unless that has it. */
static void add(char *type, size_t size, const char *name)
{
	size_t len = strlen(type);

	if (!strstr(type, name))
		(void)snprintf(type + len, size - len, " %s", name);
}

int mapper_type(const struct system *system, dev_t dev, char *type, size_t size)
{
	struct reply reply;
	size_t at = offsetof(struct reply, targets);
	int r = read_table(system, dev, &reply);

	if (r < 0)
		return r;
	(void)snprintf(type, size, "dm");
	for (uint32_t i = 0; i < reply.head.target_count; i++) {
		struct dm_target_spec target;

		/* what didn't fit isn't there (DM_BUFFER_FULL_FLAG) */
		if (at > sizeof(reply) - sizeof(target))
			break;
		memcpy(&target, (const char *)&reply + at, sizeof(target));
		target.target_type[sizeof(target.target_type) - 1] = '\0';
		add(type, size, target.target_type);
		at = offsetof(struct reply, targets) + target.next;
	}
	return 0;
}
