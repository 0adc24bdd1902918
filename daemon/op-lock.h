/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File locks: GETLK, SETLK, SETLKW (POSIX locks and flock) and INTERRUPT. Contract of the handlers:
 * call.h.
 *
 * Locks are taken on the backing files, so that whoever else uses the backing directory sees them
 * and is seen. A flock is one on the descriptor of the open file; the POSIX locks of one owner on
 * one inode are open-file-description locks on a descriptor of their own (lock-owner.h).
 *
 * A request that has to wait is parked: a row in the table of waiters, in the order of arrival, and
 * no thread, lock or descriptor but those of its owner. Whatever may let it in tries again: each
 * change of a lock on its inode, and lock_tick(), because the holder may be outside of this mount.
 *
 * Threads: those that run handlers and the monitor, under one mutex. Under it locks are tried, which
 * doesn't block on a local filesystem and takes a round trip on a network one; files are opened,
 * closed and requests answered without it.
 */
#ifndef CAISSON_OP_LOCK_H
#define CAISSON_OP_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct call;
struct file;
struct fs;

int op_getlk(struct call *call);
int op_setlk(struct call *call);
int op_setlkw(struct call *call);

/*
 * Always returns 0, and INTERRUPT gets no answer: a waiter is answered -EINTR; the interrupt of a
 * request that isn't parked is kept in mind, in case that request is on its way to be.
 */
int op_interrupt(struct call *call);

/*
 * Plans ARENA_LOCKS for OWNERS pairs of inode and owner that hold POSIX locks at a time, and
 * ARENA_LOCK_WAITERS for WAITERS parked requests. 0 or -EOVERFLOW.
 */
int lock_plan(struct arena *arena, uint32_t owners, uint32_t waiters);

/* Makes FS->locks in the created ARENA. Allocates: before the seal. 0 or -errno. */
int lock_init(struct fs *fs, const struct arena *arena);

/* Drops all locks and frees FS->locks; nothing is parked (lock_abort_all()). NULL is fine. */
void lock_destroy(struct fs *fs);

/*
 * FLUSH: LOCK_OWNER has closed a descriptor of the inode in row INODE_ROW, which the caller's open
 * file holds: all its POSIX locks on it end. Cheap where there are none. Any thread that runs handlers.
 */
void lock_release_owner(struct fs *fs, uint32_t inode_row, uint64_t lock_owner);

/*
 * RELEASE, before file_close(): FILE's flock ends, which its descriptor's duplicate (sync_fd) would
 * otherwise keep; and so do what POSIX locks went through it and outlived the FLUSH: the client's
 * own open-file-description locks, whose end the kernel tells in no other way. To be called for
 * each RELEASE of a file, with FUSE_RELEASE_FLOCK_UNLOCK or without. Any worker.
 */
void lock_release_flock(struct fs *fs, struct file *file);

/* Whether nobody has a POSIX lock on any file. Any thread; true a moment ago. */
bool lock_none(const struct fs *fs);

/* Requests that wait for a lock now. Any thread. */
uint32_t lock_waiting(const struct fs *fs);

/* Tries all waiters again, about twice a second. The monitor thread. */
void lock_tick(struct fs *fs);

/* Answers all waiters, and whoever comes to wait later, with -ECONNABORTED. Any thread. */
void lock_abort_all(struct fs *fs);

#endif
