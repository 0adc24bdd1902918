/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table holds every inode that the kernel knows, by nodeid. A row is one backing inode,
 * which its hard links share. A row stays in use while the kernel's lookup count or an open file
 * holds it.
 *
 * Nodeids: nodeid = tenancy << 32 | row + 1. The tenancy counts the inodes that the row had before,
 * so a stale nodeid differs from the nodeid of the row's next inode. The root is row 0 with tenancy
 * 0, which makes its nodeid FUSE_ROOT_ID.
 *
 * Export: if BACKING is a whole filesystem or subvolume, a nodeid is the backing inode's number and
 * generation instead. A file handle of the mount contains the nodeid, so it leads back to the inode
 * after the kernel has forgotten it, even in another daemon (EXPORT_SUPPORT). A forged handle
 * reaches any inode of that filesystem but no other, just as on the filesystem itself. Three kinds
 * of inodes aren't exported: inodes on other mounts, inodes whose handle is too long, and zones,
 * because a zone is recognised by its name. With their nodeids the kernel is told a generation that
 * each daemon chooses at random.
 *
 * Descriptors: a row has an O_PATH descriptor until descriptors are short (inode-fd.h). Then it may
 * be left with its file handle alone, by which the inode is opened again when it is needed.
 *
 * Size: if all rows of the arena are in use, more rows are made (inode-rows.h).
 *
 * Mounts: a file that is reached through two mounts below BACKING has a row for each of them. Each
 * row's descriptor is on the row's own mount, so a read-only mount refuses writes to its row. The
 * first of these rows is the primary row of all of them, and stays in use as long as they do. It
 * alone holds the state of the inode's data: sync_fd, error, known_len, thin, holes, setid, gate,
 * syncs and zone (inode_primary()).
 *
 * Identity: an inode is found again by (dev, ino). A filesystem may give the number of a deleted
 * inode to a new one. On some filesystems a number stays with its inode while a descriptor refers
 * to the inode (handle_is_lasting()); there, a row that has a descriptor is the same inode.
 * Everywhere else the file handles are compared.
 *
 * Threads: metadata workers call these functions unless a function says otherwise. The table's
 * mutex is never held across a system call. A row that inode_get() has returned stays in use until
 * the handler ends: the kernel sends the last FORGET of a nodeid when it evicts the inode
 * (fuse_evict_inode() in fs/fuse/inode.c), and it evicts no inode that has an unanswered request.
 * The row's descriptor stays open until inode_unpin(). The data path reaches a row through an open
 * file, which holds the row. It uses the fields that are constant or atomic, and zone, which guards
 * itself.
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
struct fd_marks;
struct statx;

/* A backing file as it was when the page cache above was last known to match it. */
struct inode_seen {
	uint64_t len;
	int64_t mtime_ns;
	bool known; /* the kernel may have cached something */
	bool sure;  /* any later change of the file changes its mtime */
};

/*
 * A row. It lives in the arena, so it holds no pointers. The table's mutex guards every field that
 * isn't atomic and names no other guard.
 */
struct inode {
	uint64_t dev, ino;	 /* dev as makedev() makes it; constant while in use */
	uint64_t mount_id;	 /* STATX_MNT_ID; constant while in use */
	uint64_t nodeid;	 /* constant while in use */
	uint64_t nlookup;	 /* the kernel's lookup count */
	uint32_t tenancy;	 /* counts the inodes that the row had before */
	uint32_t hash_next;	 /* next row of the hash chain, or POOL_NONE */
	uint32_t opens;		 /* open files of this row and, in a primary row, of its sharers */
	uint32_t primary;	 /* a row, often this one; constant while in use */
	uint32_t sharers;	 /* other rows whose primary row is this one */
	uint32_t mode;		 /* S_IFMT bits; constant while in use */
	uint32_t older;		 /* row in the list table.oldest … newest, or POOL_NONE */
	uint32_t newer;		 /* row in the list table.oldest … newest, or POOL_NONE */
	uint16_t mount;		 /* slot in table.mounts, or INODE_MOUNTS; constant while in use */
	_Atomic bool used;	 /* the row has an inode; set when all else in it is */
	bool exported;		 /* nodeid leads back to the inode; constant while in use */
	bool warm;		 /* looked up again since inode_collect_idle() passed */
	bool recent;		 /* asked for since a descriptor to drop was looked for here */
	bool listed;		 /* in the list table.oldest … newest */
	_Atomic uint32_t pins;	 /* handlers that use fd; raised under the mutex */
	int32_t fd;		 /* O_PATH, or -1; an open one stays open while it is pinned */
	int32_t dropping;	 /* was fd, and will be closed or be fd again; or -1 */
	struct handle handle;	 /* constant while in use */
	_Atomic int32_t sync_fd; /* descriptor for every fsync of this inode, or -1; see file.h */
	_Atomic int32_t backing_id; /* passthrough id of all openers, or PASSTHROUGH_NONE */
	_Atomic uint32_t error_seq; /* counts failed flushes of the inode (S11) */
	_Atomic int32_t error;	    /* of the last failed flush, -errno */
	_Atomic uint64_t known_len; /* bytes that the file is known to have; for prealloc.h */
	_Atomic bool thin;	    /* known_len may include holes; for prealloc.h */
	_Atomic uint32_t holes;	    /* counts changes that may have made holes; for prealloc.h */
	struct inode_seen seen;	    /* guard: turn_of() in cached-open.c */
	_Atomic uint32_t writing;   /* open files with unflushed writes through the cache above */
	_Atomic uint64_t cached_opens; /* three counts; see CACHED_OPEN_READER */
	_Atomic uint64_t gate;	       /* see gate.h */
	_Atomic uint64_t syncs;	       /* see sync-group.h */
	_Atomic uint32_t around;       /* open files that may write around the cache above */
	_Atomic uint32_t drops;	       /* drops of cached pages that aren't over; see dropper.h */
	_Atomic bool drop_due;	       /* all cached pages are stale; see cached_open_take_due() */
	_Atomic uint8_t drop_owed; /* enum cached_drop_reason of a drop without a request, or 0 */
	_Atomic bool setid;	   /* the kernel was told of set-id bits; see op-setid.h */
	struct zone zone;	   /* the inode's part in a zoned directory; see op-zone.h */
};

/* Filesystems below BACKING, including its own, whose shown inode numbers can't collide. */
#define INODE_DEVICES 256

/* Mounts below BACKING, including its own, whose rows can do without descriptors. */
#define INODE_MOUNTS 256

/* The most rows that can be made beyond the arena's. */
#define INODE_MORE_ROWS (1u << 20)

/* A mount that rows are on. Slot 0 is BACKING's own. Guard: the table's mutex. */
struct inode_mount {
	uint64_t id;	 /* STATX_MNT_ID */
	uint32_t rows;	 /* rows on the mount; 0 if the slot is free */
	int32_t fd;	 /* for handle_open(), so not O_PATH; -1 until inode_mount_probe() */
	bool is_lasting; /* handle_is_lasting() */
	bool reopens;	 /* inodes can be opened by their handles, as far as is known */
	bool is_probed;	 /* inode_mount_probe() has set fd and reopens */
};

/*
 * A lookup or FORGET that is being counted in a row and in the progress of its request. If the
 * process dies meanwhile, neither has counted it: inode_table_attach() restores both.
 */
struct inode_step {
	bool is_under_way;
	uint32_t row;
	uint32_t counted;      /* of the progress, before */
	uint64_t nlookup;      /* of the row, before */
	uint64_t progress_off; /* arena offset */
};

/*
 * What the rows have in common and can't be found out from them. It lives in the arena, so it holds
 * no pointers.
 */
struct inode_common {
	struct inode_mount mounts[INODE_MOUNTS]; /* guard: the table's mutex */
	uint64_t devices[INODE_DEVICES];	 /* as makedev() makes them, the root's first */
	uint32_t device_count;			 /* guard: the table's mutex */
	struct inode_step step;			 /* guard: the table's mutex */
	_Atomic uint32_t more_made;		 /* rows beyond the arena's that were made */
	uint32_t touched; /* the rows from here on were never in use; guard: the table's mutex */

	/* fixed before serving */
	uint32_t export_off; /* handle_generation_off() of the root; 0: nothing is exported */
	uint32_t unexported; /* generation of inodes that aren't exported */
	bool may_not_reopen; /* no CAP_DAC_READ_SEARCH */
};

struct inode_table {
	struct arena *arena;
	struct inode *rows;
	struct inode_common *common;
	uint32_t *buckets;    /* first row of each hash chain, or POOL_NONE */
	uint32_t count;	      /* rows in the arena */
	uint32_t bucket_mask; /* number of buckets - 1 */
	pthread_mutex_t mutex;
	struct pool pool;	   /* the arena's free rows */
	int session_fd;		   /* the session's /dev/fuse, or -1 */
	int pressure_fd;	   /* nonblocking eventfd that counts calls of inode_press() */
	_Atomic bool pressed;	   /* inode_press() was called, and inode_relieve() not yet */
	_Atomic bool prunable;	   /* prune.c runs and can ask the kernel for inodes */
	_Atomic uint32_t used;	   /* rows in use */
	_Atomic uint64_t freed;	   /* rows that were given back */
	_Atomic uint64_t refusals; /* look-ups that failed with -ENFILE, for status */

	/* rows beyond the arena's; guard: mutex */
	struct inode *more;	    /* room that becomes memory piece by piece */
	pthread_mutex_t more_mutex; /* lets one thread at a time make rows; taken before mutex */
	uint32_t more_max;	    /* rows that can be made */
	uint32_t more_free;	    /* first free one of the rows that were made, or POOL_NONE */

	/* descriptors (inode-fd.h); guard: mutex */
	uint32_t oldest, newest; /* list of rows whose descriptors may be dropped, or POOL_NONE */
	_Atomic uint32_t fds;	 /* rows that have a descriptor */
	uint32_t fd_limit;	 /* rows that may have a descriptor; fixed before serving */
};

/*
 * Plans ARENA_INODES for COUNT rows, with room for INODE_MORE_ROWS more, ARENA_INODE_HASH and
 * ARENA_INODE_COMMON. Returns 0 or -EOVERFLOW.
 */
int inode_table_plan(struct arena *arena, uint32_t count);

/* Makes the table in the created ARENA. Allocates: before the seal. Returns 0 or -errno. */
int inode_table_init(struct inode_table *table, struct arena *arena);

/*
 * Makes what a process needs of its own for inode_table_attach(). Leaves the table in ARENA alone,
 * which another process uses. Allocates. Returns 0 or -errno.
 */
int inode_table_prepare(struct inode_table *table, struct arena *arena);

/*
 * Takes over the table that a process has left, which may have died at any moment. The
 * rows are as it left them, and all that can be found out from them is made anew. Requests, drops
 * and uses of descriptors that were under way are over. file_table_attach() must come next, and
 * inode_table_free_unheld() after it. Nobody else uses the table. Returns 0 or -errno.
 */
int inode_table_attach(struct inode_table *table);

/*
 * Frees the rows of an attached table that nothing holds, after all opens were counted, and closes
 * what was open for openers that have gone. session_fd has been set.
 */
void inode_table_free_unheld(struct inode_table *table);

/* Marks every descriptor that the table has, for fd_marks_sweep(). */
void inode_table_mark_fds(const struct inode_table *table, struct fd_marks *marks);

/* Closes every descriptor in the table. */
void inode_table_destroy(struct inode_table *table);

/*
 * Makes the directory ROOT_FD (O_PATH) the root. Duplicates ROOT_FD, which stays the caller's. Call
 * it once, before any other inode is remembered. Returns 0 or -errno.
 */
int inode_table_set_root(struct inode_table *table, int root_fd);

/*
 * The row of NODEID. Its descriptor stays open until the calling thread's next inode_unpin().
 * Returns NULL if no row has NODEID (the kernel is told -ESTALE), or if the inode can't be opened
 * again (see inode_unpin()). Opening it may wait for the backing filesystem. Call it with the
 * daemon's identity.
 */
struct inode *inode_get(struct inode_table *table, uint64_t nodeid);

/* The primary row of NODEID, or POOL_NONE if no row has NODEID. Doesn't wait. */
uint32_t inode_primary_row(struct inode_table *table, uint64_t nodeid);

/* As inode_get(), but never waits: also returns NULL if the inode would have to be opened. */
struct inode *inode_get_at_hand(struct inode_table *table, uint64_t nodeid);

/*
 * Ends the calling thread's use of all rows that inode_get() has returned. To be called after each
 * handler, with the handler's result ERROR. Returns ERROR, except if ERROR is -ESTALE because an
 * inode couldn't be opened: then it returns the error of opening it.
 */
int inode_unpin(int error);

/*
 * Gives the inode of NAME in the directory DIR_FD a descriptor until inode_unpin(), if it has a
 * row. To be called before NAME is removed or replaced: the kernel may still know the inode, and a
 * file that has neither a name nor a descriptor is gone. Descriptors of files that have lost their
 * last name aren't dropped. Call it with the daemon's identity.
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

/* The generation that the kernel is told beside INODE's nodeid. */
uint32_t inode_generation(const struct inode_table *table, const struct inode *inode);

/*
 * Opens (O_PATH) the inode of NODEID, which the kernel may have forgotten; or, with PARENT, the
 * parent directory of the directory NODEID, which it mustn't have forgotten. Returns 0 or -errno:
 * -ESTALE if NODEID leads to no inode.
 */
int inode_open_exported(struct inode_table *table, uint64_t nodeid, bool parent, int *ret_fd);

/* The row that holds the state of INODE's data. Lasts as long as INODE. Any thread, no lock. */
static inline struct inode *inode_primary(const struct inode_table *table,
					  const struct inode *inode)
{
	return inode_at(table, inode->primary);
}

/* Whether other rows share PRIMARY's data. Each of these rows has a page cache of its own above. */
bool inode_is_shared(struct inode_table *table, const struct inode *primary);

/* Fills NODEIDS with up to MAX nodeids of PRIMARY and its sharers. Returns how many. */
uint32_t inode_list_sharers(struct inode_table *table, const struct inode *primary,
			    uint64_t *nodeids, uint32_t max);

/* The fields of statx() that inode_remember() needs. */
#define INODE_STATX_MASK (STATX_TYPE | STATX_INO | STATX_BTIME | STATX_MNT_ID)

/*
 * Finds or makes the row of an inode, and counts one lookup by the kernel. STX, asked with
 * INODE_STATX_MASK, describes the inode, and the O_PATH descriptor *FD refers to it. Takes *FD,
 * also on error; a row that has a descriptor keeps the one it has. Returns 0, or -ENFILE if there
 * is neither a free row nor memory for more.
 */
int inode_remember(struct inode_table *table, int *fd, const struct statx *stx,
		   struct inode **ret_inode);

/*
 * A row for an inode that is about to be made (room.h). inode_reserve() sets a row aside, or fails
 * with -ENFILE. inode_remember_at() is inode_remember() that can't fail: if the inode isn't known,
 * it uses *ROW and sets it to POOL_NONE. inode_unreserve() gives back a row that wasn't used.
 */
int inode_reserve(struct inode_table *table, uint32_t *ret_row);
void inode_unreserve(struct inode_table *table, uint32_t row);
struct inode *inode_remember_at(struct inode_table *table, uint32_t *row, int *fd,
				const struct statx *stx);

/*
 * Drops descriptors that rows can do without. To be called when opening something has failed for
 * lack of descriptors. Returns true if it is worth trying again. May wait for the backing
 * filesystem.
 */
bool inode_make_room(struct inode_table *table);

/* Whether as many rows have descriptors as may. If so, one more makes other rows lose theirs. */
bool inode_is_short_of_fds(const struct inode_table *table);

/* The kernel forgets LOOKUPS of NODEID. Ignores an unknown NODEID, and too many LOOKUPS. */
void inode_forget(struct inode_table *table, uint64_t nodeid, uint64_t lookups);

/* Takes back the last lookup that this thread's request has counted, which was of NODEID. */
void inode_take_back(struct inode_table *table, uint64_t nodeid);

/*
 * inode_hold_open() lets an open file hold INODE's row, which the caller must already hold in
 * another way, such as inode_get(). inode_put_open() ends that. The last open file to go closes
 * what is open for all of them, and unloads a zone.
 */
void inode_hold_open(struct inode_table *table, struct inode *inode);
void inode_put_open(struct inode_table *table, struct inode *inode);

/*
 * Makes INODE a zone by zone_init() with KIND, LEN and CAPACITY_LEN, unless it is a zone already.
 * Returns 0, or -EBUSY if the inode is open as an ordinary file.
 */
int inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		    uint64_t len, uint64_t capacity_len);

/*
 * Pressure: inode_is_pressed() is true if more than 3/4 of the arena's rows are in use. Then, and
 * when descriptors are short and none can be dropped, inode_press() wakes prune.c, which waits for
 * pressure_fd. prune.c asks the kernel to give inodes back, because the kernel does so by itself
 * only when its own memory is short. It calls inode_relieve() when it has done what it can.
 */
bool inode_is_pressed(const struct inode_table *table);
void inode_press(struct inode_table *table);
void inode_relieve(struct inode_table *table);

/*
 * The low watermark: whether less than 1/8 of the arena's rows are free although prune.c asks for
 * inodes. Then operations that bring new inodes should slow down, or the table takes more memory.
 */
bool inode_is_low_on_rows(const struct inode_table *table);

/*
 * Fills NODEIDS with the nodeids of up to MAX rows for which IS_WANTED returns true. Looks at each
 * row at most once, from row *HAND on, and leaves in *HAND where it stopped. Calls IS_WANTED with
 * the table's mutex held. Returns how many it found.
 */
uint32_t inode_collect(struct inode_table *table, uint32_t *hand, uint64_t *nodeids, uint32_t max,
		       bool (*is_wanted)(const struct inode_table *table, struct inode *inode));

/*
 * inode_collect() of the rows that only the kernel's lookup count holds. Skips a row once if it was
 * looked up again since the last round.
 */
uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max);

/* A drop of NODEID's pages that was owed is over. The row may have been freed meanwhile. */
void inode_end_drop(struct inode_table *table, uint64_t nodeid);

/*
 * The inode number that clients are shown for inode INO on filesystem DEV, as makedev() makes it.
 * It makes st_ino unique below the mount: a small number of the filesystem goes into the top 16
 * bits, which no common filesystem uses. The root's filesystem has number 0. Beyond INODE_DEVICES
 * filesystems the number is a hash, which two of them may share.
 */
uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino);

/* INODE, a primary row, was truncated or extended to LEN bytes. Any thread, no lock. */
void inode_note_size(struct inode *inode, uint64_t len);

/* A hole was punched into INODE, a primary row. Any thread, no lock. */
void inode_note_hole(struct inode *inode);

/*
 * A flush of INODE, a primary row, failed with ERROR (-errno). Each opener is to be told once. Any
 * thread, no lock.
 */
void inode_record_error(struct inode *inode, int error);

#endif
