/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of a zone that is a file, as zloop has it (drivers/block/zloop.c): a conventional zone
 * is a file of the zone's whole length, written anywhere; a sequential zone is written at its write
 * pointer only, and its write pointer is the size of its file. No I/O here: who does it asks before
 * and tells after. What isn't allowed is -EIO, which is what a zoned disk would say.
 *
 * zloop takes a write that failed for one that changed nothing it can rely on, and looks at the
 * file's size again. So a write to a sequential zone is all or nothing: whatever stops it, the file
 * is cut back to where the write began, before the write is answered.
 *
 * One write of a sequential zone is under way at a time. This costs nothing: such a write extends
 * its file, and the kernel holds the inode's lock over all of it (fuse_dio_lock() in
 * fs/fuse/file.c). Only the pieces of one write that is longer than max_write can meet here, and of
 * these nobody could say which comes first.
 *
 * States of a sequential zone, and who moves it on:
 *
 *	UNREAD	 → LOAD	    [worker]  the first opener is about to look at the file's size
 *	LOAD	 → IDLE	    [worker]  … which is one that a zone can have
 *	LOAD	 → LOST	    [worker]  … or isn't, or can't be told
 *	IDLE	 → WRITE    [queue]   a write begins
 *	WRITE	 → IDLE	    [queue]   all of it is on stable storage, or it wasn't allowed
 *	WRITE	 → REPAIR   [queue]   it failed or came back short
 *	REPAIR	 → IDLE	    [worker]  the file was cut back
 *	REPAIR	 → LOST	    [worker]  it couldn't be, and has a size that a zone can't have
 *	IDLE	 → TRUNCATE [worker]  a reset or a finish begins
 *	LOST	 → TRUNCATE [worker]  … which also finds a lost zone again
 *	TRUNCATE → IDLE	    [worker]  done, or refused
 *	TRUNCATE → LOST	    [worker]  failed, and left a size that a zone can't have
 *	IDLE	 → UNREAD   [worker]  nobody has the file open: it may change behind our back
 *	LOST	 → UNREAD   [worker]
 *
 * Invariants: IDLE: wp is the file's size. In LOAD, WRITE, REPAIR and TRUNCATE the zone belongs to
 * the one thread that moved it there, or to whom that one has handed the request: nobody else
 * reads or writes wp and error. LOST: no write is let through. A conventional zone is always IDLE.
 */
#ifndef CAISSON_ZONE_H
#define CAISSON_ZONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What a sequential zone is written in: bytes of a block of zloop on a FUSE mount, whose
 * s_blocksize is a page (zloop_get_block_size()). With a write pointer between blocks zloop won't
 * have the zone.
 */
#define ZONE_BLOCK_LEN 4096u

/* What an inode is. Set once while the inode's row is in use. */
enum zone_kind {
	ZONE_UNKNOWN,	/* nobody has asked; for a file: came by a name that is no zone's */
	ZONE_NONE,	/* a directory without mark */
	ZONE_DIRECTORY, /* one with: its files are zones */
	ZONE_CONVENTIONAL,
	ZONE_SEQUENTIAL,
};

enum zone_state {
	ZONE_UNREAD,
	ZONE_LOAD,
	ZONE_IDLE,
	ZONE_WRITE,
	ZONE_REPAIR,
	ZONE_TRUNCATE,
	ZONE_LOST,
	ZONE_STATES
};

/* Part of an inode's row, so in the arena: no pointers. All zeroes is an inode nobody knows of. */
struct zone {
	uint64_t len, capacity_len; /* bytes; constant once kind is set */
	uint64_t wp;		    /* bytes from the zone's start. Guard: see the invariants */
	int32_t error;		    /* of the write that REPAIR is about, -errno */
	_Atomic uint8_t kind;	    /* enum zone_kind */
	_Atomic uint8_t state;	    /* enum zone_state; move() in zone.c is its only writer */
};

static inline enum zone_kind zone_kind(const struct zone *zone)
{
	return (enum zone_kind)atomic_load_explicit(&zone->kind, memory_order_acquire);
}

static inline bool zone_is_file(const struct zone *zone)
{
	return zone_kind(zone) >= ZONE_CONVENTIONAL;
}

enum zone_state zone_state(const struct zone *zone);
const char *zone_state_name(enum zone_state state);

/*
 * Makes ZONE, all zeroes so far, a file of KIND. CAPACITY_LEN is at most LEN. Guard: the caller's,
 * against another of the same.
 */
void zone_init(struct zone *zone, enum zone_kind kind, uint64_t len, uint64_t capacity_len);

/*
 * True: the zone's write pointer isn't known, and the caller is to look at the file's size and tell
 * zone_settle(). Nobody who hasn't called this has the zone open.
 */
bool zone_load_begin(struct zone *zone);

/*
 * Ends LOAD, REPAIR or TRUNCATE: the file has SIZE bytes now; negative: that can't be told. A file
 * as long as the whole zone is full, whatever the capacity: kernels finish zones so.
 */
void zone_settle(struct zone *zone, int64_t size);

/* Nobody has the zone open any more. No operation is under way. */
void zone_unload(struct zone *zone);

/*
 * Whether LEN (not 0) bytes at OFF may be written: 0, and of a sequential zone zone_write_end() is
 * due; or -EIO. Any thread, no lock.
 */
int zone_write_begin(struct zone *zone, uint64_t off, uint64_t len);

/*
 * The write of LEN bytes that zone_write_begin() allowed has RESULT: bytes on stable storage, or
 * -errno; ERROR (-errno, or 0) is what stopped one that came back short. True: the file may be
 * longer than it should, and is to be cut to zone->wp; then zone_settle(), and the write's answer
 * is zone->error.
 */
bool zone_write_end(struct zone *zone, uint64_t len, int64_t result, int error);

/*
 * Whether the file may be made SIZE bytes long: 0, and it is to be made *RET_SIZE long and then
 * zone_settle()d; or -EIO. A sequential zone can be reset (0), finished (its capacity, or the whole
 * length of the zone, for which zloop means the same: *RET_SIZE is the capacity), or left as it is
 * (what the kernel asks for after a failed write, fuse_do_truncate()). A conventional one is as
 * long as it is.
 */
int zone_truncate_begin(struct zone *zone, uint64_t size, uint64_t *ret_size);

/* Whether fallocate(MODE, OFF, LEN) is allowed: 0 or -EIO. It never changes the size. */
int zone_allocate(const struct zone *zone, uint32_t mode, uint64_t off, uint64_t len);

#endif
