/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trying for a lock and waiting for one: what is behind the handlers of op-lock.c.
 *
 * A waiter is a parked request that couldn't have its lock. It goes
 *
 *	(none)	→ waiting [lock_park]	    in the queue, in the order of arrival
 *	waiting	→ settled [lock_retry]	    it has got its lock, or can't have it
 *	waiting	→ settled [lock_interrupt]  its caller has got a signal
 *	waiting	→ settled [lock_abort]	    the server ends
 *	settled	→ (none)		    answered, by whoever settled it, without the mutex
 *
 * waiting: it is in the queue once, its owner's row counts it, its request is parked. Both are
 * changed under the mutex alone, so that one and only one settles it and answers (S10).
 */
#ifndef CAISSON_LOCK_WAIT_H
#define CAISSON_LOCK_WAIT_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lock-owner.h"

struct call;
struct fs;

/* What is asked for. */
struct lock_want {
	uint64_t nodeid, owner, fh;
	uint64_t start, end; /* first and last byte */
	uint32_t type;	     /* F_RDLCK, F_WRLCK or F_UNLCK */
	uint32_t pid;
	bool flock;
};

/* Lives in the arena: no pointers. */
struct lock_waiter {
	struct lock_want want;
	uint64_t unique;
	uint32_t ticket;
	uint32_t next;	  /* lock_table.waiting, or of those settled together; or POOL_NONE */
	int32_t result;	  /* settled: the answer */
	int32_t spent_fd; /* settled: a descriptor that its owner needs no more, or -1 */
};

/*
 * Interrupts kept in mind. One is lost, and its request then waits for its lock to become free, if
 * this many others come in while that request is on its way from a queue to a worker.
 */
#define LOCK_INTERRUPTS 1024u

/* Guard: the mutex, unless it says otherwise. It is taken last, after no other. */
struct lock_table {
	pthread_mutex_t mutex;
	struct lock_owners owners;
	struct lock_waiter *waiters;
	struct pool waiter_pool;
	uint32_t waiting;		      /* first of the queue */
	_Atomic uint32_t waiting_count;	      /* of the queue; anyone may look */
	uint64_t interrupts[LOCK_INTERRUPTS]; /* uniques, 0 for none */
	uint32_t interrupt_at;
	bool aborted;
};

#define LOCK_ANY_NODE UINT64_MAX /* no nodeid */

void lock_table_lock(struct lock_table *table);
void lock_table_unlock(struct lock_table *table);

/* The row of WANT's owner, or NULL. The mutex is held. */
struct lock_owner *lock_want_owner(struct lock_table *table, const struct lock_want *want);

/* [START, END] as fcntl(2) wants it, for the F_OFD_ commands. */
struct flock lock_on_backing(uint32_t type, uint64_t start, uint64_t end);

/*
 * One try, now, on the backing file: 0; -EAGAIN where it has to wait; -EDEADLK where it would wait
 * for itself; or another -errno of fcntl(2) or flock(2). A file whose flock couldn't be converted
 * has lost the one that it had (flock(2)); that lets nobody in: what stood in its way, a shared or
 * an exclusive one, stands in the way of all that the lost one, a shared one, did. For a POSIX lock
 * WANT's owner has a row, unless type is F_UNLCK. The mutex is held.
 */
int lock_try(struct fs *fs, const struct lock_want *want);

/*
 * Parks CALL, whose WANT was tried in vain. Returns 0: after the mutex is given up CALL is somebody
 * else's, and lock_retry() is due, as the lock may have become free by a close(2), which is made
 * without the mutex. Or -errno: -EINTR where its interrupt came first, -ENOLCK where the table is
 * full, -ECONNABORTED after lock_abort(). The mutex is held.
 */
int lock_park(struct lock_table *table, const struct call *call, const struct lock_want *want);

/*
 * Frees the row of WANT's owner if it has neither locks nor waiters: returns its descriptor, to be
 * closed without the mutex; otherwise -1. The mutex is held.
 */
int lock_drop_if_idle(struct lock_table *table, const struct lock_want *want);

/*
 * Something may have become free on NODEID, or anywhere (LOCK_ANY_NODE): who of its waiters can
 * have his lock now gets it, in the order of arrival, and is answered. The mutex is not held.
 */
void lock_retry(struct fs *fs, uint64_t nodeid);

/* The waiter of UNIQUE is answered -EINTR; where there is none, UNIQUE is kept for lock_park(). */
void lock_interrupt(struct lock_table *table, uint64_t unique);

/* All waiters are answered -ECONNABORTED, and nobody can park any more. */
void lock_abort(struct lock_table *table);

#endif
