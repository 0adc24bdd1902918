/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table's part in giving inodes back: whether rows are short, and which rows the kernel
 * could do without.
 */
#include "store/inode.h"

#include <unistd.h>

#include "base/macro.h"
#include "base/mutex.h"
#include "store/inode-rows.h"

/* Rows that are looked at while the mutex is held once, which takes some microseconds. */
#define COLLECT_ROWS 1024u

bool inode_is_pressed(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 4;
}

bool inode_is_low_on_rows(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 8 &&
	       atomic_load(&table->prunable);
}

void inode_press(struct inode_table *table)
{
	uint64_t one = 1;

	if (!atomic_exchange(&table->pressed, true))
		(void)!write(table->pressure_fd, &one, sizeof(one)); /* can't overflow so soon */
}

void inode_relieve(struct inode_table *table)
{
	atomic_store(&table->pressed, false);
}

/* Whether INODE's row is idle. A warm row cools down, and is idle the next time. */
static bool is_idle(const struct inode_table *table, struct inode *inode)
{
	bool warm = inode->warm;

	if (!inode->nlookup || inode->opens || inode_row(table, inode) == INODE_ROOT_ROW)
		return false;
	inode->warm = false;
	return !warm;
}

uint32_t inode_collect(struct inode_table *table, uint32_t *hand, uint64_t *nodeids, uint32_t max,
		       bool (*is_wanted)(const struct inode_table *table, struct inode *inode))
{
	uint32_t count = inode_row_count(table), found = 0, left = count;

	while (left && found < max) {
		/* in pieces, because the workers need the mutex too */
		uint32_t piece = MIN(left, COLLECT_ROWS);

		mutex_lock(&table->mutex);
		for (; piece && found < max; piece--, left--) {
			struct inode *inode = inode_at(table, *hand);

			*hand = (*hand + 1) % count;
			if (is_wanted(table, inode))
				nodeids[found++] = inode_nodeid(table, inode);
		}
		mutex_unlock(&table->mutex);
	}
	return found;
}

uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max)
{
	return inode_collect(table, hand, nodeids, max, is_idle);
}
