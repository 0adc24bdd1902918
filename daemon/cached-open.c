/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cached-open.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "file.h"
#include "inode.h"
#include "inval.h"
#include "macro.h"
#include "mutex.h"

/* inode->cached_opens: both counts in one word, so that they are seen together. */
#define READER 1ull
#define WRITER (1ull << 32)

/* A second change within so many nanoseconds of the first may get the same mtime. */
#define SAME_MTIME_NS 20000000

/* Guards of inode->seen, by the hash of the inode. */
static pthread_mutex_t turns[] = {
	[0 ... 63] = PTHREAD_MUTEX_INITIALIZER,
};

/*
 * Somebody has the kernel drop a cache. It waits for READs under way, and writes back what is dirty: these
 * WRITEs may be parked at a gate that only another worker opens. So one at a time: all others remain.
 */
static atomic_flag dropping = ATOMIC_FLAG_INIT;

static pthread_mutex_t *turn_of(const struct inode *inode)
{
	return &turns[mix_bits(inode->ino) % ARRAY_SIZE(turns)];
}

static uint64_t share_of(const struct file *file)
{
	return (file->flags & O_ACCMODE) == O_RDONLY ? READER : WRITER;
}

static int64_t to_ns(const struct timespec *time)
{
	return time->tv_sec * 1000000000ll + time->tv_nsec;
}

/* How FILE's inode is now. Not sure where it can't be told, or was changed just now. */
static struct inode_seen look(const struct file *file)
{
	struct inode_seen seen = { .known = true };
	struct timespec now;
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return seen;
	(void)clock_gettime(CLOCK_REALTIME, &now); /* can't fail for this clock */
	seen.len = (uint64_t)st.st_size;
	seen.mtime_ns = to_ns(&st.st_mtim);
	seen.sure = to_ns(&now) - seen.mtime_ns > SAME_MTIME_NS;
	return seen;
}

static bool is_same(const struct inode_seen *a, const struct inode_seen *b)
{
	return a->sure && a->len == b->len && a->mtime_ns == b->mtime_ns;
}

/* Whether INODE is another than when the cache was last true to it, and nobody writes to it now. */
static bool has_changed(struct inode *inode, const struct file *file)
{
	struct inode_seen now = look(file);
	bool changed = false;

	mutex_lock(turn_of(inode));
	if (atomic_load(&inode->writing) == 0) {
		changed = inode->seen.known && !is_same(&inode->seen, &now);
		inode->seen = now;
	}
	mutex_unlock(turn_of(inode));
	return changed;
}

bool cached_open_begin(const struct inode_table *table, struct inode *inode, struct file *file)
{
	bool keep = !has_changed(inode, file);

	if (!keep && table->may_wait && !atomic_flag_test_and_set(&dropping)) {
		(void)fuse_notify_data(table->session_fd, inode_nodeid(table, inode), 0, 0);
		atomic_flag_clear(&dropping);
		keep = true;
	}
	atomic_store(&file->cached, true);
	atomic_fetch_add(&inode->cached_opens, share_of(file));
	return keep;
}

void cached_open_end(struct inode *inode, struct file *file)
{
	if (atomic_exchange(&file->cached, false))
		atomic_fetch_sub(&inode->cached_opens, share_of(file));
}

void cached_open_written(struct inode *inode, struct file *file)
{
	if (!atomic_load_explicit(&file->writing, memory_order_relaxed) &&
	    !atomic_exchange(&file->writing, true))
		atomic_fetch_add(&inode->writing, 1);
}

void cached_open_flushed(struct inode *inode, struct file *file)
{
	struct inode_seen now;

	if (!atomic_exchange(&file->writing, false))
		return;
	now = look(file);
	now.sure = false; /* others may have changed it, too, while it was written to */
	mutex_lock(turn_of(inode));
	inode->seen = now;
	mutex_unlock(turn_of(inode));
	atomic_fetch_sub(&inode->writing, 1);
}

void cached_open_drop(const struct inode_table *table, struct inode *inode, uint64_t off,
		      uint64_t len)
{
	if (table->may_wait && !atomic_flag_test_and_set(&dropping)) {
		(void)fuse_notify_data(table->session_fd, inode_nodeid(table, inode), off, len);
		atomic_flag_clear(&dropping);
		return;
	}
	mutex_lock(turn_of(inode));
	inode->seen.sure = false;
	mutex_unlock(turn_of(inode));
}

bool cached_open_readers_only(const struct inode *inode)
{
	uint64_t opens = atomic_load(&inode->cached_opens);

	return opens > 0 && opens < WRITER;
}
