/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cached opens: files that clients have opened through the page cache of the kernel above us.
 *
 * All who open a file without O_DIRECT share that cache with its mappings, because a write(2)
 * that went around it and a store to the same page would undo each other. The kernel keeps the
 * cache true to the writes that go through it, and to synchronous direct ones, as all of these
 * hold the inode's lock. Two things are left to us:
 *
 *   - What was changed behind the mount, or by a direct write, is seen by the next one to open
 *     the file: each open compares the file's size and mtime with what they were when the last
 *     one was opened or flushed, and the cache is dropped where they differ, or where somebody
 *     who writes around it has had the file open since. The kernel itself never drops it
 *     (FOPEN_KEEP_CACHE), because while a write is under way that would let a reader bring back
 *     the old page, and the old page would stay. For the same reason nothing is dropped while
 *     somebody has the file open to write through the cache, whether he writes or not: his first
 *     WRITE might come at any time. Who opens the file next then finds the old pages, and the
 *     change is seen by the first one to open it when the writers have gone. What nobody can keep
 *     the kernel from is to drop all pages, without a lock, when a descriptor that goes around the
 *     cache is mapped (fuse_file_mmap() in fs/fuse/file.c).
 *   - An asynchronous direct write, as by a loop device, holds no lock while it is under way, and
 *     a reader may cache the old page meanwhile. So where others only read a file through the
 *     cache, their pages are dropped before the direct write is answered.
 *
 * The answer waits for the drop (dropper.h), and so does that to any cached open of the file
 * meanwhile: whoever opens it to write can't begin while his page might be dropped and brought
 * back. Until his answer is sent he is no writer yet (cached_open_settle()): so the drop that he
 * waits for is made all the same.
 *
 * A loop device opens its file like anybody, and shows by its requests that it goes around the
 * cache; its open doesn't count from then on. One that goes around it counts once it has a mapping
 * that is read.
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
struct fs;
struct inode;

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
bool cached_open_begin(const struct fs *fs, struct inode *inode, struct file *file,
		       struct cached_drop *ret_drop);

/*
 * The answer to an open that cached_open_begin() made wait for DROP is about to be sent: from now
 * on its caller counts as a writer, if he is one, and DROP isn't waited for any more. Exactly once
 * for each such answer, also where it can't wait after all. Any thread, doesn't block.
 */
void cached_open_settle(const struct fs *fs, const struct cached_drop *drop);

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
bool cached_open_written_around(const struct fs *fs, const struct inode *inode, uint64_t off,
				uint64_t len, struct cached_drop *ret_drop);

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

#endif
