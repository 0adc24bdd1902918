/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file table holds every file and directory that the kernel has open, by fh. An opener is one
 * of these open files.
 *
 * fh = generation << 32 | row. The metadata worker that opens a file writes the row before any
 * other thread knows the fh. From then on any thread may read the row, until RELEASE. The kernel
 * sends RELEASE when no request on the fh is left, so file_get() needs no lock.
 *
 * Errors of flushes (S11): each opener must be told of each failed flush once, whichever opener
 * caused it. The backing kernel reports a writeback error once to each of its open files, and an
 * error of the disk's flush only to the caller of that fsync(). So all fsyncs of an inode go
 * through one descriptor, the first writer's (sync_fd). A failure is counted in the inode
 * (inode_record_error()), and each opener compares this count with the count that it was told of
 * (file_report_error()).
 *
 * Passthrough: all openers of an inode must share one backing file. The first opener registers it
 * with the kernel, and the last one takes it back (inode_put_open()).
 */
#ifndef CAISSON_FILE_H
#define CAISSON_FILE_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"

struct arena;
struct fd_marks;
struct inode;
struct inode_table;

/* The descriptor's position isn't known. No directory has such an offset. */
#define FILE_NOWHERE UINT64_MAX

/* A row. It lives in the arena, so it holds no pointers. */
struct file {
	_Atomic uint32_t generation; /* odd while the row is in use, even while it is free */
	uint32_t inode;		     /* primary row in the inode table */
	uint32_t known;		     /* row in the inode table that the kernel has opened */
	int32_t fd;		     /* for reads and writes; has O_DIRECT if dio_off_align != 0 */
	int32_t buffered_fd;	     /* without O_DIRECT, for what isn't aligned; -1: use fd */
	uint32_t dio_mem_align;	     /* bytes, a power of two; stx_dio_mem_align of statx() */
	uint32_t dio_off_align;	     /* bytes, a power of two; 0: fd is buffered */
	uint32_t flags;		     /* O_ACCMODE, O_SYNC, O_DSYNC and O_APPEND of fd */
	bool directory;
	_Atomic bool cached;	     /* counted in cached_opens of the inode; see cached-open.h */
	_Atomic bool writing;	     /* counted in writing of the inode */
	_Atomic bool around;	     /* counted in around of the inode */
	_Atomic bool mapped;	     /* opened around the cache, but a mapping was read */
	bool lent;		     /* fd is the inode's sync_fd, so the inode closes it */
	_Atomic uint32_t error_seen; /* error_seq of the inode when the opener was last told */
	/*
	 * Of a directory: d_off of fd, or FILE_NOWHERE. It needs no guard, because the kernel sends
	 * one READDIR of an fh at a time.
	 */
	uint64_t dir_off;
};

struct file_table {
	struct inode_table *inodes; /* their rows are held by open files */
	struct file *rows;
	uint32_t count;
	struct pool pool;
	_Atomic uint32_t used;
};

/* Plans ARENA_FILES for COUNT rows. Returns 0 or -EOVERFLOW. */
int file_table_plan(struct arena *arena, uint32_t count);

/*
 * Makes the table in the created ARENA, for files of INODES. Allocates: before the seal. Returns 0
 * or -errno.
 */
int file_table_init(struct file_table *table, const struct arena *arena,
		    struct inode_table *inodes);

/* As inode_table_prepare(), for files of INODES. */
int file_table_prepare(struct file_table *table, const struct arena *arena,
		       struct inode_table *inodes);

/*
 * Takes over the table that a process has left, which may have died at any moment. The inode table
 * has been attached, and the open files hold their rows again; cached_open_attach() must come next.
 * Descriptors of files that were being opened or closed stay open without a row.
 */
void file_table_attach(struct file_table *table);

/* Marks every descriptor that the table has. */
void file_table_mark_fds(const struct file_table *table, struct fd_marks *marks);

/* Closes every descriptor in the table. */
void file_table_destroy(struct file_table *table);

/* Whether the row FILE is in use. */
static inline bool file_is_used(const struct file *file)
{
	return atomic_load_explicit(&file->generation, memory_order_acquire) & 1;
}

/* The open file with FH, or NULL if there is none (-EBADF). Any thread, no lock. */
struct file *file_get(const struct file_table *table, uint64_t fh);

/*
 * Takes a row for an open file of INODE, whose row it holds until file_close(). Copies fd,
 * buffered_fd, dio_*, flags and directory from FILL, and takes the descriptors, also on error.
 * Returns 0, or -ENFILE if the table is full.
 */
int file_open(struct file_table *table, struct inode *inode, const struct file *fill,
	      uint64_t *ret_fh);

/*
 * file_open() in two steps, for openings that change something (room.h). file_reserve() sets a row
 * aside, or fails with -ENFILE. file_publish() does the rest, can't fail, and returns the fh.
 * file_unreserve() gives back a row that wasn't used.
 */
int file_reserve(struct file_table *table, uint32_t *ret_row);
void file_unreserve(struct file_table *table, uint32_t row);
uint64_t file_publish(struct file_table *table, uint32_t row, struct inode *inode,
		      const struct file *fill);

/* Closes FILE after the kernel has released its fh. cached_open_close() comes before. */
void file_close(struct file_table *table, struct file *file);

/*
 * The descriptor for every fsync of FILE's inode. It is the first writer's, which stays open until
 * the last opener has gone. If there was no writer, it is FILE's own. Any thread, no lock.
 */
int file_fsync_fd(const struct file_table *table, const struct file *file);

/*
 * Returns the error (-errno) of the last failed flush of FILE's inode if FILE's opener has not been
 * told of it yet, otherwise 0. Any thread, no lock.
 */
int file_report_error(const struct file_table *table, struct file *file);

/*
 * The id of the backing file of all openers of FILE's inode. Registers FILE's descriptor with the
 * kernel if there is none yet. Returns PASSTHROUGH_NONE if the kernel refuses it. Any thread, no
 * lock.
 */
int32_t file_backing_id(const struct file_table *table, const struct file *file);

/* The descriptor for calls that need no alignment, such as copy_file_range() and lseek(). */
static inline int file_buffered_fd(const struct file *file)
{
	return file->buffered_fd >= 0 ? file->buffered_fd : file->fd;
}

/*
 * Whether ERROR, of a write through FILE that syncs, may be that of a sync of which the kernel
 * tells nobody else: of the disk's flush; or, if all syncs go through FILE's descriptor, of any
 * data.
 */
static inline bool file_took_sync_error(const struct file *file, int error)
{
	return error == -EIO || (file->lent && (error == -ENOSPC || error == -EDQUOT));
}

#endif
