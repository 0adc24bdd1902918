/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of open files and directories: all that the kernel has opened, by fh.
 *
 * fh = generation << 32 | row. The metadata worker that opens a file writes its row before anybody
 * knows the fh. From then on any thread reads the row, until RELEASE, which the kernel sends when
 * no request on the fh is left. So file_get() takes no lock.
 *
 * Errors of flushes (S11): the kernel reports an error of writeback once to each struct file, and
 * an error of the disk's flush only to the caller of that fsync. Each opener above must hear of
 * each failure once, whoever caused it. So all fsyncs of an inode go through one struct file, the
 * first writer's (sync_fd). A failure is counted in the inode (inode_record_error()), and each
 * open file compares that count with what it was told (file_report_error()).
 *
 * Passthrough: the kernel wants one backing file for all who have an inode open at the same time.
 * The first opener tells the kernel of it, and the last one takes it back (inode_put_open()).
 */
#ifndef CAISSON_FILE_H
#define CAISSON_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"

struct arena;
struct inode;
struct inode_table;

/* Lives in the arena: no pointers. */
struct file {
	_Atomic uint32_t generation; /* odd while open, even while free */
	uint32_t inode;		     /* row in the inode table, a primary one (inode.h) */
	uint32_t known;		     /* row by which the kernel knows it */
	int32_t fd;		/* what reads and writes use: O_DIRECT where dio_off_align != 0 */
	int32_t buffered_fd;	/* twin of fd without O_DIRECT, or -1: what isn't aligned */
	uint32_t dio_mem_align; /* bytes, from statx STATX_DIOALIGN; powers of two */
	uint32_t dio_off_align; /* 0: fd is itself buffered */
	uint32_t flags;		/* O_ACCMODE, O_SYNC, O_DSYNC, O_APPEND as fd was opened */
	bool directory;
	_Atomic bool cached;	     /* counted in the inode's cached_opens; see cached-open.h */
	_Atomic bool writing;	     /* counted in the inode's writing */
	_Atomic bool around;	     /* counted in the inode's around */
	_Atomic bool mapped;	     /* goes around that cache, but has a mapping that was read */
	bool lent;		     /* fd is the inode's sync_fd, and the inode's to close */
	_Atomic uint32_t error_seen; /* the inode's error_seq up to which this opener was told */
	/* of a directory: the kernel reads one open directory from one thread at a time */
	uint64_t dir_off; /* where the descriptor stands, as d_off */
};

struct file_table {
	struct inode_table *inodes; /* which the files hold open */
	struct file *rows;
	uint32_t count;
	struct pool pool;
	_Atomic uint32_t used;
};

/* Plans ARENA_FILES for COUNT rows. 0 or -EOVERFLOW. */
int file_table_plan(struct arena *arena, uint32_t count);

/*
 * Makes the table in the created ARENA, for files of INODES. Allocates: before the seal. 0 or
 * -errno.
 */
int file_table_init(struct file_table *table, const struct arena *arena,
		    struct inode_table *inodes);

/* Closes every descriptor in it. */
void file_table_destroy(struct file_table *table);

/* The open file of FH, or NULL where it names none (-EBADF). Any thread, no lock. */
struct file *file_get(const struct file_table *table, uint64_t fh);

/*
 * Opens a row on INODE, which it holds until file_close(), and lets FILL's descriptors and
 * properties (fd, buffered_fd, dio_*, flags, directory) be its own: it takes the descriptors, also
 * on error. Returns 0 with the fh, -ENFILE where the table is full, or -errno.
 */
int file_open(struct file_table *table, struct inode *inode, const struct file *fill,
	      uint64_t *ret_fh);

/*
 * The two halves of file_open(), for what must not be done in vain: file_reserve() sets a row
 * aside, or fails with -ENFILE; file_publish(), which can't fail, opens it as file_open() does
 * and returns the fh. A row that isn't needed goes back by file_unreserve(). See room.h.
 */
int file_reserve(struct file_table *table, uint32_t *ret_row);
void file_unreserve(struct file_table *table, uint32_t row);
uint64_t file_publish(struct file_table *table, uint32_t row, struct inode *inode,
		      const struct file *fill);

/*
 * Closes FILE: the kernel has released its fh. It is no cached open any more
 * (cached_open_close()).
 */
void file_close(struct file_table *table, struct file *file);

/*
 * The descriptor for every fsync of FILE's inode: the first writer's, kept until the last opener
 * has gone; FILE's own where nobody has it open for writing. Any thread, no lock.
 */
int file_fsync_fd(const struct file_table *table, const struct file *file);

/*
 * What FILE's opener has not been told yet: 0, or the -errno of the newest failed flush, once.
 * Any thread, no lock.
 */
int file_report_error(const struct file_table *table, struct file *file);

/*
 * The id of the backing file that the kernel knows for all openers of FILE's inode, which it is
 * told of here where it doesn't: PASSTHROUGH_NONE where that can't be. Any thread, no lock.
 */
int32_t file_backing_id(const struct file_table *table, const struct file *file);

/*
 * The descriptor for what has no alignment to keep to (copy_file_range, SEEK_DATA): FILE's buffered
 * one.
 */
static inline int file_buffered_fd(const struct file *file)
{
	return file->buffered_fd >= 0 ? file->buffered_fd : file->fd;
}

#endif
