/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cached open is a file that a client has opened through the page cache of the kernel above us,
 * which is called the cache here. Other opens go around the cache (FOPEN_DIRECT_IO).
 *
 * A file opened without O_DIRECT shares the cache with the file's mappings. If its write(2) went
 * around the cache, the write and a store to a mapping of the same page would undo each other. The
 * kernel keeps the cache true to writes that go through it, and to synchronous direct writes,
 * because all of these hold the inode's lock. Two cases are left to the daemon:
 *
 *   - A change behind the mount, or by a direct write, must be seen by the next open of the file.
 *     So each open compares the file's size and mtime with those at the last open or flush. It has
 *     the cache dropped if they differ, or if the file has since been open for writing around the
 *     cache. The kernel is told not to drop the cache by itself (FOPEN_KEEP_CACHE). If the kernel
 *     dropped a page while a write is under way, a reader could bring back the old page, which
 *     would then stay. For the same reason nothing is dropped while the file is open for writing
 *     through the cache, even before the first WRITE, which may come at any time. An open during
 *     that time finds the old pages. The first open after the writers have gone sees the change.
 *     One thing can't be prevented: when a file that was opened around the cache is mapped, the
 *     kernel drops all pages without a lock (fuse_file_mmap() in fs/fuse/file.c).
 *   - An asynchronous direct write, such as a loop device's, holds no lock while it is under way,
 *     so a reader may cache the old page meanwhile. If all cached opens of the file are for
 *     reading, the pages of the written range are dropped before the write is answered.
 *
 * An answer that needs a drop waits for it (dropper.h). So does the answer to any cached open of
 * the file meanwhile, because an open for writing must not begin while a page might be dropped and
 * brought back. Such an open becomes a writer when its answer is sent (cached_open_settle()). Until
 * then it doesn't prevent the drop that it waits for.
 *
 * A loop device opens its file like any client, but its requests show that it goes around the
 * cache. From then on its open isn't counted as cached. An open around the cache is counted as
 * cached once a mapping of it has been read.
 */
#ifndef CAISSON_CACHED_OPEN_H
#define CAISSON_CACHED_OPEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * inode->cached_opens holds three counts in one word, so that they are read together. An open for
 * writing counts as WAITING while its answer waits for a drop, and as WRITER afterwards. No count
 * can overflow: there are at most 1 << 22 open files (options-word.c), and far fewer than 1 << 16
 * requests.
 */
#define CACHED_OPEN_READER  1ull
#define CACHED_OPEN_WAITING (1ull << 24)
#define CACHED_OPEN_WRITER  (1ull << 40)

struct file;
struct file_table;
struct inode;
struct inode_table;

/* Why an answer waits for the dropper. */
enum cached_drop_reason {
	DROP_NONE,    /* an open has found earlier drops that aren't over */
	DROP_CHANGED, /* an open has found the file changed: all pages are dropped */
	DROP_WRITTEN, /* a direct write has bypassed readers: its range is dropped */
};

/* The drop that a request waits for. It lives in the arena, so it holds no pointers. */
struct cached_drop {
	enum cached_drop_reason reason;
	bool by_writer; /* an open for writing waits, and is counted as WAITING */
	bool counted;	/* in drops of the inode, until cached_open_settle() */
	uint32_t row;	/* row in the inode table that the kernel has opened */
	uint64_t off, len;
};

/*
 * Workers call this when FILE is about to be open on INODE through the cache. Returns true if the
 * answer must wait for *RET_DROP. Then cached_open_settle() must be called before it is sent.
 */
bool cached_open_begin(const struct inode_table *table, struct inode *inode, struct file *file,
		       struct cached_drop *ret_drop);

/*
 * The answer to an open is about to be sent, for which cached_open_begin() has returned DROP. An
 * open for writing counts as a writer from now on. To be called exactly once for each such answer,
 * even if the answer didn't wait after all. Any thread, doesn't block.
 */
void cached_open_settle(const struct inode_table *table, const struct cached_drop *drop);

/*
 * Counts the open files of TABLE, which was attached, in their inodes again. An opening that waited
 * counts as open. Before other threads exist.
 */
void cached_open_attach(const struct file_table *table);

/*
 * Workers call this when FILE is about to be open on INODE around the cache. Its mappings still use
 * the cache.
 */
void cached_open_begin_around(struct inode *inode, struct file *file);

/*
 * A request of FILE has gone around the cache (AROUND) or through it. If FILE was opened around the
 * cache, a request through the cache comes from a mapping. Any thread, doesn't block.
 */
void cached_open_note(struct inode *inode, struct file *file, bool around);

/* A WRITE of FILE has come through the cache. Any thread, doesn't block. */
void cached_open_written(struct inode *inode, struct file *file);

/*
 * FILE has been flushed, so all its WRITEs through the cache have come. Any thread; holds no lock
 * across a system call.
 */
void cached_open_flushed(struct inode *inode, struct file *file);

/* Workers call this when FILE is about to be closed. */
void cached_open_close(struct inode *inode, struct file *file);

/*
 * A WRITE of LEN bytes at OFF has gone around the cache of INODE. Returns true if the answer must
 * wait for *RET_DROP. Any thread, doesn't block.
 */
bool cached_open_written_around(const struct inode_table *table, const struct inode *inode,
				uint64_t off, uint64_t len, struct cached_drop *ret_drop);

/*
 * The dropper asks this when the turn of a request that waits for REASON has come: must pages of
 * INODE be dropped now? A request that waits for another one's drop may come to the dropper before
 * that one does. Then the drop is due, and is made in its turn.
 */
bool cached_open_take_due(struct inode *inode, enum cached_drop_reason reason);

/*
 * The dropper asks this last: may pages of INODE be dropped for REASON? They may not if a client
 * could write to them through the cache. Then the next open will find that the cache isn't true.
 */
bool cached_open_may_drop(struct inode *inode, enum cached_drop_reason reason);

/*
 * Fills NODEIDS with up to MAX inodes whose drop is owed (dropper.h), and clears their drop_owed.
 * The caller makes the drops and calls inode_end_drop() after each. *HAND is as in inode_collect().
 * Returns how many.
 */
uint32_t cached_open_collect_owing(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
				   uint32_t max);

#endif
