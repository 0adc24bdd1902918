/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op-lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "arena.h"
#include "call.h"
#include "cleanup.h"
#include "fs.h"
#include "lock-wait.h"
#include "macro.h"
#include "op-meta.h"

int lock_plan(struct arena *arena, uint32_t owners, uint32_t waiters)
{
	int r = lock_owners_plan(arena, owners);

	if (r < 0)
		return r;
	return arena_plan(arena, ARENA_LOCK_WAITERS, sizeof(struct lock_waiter), waiters,
			  CACHE_LINE_BYTES);
}

int lock_init(struct fs *fs, const struct arena *arena)
{
	autofree struct lock_table *table = calloc(1, sizeof(*table));
	int r;

	if (!table)
		return -ENOMEM;
	table->waiters = arena_table(arena, ARENA_LOCK_WAITERS);
	table->waiting = POOL_NONE;
	r = pthread_mutex_init(&table->mutex, NULL);
	if (r)
		return -r;
	r = pool_init(&table->waiter_pool, 0, (uint32_t)arena->plan.span[ARENA_LOCK_WAITERS].count);
	if (r < 0)
		return r;
	r = lock_owners_init(&table->owners, arena);
	if (r < 0) {
		pool_destroy(&table->waiter_pool);
		return r;
	}
	fs->locks = table;
	table = NULL;
	return 0;
}

bool lock_none(const struct fs *fs)
{
	return lock_owners_none(&fs->locks->owners);
}

uint32_t lock_waiting(const struct fs *fs)
{
	const struct pool *pool = &fs->locks->waiter_pool;

	return pool->count - atomic_load(&pool->free);
}

void lock_destroy(struct fs *fs)
{
	struct lock_table *table = fs->locks;

	if (!table)
		return;
	assert(table->waiting == POOL_NONE);
	lock_owners_destroy(&table->owners);
	pool_destroy(&table->waiter_pool);
	(void)pthread_mutex_destroy(&table->mutex); /* nobody has it: the threads have ended */
	free(table);
	fs->locks = NULL;
}

/*
 * A descriptor for POSIX locks on FILE's inode: for reading and writing where that is possible, as
 * an owner may want both types, else what TYPE needs. Opened by the daemon for itself: the caller
 * has FILE open, and closing it releases only these locks.
 */
static int open_for_locks(struct fs *fs, const struct file *file, uint32_t type, int *ret_fd)
{
	int fd = file->fd;
	int r = store_reopen(&fs->store, fd, O_RDWR, ret_fd);

	if (r == -EPERM) /* append-only */
		r = store_reopen(&fs->store, fd, O_RDWR | O_APPEND, ret_fd);
	if (r == -EACCES || r == -EPERM || r == -EROFS || r == -ETXTBSY)
		r = store_reopen(&fs->store, fd, type == F_RDLCK ? O_RDONLY : O_WRONLY, ret_fd);
	return op_error(fs, r);
}

static const struct file *wanted(const struct call *call, struct lock_want *ret_want)
{
	const struct fuse_lk_in *arg = call->arg;
	const struct fs *fs = call->fs;
	const struct file *file = file_get(&fs->files, arg->fh);

	/* the kernel looks after directories' locks itself */
	if (!file || file->directory)
		return NULL;
	*ret_want = (struct lock_want){
		.nodeid = inode_nodeid(&fs->inodes, inode_at(&fs->inodes, file->inode)),
		.owner = arg->owner,
		.fh = arg->fh,
		.start = arg->lk.start,
		.end = arg->lk.end,
		.type = arg->lk.type,
		.pid = arg->lk.pid,
		.flock = arg->lk_flags & FUSE_LK_FLOCK,
	};
	return file;
}

/*
 * Takes the mutex, with a row for WANT's owner if it needs one. Returns 0; or -errno, and then
 * without the mutex.
 */
static int lock_with_owner(struct fs *fs, const struct file *file, const struct lock_want *want)
{
	struct lock_table *table = fs->locks;
	autoclose int fd = -1;
	int r;

	lock_table_lock(table);
	if (want->flock || want->type == F_UNLCK || lock_want_owner(table, want))
		return 0;
	lock_table_unlock(table);
	r = open_for_locks(fs, file, want->type, &fd);
	if (r < 0)
		return r;
	lock_table_lock(table);
	/* another thread of this owner may have been here */
	if (lock_want_owner(table, want) ||
	    lock_owner_add(&table->owners, want->nodeid, want->owner, &fd))
		return 0;
	lock_table_unlock(table);
	return -ENOLCK;
}

static int set_lock(struct call *call, bool wait)
{
	struct fs *fs = call->fs;
	struct lock_table *table = fs->locks;
	autoclose int spent_fd = -1;
	const struct file *file;
	struct lock_want want;
	bool parked = false;
	int r;

	file = wanted(call, &want);
	if (!file)
		return -EBADF;
	r = lock_with_owner(fs, file, &want);
	if (r < 0)
		return r;
	r = lock_try(fs, &want);
	if (r == -EAGAIN && wait) {
		r = lock_park(table, call, &want);
		parked = r == 0;
	} else if (r == -EDEADLK && !wait) {
		r = -EAGAIN;
	}
	spent_fd = lock_drop_if_idle(table, &want);
	lock_table_unlock(table);

	/* from here on CALL may be another one's, if it is parked */
	if (r == 0)
		lock_retry(fs, want.nodeid);
	return parked ? CALL_PARKED : r;
}

int op_setlk(struct call *call)
{
	return set_lock(call, false);
}

int op_setlkw(struct call *call)
{
	return set_lock(call, true);
}

/* Asks the backing file's kernel, on behalf of WANT's owner. The mutex is held. */
static int get_foreign(struct lock_table *table, const struct file *file,
		       const struct lock_want *want, struct fuse_file_lock *ret_lock)
{
	struct flock found = lock_on_backing(want->type, want->start, want->end);
	const struct lock_owner *row = lock_want_owner(table, want);

	if (fcntl(row ? row->fd : file->fd, F_OFD_GETLK, &found) < 0)
		return -errno;
	*ret_lock = (struct fuse_file_lock){ .type = F_UNLCK };
	if (found.l_type == F_UNLCK)
		return 0;
	*ret_lock = (struct fuse_file_lock){
		.start = (uint64_t)found.l_start,
		.end = found.l_len ? (uint64_t)(found.l_start + found.l_len - 1) : INT64_MAX,
		.type = (uint32_t)found.l_type,
		.pid = (uint32_t)MAX(found.l_pid, 0), /* -1: of an open file, no process's */
	};
	return 0;
}

int op_getlk(struct call *call)
{
	struct lock_table *table = call->fs->locks;
	struct fuse_lk_out *out = call->out;
	const struct lock_owner *holder;
	struct lock_range range;
	const struct file *file;
	struct lock_want want;
	int r = 0;

	file = wanted(call, &want);
	if (!file)
		return -EBADF;
	if (want.flock || want.type == F_UNLCK)
		return -EINVAL;
	lock_table_lock(table);
	holder = lock_owners_conflict(&table->owners, want.nodeid, want.owner, want.type,
				      want.start, want.end, &range);
	if (holder)
		out->lk = (struct fuse_file_lock){
			.start = range.start,
			.end = range.end,
			.type = range.type,
			.pid = holder->pid,
		};
	else
		r = get_foreign(table, file, &want, &out->lk);
	lock_table_unlock(table);
	if (r == 0)
		call->out_len = sizeof(*out);
	return r;
}

int op_interrupt(struct call *call)
{
	const struct fuse_interrupt_in *arg = call->arg;

	lock_interrupt(call->fs->locks, arg->unique);
	return 0;
}

/*
 * Ends all locks of ROW. Returns its descriptor, for the caller to close without the mutex; or -1
 * where somebody waits for another lock with it: then the locks are unlocked at once. The mutex is
 * held.
 */
static int release_row(struct lock_table *table, struct lock_owner *row)
{
	struct lock_spares none = { { POOL_NONE, POOL_NONE } };
	struct flock all = lock_on_backing(F_UNLCK, 0, INT64_MAX);

	if (!row->waiters)
		return lock_owner_remove(&table->owners, row);
	(void)fcntl(row->fd, F_OFD_SETLK, &all); /* unlocking all needs nothing that could lack */
	lock_owner_set(&table->owners, row, F_UNLCK, 0, INT64_MAX, &none);
	row->fh = 0; /* none: it has locked through no open file any more */
	return -1;
}

void lock_release_owner(struct fs *fs, uint32_t inode_row, uint64_t lock_owner)
{
	struct lock_table *table = fs->locks;
	uint64_t nodeid = inode_nodeid(&fs->inodes, inode_at(&fs->inodes, inode_row));
	struct lock_owner *row;
	int fd = -1;

	/* what this owner has locked it has locked before it closed */
	if (lock_none(fs))
		return;
	lock_table_lock(table);
	row = lock_owner_find(&table->owners, nodeid, lock_owner);
	if (row)
		fd = release_row(table, row);
	lock_table_unlock(table);
	close_fd(&fd); /* before the others try */
	if (row)
		lock_retry(fs, nodeid);
}

void lock_release_flock(struct fs *fs, struct file *file)
{
	struct lock_table *table = fs->locks;
	uint64_t nodeid = inode_nodeid(&fs->inodes, inode_at(&fs->inodes, file->inode));
	uint64_t fh = (uint64_t)atomic_load(&file->generation) << 32 |
		      (uint64_t)(file - fs->files.rows);
	struct lock_owner *row;

	(void)flock(file->fd, LOCK_UN); /* fails only where nothing can be locked */
	do {
		int fd = -1;

		if (lock_owners_none(&table->owners))
			break;
		lock_table_lock(table);
		row = lock_owners_by_fh(&table->owners, nodeid, fh);
		if (row)
			fd = release_row(table, row);
		lock_table_unlock(table);
		close_fd(&fd);
	} while (row);
	lock_retry(fs, nodeid);
}

void lock_tick(struct fs *fs)
{
	lock_retry(fs, LOCK_ANY_NODE);
}

void lock_abort_all(struct fs *fs)
{
	if (fs->locks)
		lock_abort(fs->locks);
}
