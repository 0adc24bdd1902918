/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock-wait.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "call.h"
#include "cleanup.h"
#include "fs.h"
#include "mutex.h"

/* Owners that the search for a deadlock goes through: as many as the kernel's own. */
#define DEADLOCK_STEPS 10

void lock_table_lock(struct lock_table *table)
{
	mutex_lock(&table->mutex);
}

void lock_table_unlock(struct lock_table *table)
{
	mutex_unlock(&table->mutex);
}

struct lock_owner *lock_want_owner(struct lock_table *table, const struct lock_want *want)
{
	return lock_owner_find(&table->owners, want->nodeid, want->owner);
}

static int try_flock(const struct fs *fs, const struct lock_want *want)
{
	const struct file *file = file_get(&fs->files, want->fh);
	int op = want->type == F_RDLCK ? LOCK_SH : want->type == F_WRLCK ? LOCK_EX : LOCK_UN;

	if (!file)
		return -EBADF;
	return flock(file->fd, op | LOCK_NB) < 0 ? -errno : 0;
}

struct flock lock_on_backing(uint32_t type, uint64_t start, uint64_t end)
{
	return (struct flock){
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)start,
		.l_len = end == INT64_MAX ? 0 : (off_t)(end - start + 1), /* 0: all the rest */
	};
}

/* The mutex is held. Who only unlocks need not have a row. */
static int try_posix(struct lock_table *table, const struct lock_want *want)
{
	struct flock asked = lock_on_backing(want->type, want->start, want->end);
	struct lock_owner *row = lock_want_owner(table, want);
	struct lock_spares spares;
	int r;

	if (!row)
		return want->type == F_UNLCK ? 0 : -ENOLCK;
	r = lock_owner_reserve(&table->owners, row, want->type, want->start, want->end, &spares);
	if (r < 0)
		return r;
	if (fcntl(row->fd, F_OFD_SETLK, &asked) < 0) {
		r = -errno;
		lock_owner_unreserve(&table->owners, &spares);
		/* EBADF: the file couldn't be opened for what this type needs (op-lock.c) */
		return r == -EACCES ? -EAGAIN : r == -EBADF ? -ENOLCK : r;
	}
	lock_owner_set(&table->owners, row, want->type, want->start, want->end, &spares);
	if (want->type != F_UNLCK) {
		row->fh = want->fh;
		row->pid = want->pid;
	}
	return 0;
}

/* The parked POSIX request of OWNER, on whatever inode, or NULL. The mutex is held. */
static const struct lock_waiter *waiter_of(const struct lock_table *table, uint64_t owner)
{
	for (uint32_t i = table->waiting; i != POOL_NONE; i = table->waiters[i].next) {
		const struct lock_waiter *waiter = &table->waiters[i];

		if (!waiter->want.flock && waiter->want.owner == owner)
			return waiter;
	}
	return NULL;
}

/*
 * Whether WANT's owner would wait, through others that wait, for itself. Followed are the first
 * holder in the way and the first request that it waits with, as posix_locks_deadlock() in
 * fs/locks.c does; a cycle that goes through another mount or another user of the backing directory
 * isn't seen. The mutex is held.
 */
static bool is_deadlock(struct lock_table *table, const struct lock_want *want)
{
	const struct lock_want *blocked = want;

	if (want->flock)
		return false;
	for (unsigned step = 0; step < DEADLOCK_STEPS; step++) {
		const struct lock_owner *holder =
			lock_owners_conflict(&table->owners, blocked->nodeid, blocked->owner,
					     blocked->type, blocked->start, blocked->end, NULL);
		const struct lock_waiter *next;

		if (!holder)
			return false;
		if (holder->owner == want->owner)
			return true;
		next = waiter_of(table, holder->owner);
		if (!next)
			return false;
		blocked = &next->want;
	}
	return false;
}

int lock_try(struct fs *fs, const struct lock_want *want)
{
	int r = want->flock ? try_flock(fs, want) : try_posix(fs->locks, want);

	return r == -EAGAIN && is_deadlock(fs->locks, want) ? -EDEADLK : r;
}

int lock_drop_if_idle(struct lock_table *table, const struct lock_want *want)
{
	struct lock_owner *row = want->flock ? NULL : lock_want_owner(table, want);

	return row && lock_owner_is_idle(row) ? lock_owner_remove(&table->owners, row) : -1;
}

static bool was_interrupted(const struct lock_table *table, uint64_t unique)
{
	for (unsigned i = 0; i < LOCK_INTERRUPTS; i++) {
		if (table->interrupts[i] == unique)
			return true;
	}
	return false;
}

/*
 * A message that the kernel has sent once more (FUSE_NOTIFY_RESEND) carries a mark in its unique,
 * which is never 0.
 */
static uint64_t plain_unique(uint64_t unique)
{
	return unique & ~CAISSON_UNIQUE_RESEND;
}

int lock_park(struct lock_table *table, const struct call *call, const struct lock_want *want)
{
	uint64_t unique = plain_unique(call->in->unique);
	uint32_t *link = &table->waiting;
	uint32_t i;

	if (table->aborted)
		return -ECONNABORTED;
	if (was_interrupted(table, unique))
		return -EINTR;
	i = pool_take(&table->waiter_pool);
	if (i == POOL_NONE)
		return -ENOLCK;
	table->waiters[i] = (struct lock_waiter){
		.want = *want,
		.unique = unique,
		.ticket = call->ticket,
		.next = POOL_NONE,
	};
	if (!want->flock)
		lock_want_owner(table, want)->waiters++;
	while (*link != POOL_NONE)
		link = &table->waiters[*link].next;
	*link = i;
	atomic_fetch_add(&table->waiting_count, 1);
	call_park(call->ticket);
	return 0;
}

/*
 * Takes the waiter at *LINK out of the queue, to be answered with RESULT: puts it before *SETTLED.
 * The mutex is held.
 */
static void settle(struct lock_table *table, uint32_t *link, int result, uint32_t *settled)
{
	uint32_t i = *link;
	struct lock_waiter *waiter = &table->waiters[i];

	*link = waiter->next;
	atomic_fetch_sub(&table->waiting_count, 1);
	if (!waiter->want.flock)
		lock_want_owner(table, &waiter->want)->waiters--;
	waiter->result = result;
	waiter->spent_fd = lock_drop_if_idle(table, &waiter->want);
	waiter->next = *settled;
	*settled = i;
}

/* Answers what settle() has collected. The mutex is not held. */
static void answer(struct lock_table *table, uint32_t settled)
{
	while (settled != POOL_NONE) {
		struct lock_waiter *waiter = &table->waiters[settled];
		uint32_t i = settled;

		settled = waiter->next;
		close_fd(&waiter->spent_fd);
		call_answer(waiter->ticket, waiter->result);
		pool_put(&table->waiter_pool, i);
	}
}

/* One round over NODEID's waiters. Whether one of them has got its lock. The mutex is held. */
static bool try_round(struct fs *fs, uint64_t nodeid, uint32_t *settled)
{
	struct lock_table *table = fs->locks;
	uint32_t *link = &table->waiting;
	bool granted = false;

	while (*link != POOL_NONE) {
		struct lock_waiter *waiter = &table->waiters[*link];
		int r = -EAGAIN;

		if (nodeid == LOCK_ANY_NODE || waiter->want.nodeid == nodeid)
			r = lock_try(fs, &waiter->want);
		granted |= r == 0;
		if (r == -EAGAIN)
			link = &waiter->next;
		else
			settle(table, link, r, settled);
	}
	return granted;
}

void lock_retry(struct fs *fs, uint64_t nodeid)
{
	struct lock_table *table = fs->locks;
	uint32_t settled = POOL_NONE;

	if (atomic_load(&table->waiting_count) == 0)
		return;
	lock_table_lock(table);
	/* once more after a grant, which may itself have made a read lock of a write lock */
	while (try_round(fs, nodeid, &settled))
		;
	lock_table_unlock(table);
	answer(table, settled);
}

/*
 * The kernel sends INTERRUPT once, as soon as a signal finds its request with us, by whichever
 * queue (queue_interrupt() in fs/fuse/dev.c). So it may overtake its request on the way here, and
 * must then be kept: a killed process would otherwise wait for as long as the lock is held. To
 * answer -EAGAIN, which makes the kernel send it again, would be to spin while the request is
 * anything else that takes its time.
 */
void lock_interrupt(struct lock_table *table, uint64_t unique)
{
	uint32_t settled = POOL_NONE;

	unique = plain_unique(unique);
	lock_table_lock(table);
	for (uint32_t *link = &table->waiting; *link != POOL_NONE;
	     link = &table->waiters[*link].next) {
		if (table->waiters[*link].unique == unique) {
			settle(table, link, -EINTR, &settled);
			break;
		}
	}
	if (settled == POOL_NONE)
		table->interrupts[table->interrupt_at++ % LOCK_INTERRUPTS] = unique;
	lock_table_unlock(table);
	answer(table, settled);
}

void lock_abort(struct lock_table *table)
{
	uint32_t settled = POOL_NONE;

	lock_table_lock(table);
	table->aborted = true;
	while (table->waiting != POOL_NONE)
		settle(table, &table->waiting, -ECONNABORTED, &settled);
	lock_table_unlock(table);
	answer(table, settled);
}
