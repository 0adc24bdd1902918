/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/cached-open.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include "base/macro.h"
#include "base/mutex.h"
#include "store/file.h"
#include "store/inode.h"

_Static_assert(DROP_NONE == 0, "a row of the inode table owes no drop at first");

/* Two changes within this time may leave the same mtime. */
#define SAME_MTIME_NS 20000000

/* Each guards inode->seen of the inodes with its hash. */
static pthread_mutex_t turns[] = {
	[0 ... 63] = PTHREAD_MUTEX_INITIALIZER,
};

static pthread_mutex_t *turn_of(const struct inode *inode)
{
	return &turns[mix_bits(inode->ino) % ARRAY_SIZE(turns)];
}

static bool is_writer(const struct file *file)
{
	return (file->flags & O_ACCMODE) != O_RDONLY;
}

static uint64_t share_of(const struct file *file)
{
	return is_writer(file) ? CACHED_OPEN_WRITER : CACHED_OPEN_READER;
}

static int64_t to_ns(const struct timespec *time)
{
	return time->tv_sec * 1000000000ll + time->tv_nsec;
}

/* How FILE's inode is now. Not sure if that can't be read, or if it has changed just now. */
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

/*
 * Whether INODE has changed since the cache was last true to it. Returns false while writes through
 * the cache are unflushed. If true, a drop is due and counted in inode->drops: the next open will
 * find nothing changed, but must wait for the drop too.
 */
static bool has_changed(struct inode *inode, const struct file *file)
{
	struct inode_seen now = look(file);
	bool changed = false;

	mutex_lock(turn_of(inode));
	if (atomic_load(&inode->writing) == 0) {
		changed = inode->seen.known && !is_same(&inode->seen, &now);
		if (changed) {
			atomic_fetch_add(&inode->drops, 1); /* until cached_open_settle() */
			atomic_store(&inode->drop_due, true);
		}
		inode->seen = now;
		/* a write around the cache may go on long after it has set the mtime */
		if (atomic_load(&inode->around))
			inode->seen.sure = false;
	}
	mutex_unlock(turn_of(inode));
	return changed;
}

/* Makes the next open drop what may be cached of INODE. */
static void doubt(struct inode *inode)
{
	mutex_lock(turn_of(inode));
	inode->seen.known = true;
	inode->seen.sure = false;
	mutex_unlock(turn_of(inode));
}

static void count(struct inode *inode, struct file *file)
{
	if (!atomic_exchange(&file->cached, true))
		atomic_fetch_add(&inode->cached_opens, share_of(file));
}

static void discount(struct inode *inode, struct file *file)
{
	if (atomic_exchange(&file->cached, false))
		atomic_fetch_sub(&inode->cached_opens, share_of(file));
}

/* From now on FILE goes around the cache. */
static void go_around(struct inode *inode, struct file *file)
{
	if (is_writer(file) && !atomic_exchange(&file->around, true))
		atomic_fetch_add(&inode->around, 1);
}

/*
 * Lets the opening of FILE begin, unless drops of INODE aren't over. An opening for writing changes
 * from WAITING to WRITER. It must not be a WRITER before the drops are over, because they would not
 * be made.
 */
static bool begin_at_once(struct inode *inode, const struct file *file)
{
	if (atomic_load(&inode->drops) > 0)
		return false;
	if (!is_writer(file))
		return true;
	atomic_fetch_add(&inode->cached_opens, CACHED_OPEN_WRITER - CACHED_OPEN_WAITING);
	/* again: the dropper looks for writers only after the drop was counted */
	if (atomic_load(&inode->drops) == 0)
		return true;
	atomic_fetch_sub(&inode->cached_opens, CACHED_OPEN_WRITER - CACHED_OPEN_WAITING);
	return false;
}

bool cached_open_begin(const struct inode_table *table, struct inode *inode, struct file *file,
		       struct cached_drop *ret_drop)
{
	bool changed;

	atomic_store(&file->cached, true);
	atomic_fetch_add(&inode->cached_opens,
			 is_writer(file) ? CACHED_OPEN_WAITING : CACHED_OPEN_READER);
	changed = has_changed(inode, file);
	if (!changed && begin_at_once(inode, file))
		return false;
	*ret_drop = (struct cached_drop){
		.reason = changed ? DROP_CHANGED : DROP_NONE,
		.by_writer = is_writer(file),
		.counted = changed,
		.row = inode_row(table, inode),
	};
	return true;
}

void cached_open_settle(const struct inode_table *table, const struct cached_drop *drop)
{
	struct inode *inode = inode_at(table, drop->row);

	if (drop->by_writer)
		atomic_fetch_add(&inode->cached_opens, CACHED_OPEN_WRITER - CACHED_OPEN_WAITING);
	if (drop->counted)
		atomic_fetch_sub(&inode->drops, 1);
}

void cached_open_attach(const struct file_table *table)
{
	for (uint32_t row = 0; row < table->count; row++) {
		const struct file *file = &table->rows[row];
		struct inode *inode = inode_at(table->inodes, file->known);

		if (!file_is_used(file))
			continue;
		if (atomic_load(&file->cached))
			atomic_fetch_add(&inode->cached_opens, share_of(file));
		if (atomic_load(&file->writing))
			atomic_fetch_add(&inode->writing, 1);
		if (atomic_load(&file->around))
			atomic_fetch_add(&inode->around, 1);
	}
}

void cached_open_begin_around(struct inode *inode, struct file *file)
{
	go_around(inode, file);
	doubt(inode);
}

void cached_open_note(struct inode *inode, struct file *file, bool around)
{
	bool cached = atomic_load_explicit(&file->cached, memory_order_relaxed);

	if (around && cached && !atomic_load(&file->mapped)) {
		go_around(inode, file);
		discount(inode, file);
	} else if (!around && !cached) {
		atomic_store(&file->mapped, true);
		count(inode, file);
	}
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
	now.sure = false; /* others may have changed the file during the writes */
	mutex_lock(turn_of(inode));
	inode->seen = now;
	mutex_unlock(turn_of(inode));
	atomic_fetch_sub(&inode->writing, 1);
}

void cached_open_close(struct inode *inode, struct file *file)
{
	cached_open_flushed(inode, file);
	discount(inode, file);
	if (atomic_exchange(&file->around, false)) {
		doubt(inode);
		atomic_fetch_sub(&inode->around, 1);
	}
}

static bool has_readers_only(const struct inode *inode)
{
	uint64_t opens = atomic_load(&inode->cached_opens);

	return opens > 0 && opens < CACHED_OPEN_WAITING;
}

/* Whether a client could write to INODE through the cache now. */
static bool has_writers(const struct inode *inode)
{
	return atomic_load(&inode->cached_opens) >= CACHED_OPEN_WRITER ||
	       atomic_load(&inode->writing) > 0;
}

bool cached_open_written_around(const struct inode_table *table, const struct inode *inode,
				uint64_t off, uint64_t len, struct cached_drop *ret_drop)
{
	if (!has_readers_only(inode))
		return false;
	*ret_drop = (struct cached_drop){
		.reason = DROP_WRITTEN,
		.row = inode_row(table, inode),
		.off = off,
		.len = len,
	};
	return true;
}

bool cached_open_take_due(struct inode *inode, enum cached_drop_reason reason)
{
	if (reason == DROP_WRITTEN)
		return true;
	return atomic_exchange(&inode->drop_due, false) || reason == DROP_CHANGED;
}

bool cached_open_may_drop(struct inode *inode, enum cached_drop_reason reason)
{
	if (reason == DROP_WRITTEN ? has_readers_only(inode) : !has_writers(inode))
		return true;
	doubt(inode);
	return false;
}

static bool owes_drop(const struct inode_table *table, struct inode *inode)
{
	enum cached_drop_reason reason;

	(void)table;
	if (!inode->used)
		return false;
	reason = (enum cached_drop_reason)atomic_exchange(&inode->drop_owed, DROP_NONE);
	if (reason == DROP_NONE)
		return false;
	if (cached_open_may_drop(inode, reason))
		return true;
	atomic_fetch_sub(&inode->drops, 1);
	return false;
}

uint32_t cached_open_collect_owing(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
				   uint32_t max)
{
	return inode_collect(table, hand, nodeids, max, owes_drop);
}
