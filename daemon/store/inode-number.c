/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inode numbers that clients are shown: see inode_shown_ino(). */
#include "store/inode.h"

#include "base/mutex.h"
#include "store/inode-rows.h"

/* In a shown inode number, the filesystem's number begins at this bit. */
#define DEVICE_SHIFT   48
#define DEVICE_NUMBERS (1u << (64 - DEVICE_SHIFT))

/* The number that shown inode numbers have for filesystem DEV, which isn't the root's. */
static uint32_t device_number(struct inode_table *table, uint64_t dev)
{
	uint32_t number;

	mutex_lock(&table->mutex);
	for (number = 1; number < table->common->device_count; number++) {
		if (table->common->devices[number] == dev)
			break;
	}
	if (number == table->common->device_count && number < INODE_DEVICES) {
		table->common->devices[number] = dev;
		KILL_FENCE();
		table->common->device_count++;
	}
	mutex_unlock(&table->mutex);
	if (number == INODE_DEVICES)
		number += (uint32_t)(inode_hash(dev, 0) % (DEVICE_NUMBERS - INODE_DEVICES));
	return number;
}

uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	/* no lock is needed, because the root's device doesn't change */
	if (dev == table->common->devices[0])
		return ino;
	return ino ^ (uint64_t)device_number(table, dev) << DEVICE_SHIFT;
}
