/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cached opens: files that clients have opened through the kernel's page cache above us.
 *
 * All who open a file without O_DIRECT share that cache with its mappings. A write(2) that went
 * around the cache and a store to the same page would undo each other. The kernel keeps the cache
 * true to the writes that go through it, and to synchronous direct writes, because all of these
 * hold the inode's lock. Two things are left to us:
 *
 *   - Changes behind the mount, or by a direct write, must be seen by the next open of the file.
 *     Each open compares the file's size and mtime with those of the last open or flush. The cache
 *     is dropped if they differ, or if somebody who writes around it has had the file open since.
 *     We do this ourselves and tell the kernel not to (FOPEN_KEEP_CACHE): if it dropped pages
 *     while a write is under way, a reader could bring back the old page, and it would stay. For
 *     the same reason nothing is dropped while somebody has the file open to write through the
 *     cache, whether they write or not, as their first WRITE might come at any time. An open in
 *     that time finds the old pages; the first open after the writers have gone sees the change.
 *     One thing can't be prevented: the kernel drops all pages, without a lock, when a descriptor
 *     that goes around the cache is mapped (fuse_file_mmap() in fs/fuse/file.c).
 *   - An asynchronous direct write, such as a loop device's, holds no lock while it is under way.
 *     A reader may cache the old page meanwhile. So if others only read the file through the
 *     cache, their pages are dropped before the direct write is answered.
 *
 * The answer waits for the drop (dropper.h). So does the answer to any cached open of the file in
 * that time: an open to write must not begin while its page might be dropped and brought back.
 * Until its answer is sent it isn't a writer yet (cached_open_settle()), so the drop that it waits
 * for is made all the same.
 *
 * A loop device opens its file like anybody else, and its requests show that it goes around the
 * cache. From then on its open doesn't count. An open that goes around the cache counts once it
 * has a mapping that is read.
 */
#ifndef CAISSON_CACHED_OPEN_H
#define CAISSON_CACHED_OPEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * inode->cached_opens: three counts in one word, so that they are seen together. An open to write
 * is WAITING while its answer waits for a drop. There are 1 << 22 open files at most
 * (options-word.c), and far fewer requests than 1 << 16.
 */
#define CACHED_OPEN_READER  1ull
#define CACHED_OPEN_WAITING (1ull << 24)
#define CACHED_OPEN_WRITER  (1ull << 40)

struct file;
struct inode;
struct inode_table;

/* What an answer waits for. */
enum cached_drop_reason {
	DROP_NONE,    /* an open has found that drops wait or are under way */
	DROP_CHANGED, /* an open has found another file than was cached: all is dropped */
	DROP_WRITTEN, /* a direct write has gone around readers: its range is dropped */
};

/* Lives in the arena: no pointers. */
struct cached_drop {
	enum cached_drop_reason reason;
	bool by_writer; /* an open to write waits for it: see cached_open_settle() */
	bool counted;	/* in the inode's drops, until it is settled */
	uint32_t row;	/* of the inode that the kernel knows */
	uint64_t off, len;
};

/*
 * FILE is about to be open on INODE through the cache. Returns whether the answer has to wait for
 * *RET_DROP; then cached_open_settle() comes before the answer. A worker.
 */
bool cached_open_begin(const struct inode_table *table, struct inode *inode, struct file *file,
		       struct cached_drop *ret_drop);

/*
 * The answer to an open that cached_open_begin() made wait for DROP is about to be sent: from now
 * on its caller counts as a writer, if he is one, and DROP isn't waited for any more. Exactly once
 * for each such answer, also where it can't wait after all. Any thread, doesn't block.
 */
void cached_open_settle(const struct inode_table *table, const struct cached_drop *drop);

/* FILE is about to be open on INODE and goes around the cache, but for its mappings. A worker. */
void cached_open_begin_around(struct inode *inode, struct file *file);

/*
 * A request of FILE has gone around the cache, or, if not AROUND, through it: that of a mapping,
 * where FILE goes around it otherwise. Any thread, doesn't block.
 */
void cached_open_note(struct inode *inode, struct file *file, bool around);

/* A WRITE has come through the cache by FILE. Any thread, doesn't block. */
void cached_open_written(struct inode *inode, struct file *file);

/* FILE has been flushed: all that it wrote is there. Any thread: its lock is held for no call. */
void cached_open_flushed(struct inode *inode, struct file *file);

/* FILE is about to be closed. A worker. */
void cached_open_close(struct inode *inode, struct file *file);

/*
 * A WRITE of LEN bytes at OFF has gone around the cache of INODE. Returns whether the answer has to
 * wait for *RET_DROP. Any thread, doesn't block.
 */
bool cached_open_written_around(const struct inode_table *table, const struct inode *inode,
				uint64_t off, uint64_t len, struct cached_drop *ret_drop);

/*
 * Whether somebody who waits for REASON is to have pages of INODE dropped. Who waits for the drop
 * of another may have his turn before that one, who has yet to come to wait: then it is due, and
 * made now. The dropper.
 */
bool cached_open_take_due(struct inode *inode, enum cached_drop_reason reason);

/*
 * Whether pages of INODE may be dropped for REASON, still: nobody may write to them meanwhile. If
 * not, the next open will find that the cache isn't true. The dropper.
 */
bool cached_open_may_drop(struct inode *inode, enum cached_drop_reason reason);

/*
 * Fills NODEIDS with up to MAX inodes that owe a drop of their pages (dropper.h), which they don't
 * from then on: inode_end_drop() is due. *HAND as of inode_collect(). Returns how many.
 */
uint32_t cached_open_collect_owing(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
				   uint32_t max);

#endif
