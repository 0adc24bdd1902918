/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table: what the kernel knows by nodeid. A row is one backing inode (hard links share
 * it), held open by an O_PATH descriptor while the kernel's lookup count or an open file holds it.
 * While it is held, the backing filesystem can't give its inode number to another file, so
 * (dev, ino) is a key.
 *
 * nodeid = generation << 32 | row + 1, so that a stale one is told from its row's next tenant; the
 * root is row 0 with generation 0, which makes it FUSE_ROOT_ID.
 *
 * Threads: the metadata workers, under the table's mutex, which is never held across a system
 * call. A row that inode_get() has given stays until the handler is done: the kernel sends a
 * nodeid's last FORGET when its inode is evicted (fuse_evict_inode() in fs/fuse/inode.c), and no
 * inode is evicted while a request on it is unanswered. dev, ino, generation, fd and mode don't change
 * while a row is in use. The data path touches beside these only error_seq, error, sync_fd,
 * known_len, thin and holes, which are atomic, and zone, which guards itself, and only through an open
 * file, which holds the row.
 */
#ifndef CAISSON_INODE_H
#define CAISSON_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool.h"
#include "zone.h"

struct arena;
struct statx;

/* Lives in the arena: no pointers. Guard: the table's mutex, unless it says otherwise. */
struct inode {
	uint64_t dev, ino;	    /* key; dev as makedev(). Constant while in use */
	uint64_t nlookup;	    /* the kernel's lookup count */
	uint32_t generation;	    /* of the row */
	uint32_t hash_next;	    /* row, or POOL_NONE */
	uint32_t opens;		    /* rows of the file table that are open on it */
	bool warm;		    /* looked up again since inode_collect_idle() passed */
	int32_t fd;		    /* O_PATH, or -1 where the row is free. Constant while in use */
	uint32_t mode;		    /* S_IFMT bits. Constant while in use */
	_Atomic int32_t sync_fd;    /* what every fsync of this inode uses, or -1; see file.h */
	_Atomic int32_t backing_id; /* of all who have it open, or PASSTHROUGH_NONE; see file.h */
	_Atomic uint32_t error_seq; /* counts failed flushes of it (S11) */
	_Atomic int32_t error;	    /* the newest one, as -errno */
	_Atomic uint64_t known_len; /* bytes that it is known to have; for ahead.h: */
	_Atomic bool thin;	    /* … among which there may be holes */
	_Atomic uint32_t holes;	    /* counts what may have made some */
	_Atomic uint32_t cached_opens; /* open files that use the page cache above */
	_Atomic bool direct;	       /* since it was opened somebody has gone around that cache */
	_Atomic bool setid; /* the kernel was told of a mode with set-id bits; see op-setid.h */
	struct zone zone;   /* what it is to zloop; see zone.h and op-zone.h */
};

/* Filesystems below BACKING, its own included, whose inode numbers are told apart exactly. */
#define INODE_DEVICES 256

struct inode_table {
	struct inode *rows;
	uint32_t *buckets; /* first row of each chain, or POOL_NONE */
	uint32_t count, bucket_mask;
	pthread_mutex_t mutex;
	struct pool pool;
	int session_fd;			 /* for passthrough_close(), or -1 */
	int pressure_fd;		 /* eventfd, nonblocking: counts inode_press() */
	_Atomic bool pressed;		 /* told, and not yet inode_relieve()d */
	_Atomic bool evictable;		 /* the kernel can be asked to give inodes back (evict.c) */
	_Atomic uint32_t used;		 /* rows in use */
	_Atomic uint64_t freed;		 /* rows that came back */
	_Atomic uint64_t refusals;	 /* entries refused with -ENFILE, for status */
	uint64_t devices[INODE_DEVICES]; /* as makedev(), the root's first */
	uint32_t device_count;		 /* guard: mutex */
};

/* Plans ARENA_INODES for COUNT rows, and ARENA_INODE_HASH. 0 or -EOVERFLOW. */
int inode_table_plan(struct arena *arena, uint32_t count);

/* Makes the table in the created ARENA. Allocates: before the seal. Returns 0 or -errno. */
int inode_table_init(struct inode_table *table, const struct arena *arena);

/* Closes every descriptor in it. */
void inode_table_destroy(struct inode_table *table);

/*
 * Makes the directory ROOT_FD (O_PATH, stays the caller's, duplicated) the root: once, before
 * anything else is remembered. 0 or -errno.
 */
int inode_table_set_root(struct inode_table *table, int root_fd);

/* The row of NODEID, or NULL where it names none (-ESTALE for the kernel). */
struct inode *inode_get(struct inode_table *table, uint64_t nodeid);

static inline struct inode *inode_at(const struct inode_table *table, uint32_t row)
{
	return &table->rows[row];
}

static inline uint32_t inode_row(const struct inode_table *table, const struct inode *inode)
{
	return (uint32_t)(inode - table->rows);
}

static inline uint64_t inode_nodeid(const struct inode_table *table, const struct inode *inode)
{
	return (uint64_t)inode->generation << 32 | (inode_row(table, inode) + 1);
}

/*
 * Finds or makes the row of the inode that STX (stx_dev, stx_ino, stx_mode) describes and *FD, an
 * O_PATH descriptor, refers to, and counts one lookup by the kernel. Takes *FD, also on error: a
 * known inode keeps the descriptor that it has. Returns 0, or -ENFILE where the table is full.
 */
int inode_remember(struct inode_table *table, int *fd, const struct statx *stx,
		   struct inode **ret_inode);

/* The kernel forgets COUNT lookups of NODEID. An unknown one or too many are ignored. */
void inode_forget(struct inode_table *table, uint64_t nodeid, uint64_t count);

/*
 * An open file holds INODE's row, which it must already be sure of; inode_put_open() lets go and
 * closes what the last one leaves, and unloads a zone.
 */
void inode_hold_open(struct inode_table *table, struct inode *inode);
void inode_put_open(struct inode_table *table, struct inode *inode);

/*
 * INODE turns out to be a zone: zone_init() with KIND, LEN and CAPACITY_LEN, unless it is one
 * already.
 */
void inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		     uint64_t len, uint64_t capacity_len);

/*
 * Room is short: more than 3/4 of the rows are in use, or somebody found the process out of
 * descriptors. The kernel gives inodes back only when its own memory is short, so evict.c asks for
 * some: it waits for pressure_fd, and calls inode_relieve() when it has done what it can.
 */
bool inode_is_pressed(const struct inode_table *table);
void inode_press(struct inode_table *table);
void inode_relieve(struct inode_table *table);

/*
 * More than 7/8 are in use although evict.c is at it: whoever brings new inodes should slow down,
 * or there will be no room at all.
 */
bool inode_is_tight(const struct inode_table *table);

/*
 * Fills NODEIDS with up to MAX inodes that only the kernel's lookups hold, from row *HAND on, which
 * moves along, in at most one round. What was looked up again since the last round is left alone
 * once. Returns how many.
 */
uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max);

/*
 * The inode number to show for INO on DEV (makedev()): on other filesystems than the root's, a
 * small number of the filesystem goes into the 16 top bits, which no common filesystem uses, so
 * that st_ino is unique below the mount. Beyond INODE_DEVICES filesystems the number is a hash and
 * two of them may share it.
 */
uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino);

/* INODE was truncated to LEN bytes, or extended to so many. Any thread, no lock. */
void inode_note_size(struct inode *inode, uint64_t len);

/* Something was punched out of INODE. Any thread, no lock. */
void inode_note_hole(struct inode *inode);

/*
 * A flush of INODE failed with ERROR (-errno): every opener is to hear of it once. Any thread, no
 * lock.
 */
void inode_record_error(struct inode *inode, int error);

#endif
