/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds which POSIX locks: a row for each pair of inode and lock owner that holds or waits for
 * some, with the descriptor that its locks on the backing file belong to, and the ranges that it
 * holds. Whether a lock is granted is decided by the backing file's kernel alone; these records
 * tell who of our own is in the way (GETLK, deadlocks), and when an owner holds nothing any more.
 *
 * An owner's ranges don't overlap, and two of the same type don't touch: the state that fcntl(2)
 * describes. A row exists as long as it has ranges or waiters.
 *
 * No system calls. Threads: under the caller's mutex, but for lock_owners_none().
 */
#ifndef CAISSON_LOCK_OWNER_H
#define CAISSON_LOCK_OWNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool.h"

struct arena;

/* Lives in the arena: no pointers. */
struct lock_range {
	uint64_t start, end; /* first and last byte */
	uint32_t type;	     /* F_RDLCK or F_WRLCK */
	uint32_t next;	     /* of its owner's, or POOL_NONE */
};

/* Lives in the arena: no pointers. */
struct lock_owner {
	uint64_t nodeid, owner; /* key; owner is the kernel's lock_owner */
	uint64_t fh;		/* the open file that it last locked through */
	uint32_t pid;		/* … and the process, in the daemon's pid namespace */
	int32_t fd;		/* its locks' own; -1 where the row is free */
	uint32_t ranges;	/* first one, or POOL_NONE */
	uint32_t waiters;	/* parked requests that will use fd */
	uint32_t next;		/* in its bucket, or POOL_NONE */
};

struct lock_owners {
	struct lock_owner *rows;
	struct lock_range *ranges;
	uint32_t *buckets; /* by nodeid */
	uint32_t count, bucket_mask;
	struct pool pool, range_pool;
	_Atomic uint32_t used; /* rows */
};

/* Rows of ranges that one lock_owner_set() may come to need. */
struct lock_spares {
	uint32_t range[2]; /* POOL_NONE where none is needed */
};

/* Plans ARENA_LOCKS for COUNT rows and four times as many ranges. 0 or -EOVERFLOW. */
int lock_owners_plan(struct arena *arena, uint32_t count);

/* Makes OWNERS in the created ARENA. Allocates: before the seal. 0 or -ENOMEM. */
int lock_owners_init(struct lock_owners *owners, const struct arena *arena);

/* Closes every descriptor in it. */
void lock_owners_destroy(struct lock_owners *owners);

/* Whether there is no row at all. Any thread, no mutex; true a moment ago. */
static inline bool lock_owners_none(const struct lock_owners *owners)
{
	return atomic_load(&owners->used) == 0;
}

/* The row of OWNER on NODEID, or NULL. */
struct lock_owner *lock_owner_find(struct lock_owners *owners, uint64_t nodeid, uint64_t owner);

/*
 * Makes a row for OWNER on NODEID, which has none, and takes *FD; *FD is left alone where the table
 * is full: NULL then.
 */
struct lock_owner *lock_owner_add(struct lock_owners *owners, uint64_t nodeid, uint64_t owner,
				  int *fd);

/* Frees ROW with all its ranges; returns its descriptor, which closing makes its locks end. */
int lock_owner_remove(struct lock_owners *owners, struct lock_owner *row);

/* Whether ROW has nothing to exist for. */
static inline bool lock_owner_is_idle(const struct lock_owner *row)
{
	return row->ranges == POOL_NONE && row->waiters == 0;
}

/*
 * Lays aside what lock_owner_set() with the same arguments needs, so that it can't fail after the
 * backing file's lock has been changed. Returns 0 or -ENOLCK.
 */
int lock_owner_reserve(struct lock_owners *owners, const struct lock_owner *row, uint32_t type,
		       uint64_t start, uint64_t end, struct lock_spares *ret_spares);
void lock_owner_unreserve(struct lock_owners *owners, struct lock_spares *spares);

/*
 * Makes [START, END] of ROW be of TYPE (F_UNLCK: not held), whatever it was. Takes SPARES, of
 * lock_owner_reserve(), and gives back what of it wasn't needed.
 */
void lock_owner_set(struct lock_owners *owners, struct lock_owner *row, uint32_t type,
		    uint64_t start, uint64_t end, struct lock_spares *spares);

/*
 * A row of another owner than OWNER that holds on NODEID what a lock of TYPE on [START, END] can't
 * be had with; its range goes to RET_RANGE unless that is NULL. NULL where there is none.
 */
struct lock_owner *lock_owners_conflict(struct lock_owners *owners, uint64_t nodeid, uint64_t owner,
					uint32_t type, uint64_t start, uint64_t end,
					struct lock_range *ret_range);

/* A row on NODEID that last locked through the open file FH, or NULL. */
struct lock_owner *lock_owners_by_fh(struct lock_owners *owners, uint64_t nodeid, uint64_t fh);

#endif
