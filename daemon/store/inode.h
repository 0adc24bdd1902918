/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table: all inodes that the kernel knows, by nodeid. A row is one backing inode (hard
 * links share it). It stays as long as the kernel's lookup count or an open file holds it.
 *
 * nodeid = tenancy << 32 | row + 1, so that a stale nodeid is told from that of the row's next
 * tenant. The root is row 0 in its tenancy 0, which makes it FUSE_ROOT_ID.
 *
 * If BACKING is a whole filesystem, or a subvolume, a nodeid is the backing inode's number and
 * generation instead. A file handle of the mount has the nodeid in it, and so leads back to the
 * inode after the kernel has forgotten it, and in another daemon (EXPORT_SUPPORT). Whoever makes
 * up a handle reaches any inode of that filesystem, as they do on the filesystem itself, and no
 * other. Not exported are inodes on other mounts, inodes whose handle is too long, and zones,
 * which are recognised by name. The generation that goes with their nodeids is a number of this
 * daemon's own.
 *
 * Rows and descriptors are counted apart (inode-fd.c). A row has an O_PATH descriptor until
 * descriptors are short. Then it has only its file handle, by which the inode is opened again when
 * it is asked for. The table's size isn't a limit either: if all rows of the arena are in use,
 * more are made.
 *
 * A file that is reached through two mounts below BACKING, of which one may be read-only, has a
 * row for each. A row's descriptor is of its own mount, so what is refused below is refused above.
 * The first of these rows is the primary one of all. It stays as long as they do, and it alone has
 * what belongs to the inode's data: sync_fd, error, known_len, thin, holes, setid and zone
 * (inode_primary()).
 *
 * Identity: an inode is found again in the table by (dev, ino). On a filesystem that keeps a
 * number for its inode as long as a descriptor refers to it, that is the same inode if the row has
 * a descriptor. Otherwise the file handles decide, because the number may have been given away.
 *
 * Threads: metadata workers, under the table's mutex, which is never held across a system call. A
 * row that inode_get() has given stays until the handler is done: the kernel sends a nodeid's last
 * FORGET when it evicts the inode (fuse_evict_inode() in fs/fuse/inode.c), and it evicts none
 * while a request on it is unanswered. The row's descriptor stays until inode_unpin(). dev, ino,
 * generation, handle and mode don't change while a row is in use. The data path, through an open
 * file, which holds the row, also touches error_seq, error, sync_fd, known_len, thin and holes,
 * which are atomic, and zone, which guards itself.
 */
#ifndef CAISSON_INODE_H
#define CAISSON_INODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/pool.h"
#include "store/handle.h"
#include "store/zone.h"

struct arena;
struct statx;

/* How a backing file was when the page cache above was last known to be true to it. */
struct inode_seen {
	uint64_t len;
	int64_t mtime_ns;
	bool known, sure; /* known: the kernel may have cached something; sure: mtime tells */
};

/* Lives in the arena: no pointers. Guard: the table's mutex, unless it says otherwise. */
struct inode {
	uint64_t dev, ino;	    /* as makedev(). Constant while in use */
	uint64_t mount_id;	    /* STATX_MNT_ID. Constant while in use */
	uint64_t nodeid;	    /* Constant while in use */
	uint64_t nlookup;	    /* the kernel's lookup count */
	uint32_t tenancy;	    /* counts those of the row */
	uint32_t hash_next;	    /* row, or POOL_NONE */
	uint32_t opens;		    /* open files that know it, or whose primary it is */
	uint32_t primary;	    /* row, maybe its own. Constant while in use */
	uint32_t sharers;	    /* other rows whose primary it is */
	uint32_t mode;		    /* S_IFMT bits. Constant while in use */
	uint32_t older;		    /* rows between table.oldest and newest, */
	uint32_t newer;		    /* … if the row is listed there */
	uint16_t mount;		    /* slot in table.mounts, or INODE_MOUNTS. Constant as mode */
	bool used;		    /* the row is somebody's */
	bool exported;		    /* nodeid leads back to it. Constant as mode */
	bool warm;		    /* looked up again since inode_collect_idle() passed */
	bool recent;		    /* asked for since a descriptor to drop was looked for */
	bool listed;		    /* has a descriptor that can be dropped */
	_Atomic uint32_t pins;	    /* handlers that use fd. Raised under the mutex */
	int32_t fd;		    /* O_PATH, or -1. Constant while pinned */
	struct handle handle;	    /* Constant while in use */
	_Atomic int32_t sync_fd;    /* what every fsync of this inode uses, or -1; see file.h */
	_Atomic int32_t backing_id; /* of all who have it open, or PASSTHROUGH_NONE; see file.h */
	_Atomic uint32_t error_seq; /* counts failed flushes of it (S11) */
	_Atomic int32_t error;	    /* the newest one, as -errno */
	_Atomic uint64_t known_len; /* bytes that it is known to have; for prealloc.h: */
	_Atomic bool thin;	    /* … among which there may be holes */
	_Atomic uint32_t holes;	    /* counts what may have made some */
	struct inode_seen seen;	    /* guard: see cached-open.c */
	_Atomic uint32_t writing;   /* open files that are written to through the cache above */
	_Atomic uint64_t cached_opens; /* by readers and by writers; see cached-open.h */
	_Atomic uint64_t gate;	       /* of a primary row; see gate.h */
	_Atomic uint32_t around;       /* open files that write around that cache */
	_Atomic uint32_t drops;	       /* of its pages, that wait or are under way; see dropper.h */
	_Atomic bool drop_due;	       /* of all of it: see cached_open_take_due() */
	_Atomic uint8_t
		drop_owed;  /* a drop of all of it that is owed: enum cached_drop_reason, or 0 */
	_Atomic bool setid; /* the kernel was told of a mode with set-id bits; see op-setid.h */
	struct zone zone;   /* what it is to zloop; see zone.h and op-zone.h */
};

/* Filesystems below BACKING, its own included, whose inode numbers are told apart exactly. */
#define INODE_DEVICES 256

/* Mounts below BACKING, its own included, on which descriptors can be dropped. */
#define INODE_MOUNTS 256

/* Rows that there can be beside the arena's. */
#define INODE_MORE_ROWS (1u << 20)

/* A mount that has rows. Slot 0 is BACKING's own. Guard: the table's mutex. */
struct inode_mount {
	uint64_t id;	 /* STATX_MNT_ID */
	uint32_t rows;	 /* on it; 0: the slot is free */
	int32_t fd;	 /* not O_PATH, for handle_open(); or -1: none yet */
	bool is_lasting; /* handle_is_lasting() */
	bool reopens;	 /* an inode can be opened by its handle, for all that is known */
	bool is_probed;	 /* it has been tried */
};

struct inode_table {
	struct inode *rows;
	uint32_t *buckets; /* first row of each chain, or POOL_NONE */
	uint32_t count, bucket_mask;
	pthread_mutex_t mutex;
	struct pool pool;
	int session_fd;			 /* for passthrough_close(), or -1 */
	int pressure_fd;		 /* eventfd, nonblocking: counts inode_press() */
	_Atomic bool pressed;		 /* told, and not yet inode_relieve()d */
	_Atomic bool prunable;		 /* the kernel can be asked to give inodes back (prune.c) */
	_Atomic uint32_t used;		 /* rows in use */
	_Atomic uint64_t freed;		 /* rows that came back */
	_Atomic uint64_t refusals;	 /* entries refused with -ENFILE, for status */
	uint64_t devices[INODE_DEVICES]; /* as makedev(), the root's first */
	uint32_t device_count;		 /* guard: mutex */

	/* rows beyond the arena's: address space that becomes memory by and by. Guard: mutex */
	struct inode *more;
	pthread_mutex_t more_mutex; /* one thread makes rows. Taken before mutex */
	_Atomic uint32_t more_made;
	uint32_t more_max, more_free; /* rows; the first free one, or POOL_NONE */

	/* fixed before serving */
	uint32_t export_off; /* see handle_generation_off(); 0: nothing is exported */
	uint32_t unexported; /* the generation of what isn't */

	/* descriptors (inode-fd.c). Guard: mutex */
	struct inode_mount mounts[INODE_MOUNTS];
	uint32_t oldest, newest; /* rows whose descriptors can be dropped, or POOL_NONE */
	_Atomic uint32_t fds;	 /* rows that have a descriptor */
	uint32_t fd_limit;	 /* of these; fixed before serving */
	bool may_not_reopen;	 /* no CAP_DAC_READ_SEARCH; fixed before serving */
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

/*
 * The row of NODEID, whose descriptor is open until the calling thread's next inode_unpin(). NULL
 * where NODEID names none (-ESTALE for the kernel) or where it can't be opened any more, see
 * inode_unpin(). Opening it may wait for the backing filesystem; with the daemon's identity.
 */
struct inode *inode_get(struct inode_table *table, uint64_t nodeid);

/* The primary row of NODEID, or POOL_NONE where it names none. Doesn't wait. */
uint32_t inode_primary_row(struct inode_table *table, uint64_t nodeid);

/* inode_get() without any waiting: NULL also where inode_get() would have to open it. */
struct inode *inode_get_at_hand(struct inode_table *table, uint64_t nodeid);

/*
 * Ends the calling thread's use of all that inode_get() has given it: by whoever runs a handler,
 * after it. ERROR is the handler's; where that is -ESTALE because an inode couldn't be opened, what
 * opening it failed with is returned in its place.
 */
int inode_unpin(int error);

/*
 * NAME in the directory DIR_FD is about to lose its name: as long as the kernel knows the inode, it
 * is to have a descriptor, for without a name or a descriptor there is no file. Until
 * inode_unpin(); a descriptor of an unlinked file isn't dropped. Nothing where there is no such
 * name or no row. With the daemon's identity.
 */
void inode_pin_name(struct inode_table *table, int dir_fd, const char *name);

static inline struct inode *inode_at(const struct inode_table *table, uint32_t row)
{
	return row < table->count ? &table->rows[row] : &table->more[row - table->count];
}

static inline uint32_t inode_row(const struct inode_table *table, const struct inode *inode)
{
	uintptr_t off = (uintptr_t)inode - (uintptr_t)table->rows;

	if (off < table->count * sizeof(*inode))
		return (uint32_t)(off / sizeof(*inode));
	return table->count + (uint32_t)(inode - table->more);
}

static inline uint64_t inode_nodeid(const struct inode_table *table, const struct inode *inode)
{
	(void)table;
	return inode->nodeid;
}

/* What the kernel is told beside the nodeid. */
uint32_t inode_generation(const struct inode_table *table, const struct inode *inode);

/*
 * Opens (O_PATH) the inode of NODEID, which may be forgotten, or its PARENT, which can't. Returns
 * 0 or -errno: -ESTALE where nothing is exported, or none is found.
 */
int inode_open_exported(struct inode_table *table, uint64_t nodeid, bool parent, int *ret_fd);

/* The row with what belongs to INODE's data. Lasts as long as INODE does. Any thread, no lock. */
static inline struct inode *inode_primary(const struct inode_table *table,
					  const struct inode *inode)
{
	return inode_at(table, inode->primary);
}

/* Whether others share PRIMARY's data: then each has a page cache above. */
bool inode_is_shared(struct inode_table *table, const struct inode *primary);

/* The nodeids of PRIMARY and its sharers, MAX at most. Returns how many. */
uint32_t inode_list_sharers(struct inode_table *table, const struct inode *primary,
			    uint64_t *nodeids, uint32_t max);

/* What inode_remember() needs to know. */
#define INODE_STATX_MASK (STATX_TYPE | STATX_INO | STATX_BTIME | STATX_MNT_ID)

/*
 * Finds or makes the row of the inode that STX, asked with INODE_STATX_MASK, describes and *FD, an
 * O_PATH descriptor, refers to, and counts one lookup by the kernel. Takes *FD, also on error: a
 * known inode keeps the descriptor that it has. Returns 0, or -ENFILE where there is neither a row
 * nor memory for one.
 */
int inode_remember(struct inode_table *table, int *fd, const struct statx *stx,
		   struct inode **ret_inode);

/*
 * For an inode that is about to be made: inode_reserve() sets a row aside, or fails with -ENFILE,
 * and inode_remember_at() is inode_remember() that can't fail: it takes *ROW if the inode isn't
 * known, and sets it to POOL_NONE then. A row that isn't needed goes back by inode_unreserve().
 * See room.h.
 */
int inode_reserve(struct inode_table *table, uint32_t *ret_row);
void inode_unreserve(struct inode_table *table, uint32_t row);
struct inode *inode_remember_at(struct inode_table *table, uint32_t *row, int *fd,
				const struct statx *stx);

/*
 * Opening something failed for want of descriptors: drops some that rows can do without. Whether it
 * is worth trying again. May wait for the backing filesystem.
 */
bool inode_make_room(struct inode_table *table);

/* As many rows have descriptors as may: the next one makes others lose theirs. */
bool inode_is_short_of_fds(const struct inode_table *table);

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
 * already. 0; -EBUSY where somebody has it open as something else.
 */
int inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		    uint64_t len, uint64_t capacity_len);

/*
 * Room is short: more than 3/4 of the arena's rows are in use, or descriptors are short and none
 * can be dropped. The kernel gives inodes back only when its own memory is short, so prune.c asks
 * for some: it waits for pressure_fd, and calls inode_relieve() when it has done what it can.
 */
bool inode_is_pressed(const struct inode_table *table);
void inode_press(struct inode_table *table);
void inode_relieve(struct inode_table *table);

/*
 * More than 7/8 are in use although prune.c is at it: whoever brings new inodes should slow down,
 * or the table will take more memory.
 */
bool inode_is_tight(const struct inode_table *table);

/*
 * Fills NODEIDS with up to MAX inodes that IS_WANTED, called with the table's mutex held, says yes
 * to. Looks from row *HAND on, which moves along, in at most one round. Returns how many.
 */
uint32_t inode_collect(struct inode_table *table, uint32_t *hand, uint64_t *nodeids, uint32_t max,
		       bool (*is_wanted)(const struct inode_table *table, struct inode *inode));

/*
 * The same of inodes that only the kernel's lookups hold. One that was looked up again since the
 * last round is left alone once.
 */
uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max);

/* A drop of NODEID's pages, which was owed, is over; the inode may have gone meanwhile. */
void inode_end_drop(struct inode_table *table, uint64_t nodeid);

/*
 * The inode number to show for INO on DEV (makedev()): on other filesystems than the root's, a
 * small number of the filesystem goes into the 16 top bits, which no common filesystem uses, so
 * that st_ino is unique below the mount. Beyond INODE_DEVICES filesystems the number is a hash and
 * two of them may share it.
 */
uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino);

/* INODE, a primary row, was truncated to LEN bytes, or extended to so many. Any thread, no lock. */
void inode_note_size(struct inode *inode, uint64_t len);

/* Something was punched out of INODE, a primary row. Any thread, no lock. */
void inode_note_hole(struct inode *inode);

/*
 * A flush of INODE, a primary row, failed with ERROR (-errno): every opener is to hear of it once.
 * Any thread, no lock.
 */
void inode_record_error(struct inode *inode, int error);

#endif
