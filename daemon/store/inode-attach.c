/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over the inode table of a process that has died.
 *
 * A row counts if `used` is set, which is stored after all else in the row (KILL_FENCE()). Free
 * rows, hash chains, lists and counts of rows are found out from the rows, whatever state they were
 * left in. The lookup count and the descriptor of a row are single words, so they are true. A count
 * that is noted in a request's progress, too, is undone if it was under way.
 */
#include <errno.h>

#include "base/arena.h"
#include "base/fd-marks.h"
#include "base/macro.h"
#include "store/inode-fd.h"
#include "store/inode-rows.h"
#include "store/inode.h"
#include "store/passthrough.h"
#include "store/progress.h"

/* Ends what was under way in INODE, and clears what is counted anew. */
static void reset(struct inode *inode)
{
	inode->opens = 0;
	inode->sharers = 0;
	inode->listed = false;
	inode->older = inode->newer = POOL_NONE;
	inode->hash_next = POOL_NONE;
	if (inode->fd < 0)
		inode->fd = inode->dropping;
	KILL_FENCE();
	inode->dropping = -1;
	atomic_store(&inode->pins, 0);
	atomic_store(&inode->gate, 0);
	atomic_store(&inode->syncs, 0);
	atomic_store(&inode->writing, 0);
	atomic_store(&inode->cached_opens, 0);
	atomic_store(&inode->around, 0);
	atomic_store(&inode->drops, atomic_load(&inode->drop_owed) != 0);
	atomic_store(&inode->drop_due, false);
	/* the kernel may not have heard yet that they have gone */
	atomic_store(&inode->setid, true);
	/* the next open has all pages dropped */
	inode->seen.known = true;
	inode->seen.sure = false;
	zone_attach(&inode->zone);
}

static void free_row(struct inode_table *table, struct inode *inode)
{
	inode->fd = inode->dropping = -1;
	atomic_store(&inode->sync_fd, -1);
	atomic_store(&inode->backing_id, PASSTHROUGH_NONE);
	inode_row_put(table, inode_row(table, inode));
}

static void enter(struct inode_table *table, struct inode *inode)
{
	uint32_t *head = inode_bucket(table, inode->dev, inode->ino);

	inode->hash_next = *head;
	*head = inode_row(table, inode);
	if (inode->primary != inode_row(table, inode))
		inode_primary(table, inode)->sharers++;
	if (inode->mount < INODE_MOUNTS)
		table->common->mounts[inode->mount].rows++;
	inode_fd_attach(table, inode);
	atomic_fetch_add(&table->used, 1);
}

/* Undoes the step that was under way in a row and in the progress of a request. */
static void undo_step(struct inode_table *table)
{
	struct inode_step *step = &table->common->step;
	struct progress *progress;

	if (!step->is_under_way)
		return;
	progress = arena_at(table->arena, step->progress_off);
	inode_at(table, step->row)->nlookup = step->nlookup;
	progress->counted = step->counted;
	KILL_FENCE();
	step->is_under_way = false;
}

int inode_table_prepare(struct inode_table *table, struct arena *arena)
{
	return inode_rows_open(table, arena);
}

int inode_table_attach(struct inode_table *table)
{
	uint32_t count, touched = table->common->touched;
	int r = arena_make_more(table->arena, 0, atomic_load(&table->common->more_made));

	if (r < 0)
		return r;
	inode_rows_clear_hash(table);
	undo_step(table);
	count = inode_row_count(table);
	for (uint32_t slot = 0; slot < INODE_MOUNTS; slot++)
		table->common->mounts[slot].rows = 0;
	for (uint32_t row = 0; row < touched; row++)
		reset(inode_at(table, row));
	for (uint32_t row = count; row > 0; row--) {
		struct inode *inode = inode_at(table, row - 1);

		if (row > touched) /* looking at all of them would take most of the pause */
			inode_row_put(table, row - 1);
		else if (atomic_load(&inode->used))
			enter(table, inode);
		else
			free_row(table, inode);
	}
	for (uint32_t slot = 0; slot < INODE_MOUNTS; slot++) {
		if (!table->common->mounts[slot].rows)
			table->common->mounts[slot].fd = -1;
	}
	return 0;
}

void inode_table_mark_fds(const struct inode_table *table, struct fd_marks *marks)
{
	fd_marks_add(marks, table->pressure_fd);
	for (uint32_t slot = 0; slot < INODE_MOUNTS; slot++)
		fd_marks_add(marks, table->common->mounts[slot].fd);
	for (uint32_t row = 0; row < table->common->touched; row++) {
		const struct inode *inode = inode_at(table, row);

		fd_marks_add(marks, inode->fd);
		fd_marks_add(marks, atomic_load(&inode->sync_fd));
	}
}
