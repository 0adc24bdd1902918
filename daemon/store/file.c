/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fd-marks.h"
#include "base/macro.h"
#include "store/inode.h"
#include "store/passthrough.h"
#include "store/progress.h"

static bool is_writer(const struct file *file)
{
	return !file->directory && (file->flags & O_ACCMODE) != O_RDONLY;
}

/*
 * Makes FD the inode's sync_fd if there is none yet. Returns whether it did. The caller holds the
 * inode open.
 */
static bool lend_sync_fd(struct inode *inode, int fd)
{
	int none = -1;

	return atomic_compare_exchange_strong(&inode->sync_fd, &none, fd);
}

static void close_all(struct file *file)
{
	if (file->lent)
		file->fd = -1;
	close_fd(&file->fd);
	close_fd(&file->buffered_fd);
	file->lent = false;
}

int file_table_plan(struct arena *arena, uint32_t count)
{
	return arena_plan(arena, ARENA_FILES, sizeof(struct file), count, CACHE_LINE_BYTES);
}

int file_table_init(struct file_table *table, const struct arena *arena, struct inode_table *inodes)
{
	*table = (struct file_table){
		.inodes = inodes,
		.rows = arena_table(arena, ARENA_FILES),
		.count = (uint32_t)arena->plan.span[ARENA_FILES].count,
	};
	for (uint32_t i = 0; i < table->count; i++)
		table->rows[i] = (struct file){ .fd = -1, .buffered_fd = -1 };
	return pool_init(&table->pool, 0, table->count);
}

/* Makes FILE, whose row isn't in use, an empty row. */
static void clear(struct file *file)
{
	file->fd = file->buffered_fd = -1;
	file->lent = false;
}

int file_table_prepare(struct file_table *table, const struct arena *arena,
		       struct inode_table *inodes)
{
	*table = (struct file_table){
		.inodes = inodes,
		.rows = arena_table(arena, ARENA_FILES),
		.count = (uint32_t)arena->plan.span[ARENA_FILES].count,
	};
	return pool_init_in_use(&table->pool, 0, table->count);
}

void file_table_attach(struct file_table *table)
{
	for (uint32_t row = table->count; row > 0; row--) {
		struct file *file = &table->rows[row - 1];

		if (file_is_used(file)) {
			inode_hold_open(table->inodes, inode_at(table->inodes, file->known));
			file->dir_off = FILE_NOWHERE;
			table->used++;
		} else {
			clear(file);
			pool_put(&table->pool, row - 1);
		}
	}
}

void file_table_mark_fds(const struct file_table *table, struct fd_marks *marks)
{
	for (uint32_t row = 0; row < table->count; row++) {
		fd_marks_add(marks, table->rows[row].fd);
		fd_marks_add(marks, table->rows[row].buffered_fd);
	}
}

void file_table_destroy(struct file_table *table)
{
	for (uint32_t i = 0; i < table->count; i++)
		close_all(&table->rows[i]);
	pool_destroy(&table->pool);
	table->count = 0;
}

struct file *file_get(const struct file_table *table, uint64_t fh)
{
	uint32_t row = (uint32_t)fh, generation = (uint32_t)(fh >> 32);
	struct file *file;

	if (row >= table->count || !(generation & 1))
		return NULL;
	file = &table->rows[row];
	if (atomic_load_explicit(&file->generation, memory_order_acquire) != generation)
		return NULL;
	return file;
}

int file_reserve(struct file_table *table, uint32_t *ret_row)
{
	uint32_t row = pool_take(&table->pool);

	if (row == POOL_NONE)
		return -ENFILE;
	*ret_row = row;
	return 0;
}

void file_unreserve(struct file_table *table, uint32_t row)
{
	pool_put(&table->pool, row);
}

uint64_t file_publish(struct file_table *table, uint32_t row, struct inode *inode,
		      const struct file *fill)
{
	struct file *file = &table->rows[row];
	uint32_t generation = atomic_load(&file->generation) + 1;

	assert(generation & 1);
	inode_hold_open(table->inodes, inode);
	file->known = inode_row(table->inodes, inode);
	inode = inode_primary(table->inodes, inode);
	file->inode = inode_row(table->inodes, inode);
	file->fd = fill->fd;
	file->lent = is_writer(fill) && lend_sync_fd(inode, file->fd);
	file->buffered_fd = fill->buffered_fd;
	file->dio_mem_align = fill->dio_mem_align;
	file->dio_off_align = fill->dio_off_align;
	file->flags = fill->flags;
	file->directory = fill->directory;
	atomic_store(&file->cached, false);
	atomic_store(&file->writing, false);
	atomic_store(&file->around, false);
	atomic_store(&file->mapped, false);
	file->dir_off = 0;
	/* an opener isn't told of failures before its opening */
	atomic_store(&file->error_seen, atomic_load(&inode->error_seq));
	if (progress_now())
		progress_now()->fh = (uint64_t)generation << 32 | row;
	KILL_FENCE();
	atomic_store_explicit(&file->generation, generation, memory_order_release);
	atomic_fetch_add(&table->used, 1);
	return (uint64_t)generation << 32 | row;
}

int file_open(struct file_table *table, struct inode *inode, const struct file *fill,
	      uint64_t *ret_fh)
{
	autoclose int fd = fill->fd, buffered_fd = fill->buffered_fd;
	uint32_t row;
	int r;

	r = file_reserve(table, &row);
	if (r < 0)
		return r;
	*ret_fh = file_publish(table, row, inode, fill);
	fd = buffered_fd = -1; /* the row has them */
	return 0;
}

void file_close(struct file_table *table, struct file *file)
{
	uint32_t row = (uint32_t)(file - table->rows);
	struct inode *inode = inode_at(table->inodes, file->known);

	assert(atomic_load(&file->generation) & 1);
	atomic_fetch_add(&file->generation, 1);
	KILL_FENCE();
	close_all(file);
	inode_put_open(table->inodes, inode);
	atomic_fetch_sub(&table->used, 1);
	pool_put(&table->pool, row);
}

int file_fsync_fd(const struct file_table *table, const struct file *file)
{
	/* the descriptor stays open while FILE is: the last opener to go closes it */
	int sync_fd = atomic_load(&inode_at(table->inodes, file->inode)->sync_fd);

	return sync_fd >= 0 ? sync_fd : file->fd;
}

int file_report_error(const struct file_table *table, struct file *file)
{
	struct inode *inode = inode_at(table->inodes, file->inode);
	/* read before error_seq, which therefore can't be older */
	uint32_t seen = atomic_load(&file->error_seen);
	uint32_t seq = atomic_load(&inode->error_seq);
	struct progress *progress = progress_now();
	int error;

	if (seen == seq)
		return progress ? progress->told : 0;
	error = atomic_load(&inode->error);
	if (progress) {
		progress->told = error;
		KILL_FENCE();
	}
	/* if several threads ask for one opener, only one of them is told */
	if (atomic_compare_exchange_strong(&file->error_seen, &seen, seq))
		return error;
	if (progress)
		progress->told = 0;
	return 0;
}

int32_t file_backing_id(const struct file_table *table, const struct file *file)
{
	struct inode *inode = inode_at(table->inodes, file->known);
	int32_t known = atomic_load(&inode->backing_id), id;

	if (known != PASSTHROUGH_NONE)
		return known;
	id = passthrough_open(table->inodes->session_fd, file->fd);
	if (id < 0)
		return atomic_load(&inode->backing_id);
	if (atomic_compare_exchange_strong(&inode->backing_id, &known, id))
		return id;
	/* another opener was faster */
	passthrough_close(table->inodes->session_fd, id);
	return known;
}
