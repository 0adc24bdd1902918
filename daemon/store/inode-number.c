/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inode numbers that clients are shown. */
#include "store/inode.h"

#include "base/mutex.h"
#include "store/inode-rows.h"

/* Where the filesystem's number goes in an inode number that is shown. */
#define DEVICE_SHIFT   48
#define DEVICE_NUMBERS (1u << (64 - DEVICE_SHIFT))

/* The number of filesystem DEV, which isn't the root's. */
static uint32_t device_number(struct inode_table *table, uint64_t dev)
{
	uint32_t number;

	mutex_lock(&table->mutex);
	for (number = 1; number < table->device_count; number++) {
		if (table->devices[number] == dev)
			break;
	}
	if (number == table->device_count && number < INODE_DEVICES) {
		table->devices[number] = dev;
		table->device_count++;
	}
	mutex_unlock(&table->mutex);
	if (number == INODE_DEVICES)
		number += (uint32_t)(inode_hash(dev, 0) % (DEVICE_NUMBERS - INODE_DEVICES));
	return number;
}

uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	/* the root's doesn't change, so it needs no lock */
	if (dev == table->devices[0])
		return ino;
	return ino ^ (uint64_t)device_number(table, dev) << DEVICE_SHIFT;
}
