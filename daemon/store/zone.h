/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules for a file that is a zone of zloop (drivers/block/zloop.c). A conventional zone is a
 * file of the zone's whole length that can be written anywhere. A sequential zone can only be
 * written at its write pointer, which is the size of its file. This module does no I/O: the caller
 * asks it before an operation and tells it the result afterwards. An operation that breaks a rule
 * fails with -EIO, as on a zoned disk.
 *
 * If a write fails, zloop relies on nothing that it may have written and reads the file's size
 * again. So a write to a sequential zone succeeds as a whole, or the file is cut back to its old
 * size before the write is answered.
 *
 * A sequential zone has one write under way at a time. This costs nothing: such a write extends the
 * file, so the kernel holds the inode's lock until the write is answered (fuse_dio_lock() in
 * fs/fuse/file.c). The only requests that can meet here are the parts of one write that is longer
 * than max_write, and no order among these is defined.
 *
 * A sequential zone moves FROM → TO [thread] when:
 *
 *	UNREAD	 → LOAD	    [worker]  its first opener is about to read the file's size
 *	LOAD	 → IDLE	    [worker]  a zone can have the size that was read
 *	LOAD	 → LOST	    [worker]  a zone can't have this size, or reading it failed
 *	IDLE	 → WRITE    [queue]   a write begins
 *	WRITE	 → IDLE	    [queue]   the write is on stable storage, or was refused
 *	WRITE	 → REPAIR   [queue]   the write failed or came back short
 *	REPAIR	 → IDLE	    [worker]  the file was cut back, or a zone can have its size
 *	REPAIR	 → LOST	    [worker]  cutting it back failed, and a zone can't have its size
 *	IDLE	 → TRUNCATE [worker]  a reset or a finish begins
 *	LOST	 → TRUNCATE [worker]  a reset or a finish of a lost zone begins
 *	TRUNCATE → IDLE	    [worker]  the file was truncated, or this was refused
 *	TRUNCATE → LOST	    [worker]  truncating failed, and a zone can't have its size
 *	LOAD	 → UNREAD   [main]    its process has died (zone_attach())
 *	WRITE	 → IDLE	    [main]    the same
 *	REPAIR	 → IDLE	    [main]    the same
 *	TRUNCATE → UNREAD   [main]    the same
 *	IDLE	 → UNREAD   [worker]  its last opener has gone, so others may change the file
 *	LOST	 → UNREAD   [worker]  its last opener has gone
 *
 * Invariants: in IDLE, wp is the file's size. In LOAD, WRITE, REPAIR and TRUNCATE the zone belongs
 * to the thread that moved it there, or to the thread that this one has handed the request to; no
 * other thread reads or writes wp and error. In LOST, every write is refused. A conventional zone
 * is always IDLE.
 */
#ifndef CAISSON_ZONE_H
#define CAISSON_ZONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes of zloop's block on a FUSE mount, whose s_blocksize is a page (zloop_get_block_size()).
 * Sequential zones are written in whole blocks, because zloop rejects a zone whose write pointer
 * lies within a block.
 */
#define ZONE_BLOCK_LEN 4096u

/* The part that an inode has in a zoned directory. Set once while the inode's row is in use. */
enum zone_kind {
	ZONE_UNKNOWN,	/* a directory that wasn't asked yet, or a file not known as a zone */
	ZONE_NONE,	/* a directory without a mark (zone-mark.h) */
	ZONE_DIRECTORY, /* a directory with a mark: its files are zones */
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

/* Part of an inode's row, which lives in the arena, so it holds no pointers. Begins as zeroes. */
struct zone {
	uint64_t len, capacity_len; /* bytes; constant after kind is set */
	uint64_t wp;		    /* bytes from the zone's start; guard: the invariants */
	int32_t error;		    /* of the write that led to REPAIR, -errno */
	_Atomic uint8_t kind;	    /* enum zone_kind */
	_Atomic uint8_t state; /* enum zone_state; zone_init(), move() and zone_attach() set it */
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
 * Makes ZONE, all zeroes so far, a file of KIND. CAPACITY_LEN is at most LEN. The caller makes sure
 * that no other thread calls it at the same time.
 */
void zone_init(struct zone *zone, enum zone_kind kind, uint64_t len, uint64_t capacity_len);

/*
 * Every opener of ZONE calls this first. Returns true if the write pointer isn't known. Then the
 * caller must read the file's size and pass it to zone_settle().
 */
bool zone_load_begin(struct zone *zone);

/*
 * Ends LOAD, REPAIR or TRUNCATE. The file has SIZE bytes now; a negative SIZE means that its size
 * couldn't be read. A file as long as the whole zone is full even if the capacity is smaller,
 * because kernels finish zones in this way.
 */
void zone_settle(struct zone *zone, int64_t size);

/*
 * Takes over ZONE from a process that has died; its operations are over. A write that was under way
 * was made if wp is behind it, and is to be made again if not. After a truncation the size isn't
 * known, and the truncation, which is to be made again, reads it first.
 */
void zone_attach(struct zone *zone);

/* The last opener has gone, so no operation is under way. */
void zone_unload(struct zone *zone);

/*
 * Returns 0 if LEN bytes (not 0) may be written at OFF, otherwise -EIO. After 0, zone_write_end()
 * must follow the write. Any thread, no lock.
 */
int zone_write_begin(struct zone *zone, uint64_t off, uint64_t len);

/*
 * Whether the write of LEN bytes at OFF was made that zone_write_begin() had allowed before
 * zone_attach(). No other write has begun since.
 */
bool zone_has_written(const struct zone *zone, uint64_t off, uint64_t len);

/*
 * The write of LEN bytes that zone_write_begin() allowed has ended. RESULT is the number of bytes
 * on stable storage, or -errno. ERROR is what stopped a write that came back short: -errno, or 0 if
 * that is unknown. Returns true if the file may be too long. Then the caller truncates it to
 * zone->wp, calls zone_settle(), and answers the write with zone->error.
 */
bool zone_write_end(struct zone *zone, uint64_t len, int64_t result, int error);

/*
 * Returns 0 if the file may be truncated or extended to SIZE bytes, otherwise -EIO. After 0, the
 * caller makes the file *RET_SIZE bytes long and calls zone_settle(). SIZE resets a sequential zone
 * if it is 0. It finishes the zone if it is the capacity or the zone's whole length; *RET_SIZE is
 * the capacity in both cases, because zloop means the same. The present size is allowed too,
 * because the kernel asks for it after a failed write (fuse_do_truncate()). The size of a
 * conventional zone can't be changed.
 */
int zone_truncate_begin(struct zone *zone, uint64_t size, uint64_t *ret_size);

/*
 * Returns 0 if fallocate() with MODE, OFF and LEN is allowed, otherwise -EIO. An allowed call
 * doesn't change the file's size.
 */
int zone_allocate(const struct zone *zone, uint32_t mode, uint64_t off, uint64_t len);

#endif
