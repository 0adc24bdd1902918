/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "base/mutex.h"
#include "store/inode-export.h"
#include "store/inode-fd.h"
#include "store/inode-identity.h"
#include "store/inode-rows.h"
#include "store/passthrough.h"
#include "store/progress.h"
#include "store/store.h"

/* Gives INODE a nodeid that no other row has. The mutex is held. */
static void choose_nodeid(struct inode_table *table, struct inode *inode, uint32_t row,
			  const struct inode_candidate *candidate)
{
	uint64_t nodeid = inode_exported_nodeid(table, candidate);

	inode->exported = nodeid && !inode_by_nodeid(table, nodeid);
	if (!inode->exported) {
		do {
			nodeid = (uint64_t)inode->tenancy << 32 | (row + 1);
		} while (inode_by_nodeid(table, nodeid) && ++inode->tenancy);
	}
	inode->nodeid = nodeid;
}

/*
 * Makes ROW, which the caller has taken, the row of CANDIDATE. Takes *FD. The mutex is held.
 */
static struct inode *insert(struct inode_table *table, uint32_t row, int *fd,
			    const struct inode_candidate *candidate)
{
	uint32_t *head = inode_bucket(table, candidate->dev, candidate->ino);
	struct inode *inode = inode_at(table, row);

	assert(!inode->used && inode->fd < 0);
	table->common->touched = MAX(table->common->touched, row + 1);
	KILL_FENCE();
	choose_nodeid(table, inode, row, candidate);
	inode->dev = candidate->dev;
	inode->ino = candidate->ino;
	inode->mode = candidate->mode;
	inode->mount_id = candidate->mount_id;
	inode->handle = candidate->handle;
	inode->sharers = 0;
	inode->primary = inode_find_primary(table, candidate, row);
	if (inode->primary != row)
		inode_primary(table, inode)->sharers++;
	inode->mount = inode_mount_get(table, candidate->mount_id, candidate->is_lasting);
	inode->nlookup = 0;
	inode->opens = 0;
	inode->warm = false;
	inode->zone = (struct zone){ 0 };
	atomic_store(&inode->sync_fd, -1);
	atomic_store(&inode->backing_id, PASSTHROUGH_NONE);
	atomic_store(&inode->error_seq, 0);
	atomic_store(&inode->error, 0);
	atomic_store(&inode->known_len, 0);
	atomic_store(&inode->thin, false);
	atomic_store(&inode->setid, false);
	atomic_store(&inode->cached_opens, 0);
	atomic_store(&inode->writing, 0);
	atomic_store(&inode->around, 0);
	atomic_store(&inode->gate, 0);
	atomic_store(&inode->syncs, 0);
	atomic_store(&inode->drops, 0);
	atomic_store(&inode->drop_due, false);
	atomic_store(&inode->drop_owed, 0);
	inode->seen = (struct inode_seen){ 0 };
	inode->hash_next = *head;
	*head = row;
	inode_fd_install(table, inode, fd);
	KILL_FENCE();
	atomic_store(&inode->used, true);
	atomic_fetch_add(&table->used, 1);
	return inode;
}

/* Descriptors of rows that were given back. They are closed after the mutex is released. */
struct leftover {
	int fds[4]; /* of a row and its mount, of the primary row and its mount; or -1 */
	uint32_t count;
};

static void leave(struct leftover *leftover, int fd)
{
	assert(leftover->count < ARRAY_SIZE(leftover->fds));
	leftover->fds[leftover->count++] = fd;
}

/*
 * Frees INODE's row if nothing holds it. If only its sharers hold it, it loses its descriptor, so
 * that it doesn't keep its mount busy. The mutex is held.
 */
static void remove_row(struct inode_table *table, struct inode *inode, struct leftover *leftover)
{
	uint32_t row = inode_row(table, inode);
	uint32_t *link;

	if (inode->nlookup || inode->opens || row == INODE_ROOT_ROW)
		return;
	leave(leftover, inode_fd_take(table, inode));
	inode->dropping = -1; /* whoever drops it closes it */
	if (inode->sharers)
		return;
	for (link = inode_bucket(table, inode->dev, inode->ino); *link != row;
	     link = &inode_at(table, *link)->hash_next)
		assert(*link != POOL_NONE);
	*link = inode->hash_next;
	inode->hash_next = POOL_NONE;
	inode->tenancy++;
	atomic_store(&inode->used, false);
	KILL_FENCE();
	leave(leftover, inode_mount_put(table, inode->mount));
	atomic_fetch_sub(&table->used, 1);
	atomic_fetch_add(&table->freed, 1);
	inode_row_put(table, row);
}

/*
 * remove_row() of INODE and, if that frees it, of its primary row. The mutex is held.
 */
static void remove_unused(struct inode_table *table, struct inode *inode, struct leftover *leftover)
{
	struct inode *primary = inode_primary(table, inode);

	remove_row(table, inode, leftover);
	if (inode->used || primary == inode)
		return;
	primary->sharers--;
	remove_row(table, primary, leftover);
}

/*
 * The mutex isn't held, because closing the last descriptor of an unlinked file truncates the file,
 * which may take long.
 */
static void close_leftover(struct leftover *leftover)
{
	for (uint32_t i = 0; i < leftover->count; i++)
		close_fd(&leftover->fds[i]);
}

int inode_table_set_root(struct inode_table *table, int root_fd)
{
	struct inode_candidate candidate;
	autoclose int fd = -1;
	struct inode *root;
	struct statx stx;
	uint32_t row;
	int r;

	fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = store_statx(fd, INODE_STATX_MASK, &stx);
	if (r < 0)
		return r;
	candidate = inode_candidate_of(&stx);
	inode_identify(&candidate, fd, &stx);
	r = inode_reserve(table, &row);
	if (r < 0)
		return r;
	mutex_lock(&table->mutex);
	root = insert(table, row, &fd, &candidate);
	root->nlookup = 1; /* the mount's own, which is never forgotten */
	mutex_unlock(&table->mutex);
	assert(inode_row(table, root) == INODE_ROOT_ROW && root->nodeid == FUSE_ROOT_ID);
	table->common->devices[0] = root->dev;
	table->common->device_count = 1;
	r = inode_mount_probe(table, root->mount, root->fd);
	table->common->may_not_reopen = r == -EPERM;
	return inode_export_init(table, root, r == 0, &stx);
}

uint32_t inode_list_sharers(struct inode_table *table, const struct inode *primary,
			    uint64_t *nodeids, uint32_t max)
{
	uint32_t count = 0, row;

	mutex_lock(&table->mutex);
	for (row = *inode_bucket(table, primary->dev, primary->ino);
	     row != POOL_NONE && count < max; row = inode_at(table, row)->hash_next) {
		const struct inode *inode = inode_at(table, row);

		if (inode_primary(table, inode) == primary)
			nodeids[count++] = inode_nodeid(table, inode);
	}
	mutex_unlock(&table->mutex);
	return count;
}

bool inode_is_shared(struct inode_table *table, const struct inode *primary)
{
	bool is_shared;

	mutex_lock(&table->mutex);
	is_shared = primary->sharers;
	mutex_unlock(&table->mutex);
	return is_shared;
}

uint32_t inode_primary_row(struct inode_table *table, uint64_t nodeid)
{
	const struct inode *inode;
	uint32_t row = POOL_NONE;

	mutex_lock(&table->mutex);
	inode = inode_by_nodeid(table, nodeid);
	if (inode)
		row = inode->primary;
	mutex_unlock(&table->mutex);
	return row;
}

/*
 * Sets INODE's lookup count to NLOOKUP, and the number that was counted for the thread's request to
 * COUNTED, if that is noted. The mutex is held.
 */
static void count(struct inode_table *table, struct inode *inode, uint64_t nlookup,
		  uint32_t counted)
{
	struct inode_step *step = &table->common->step;
	struct progress *progress = progress_now();

	if (!progress) {
		inode->nlookup = nlookup;
		return;
	}
	*step = (struct inode_step){
		.row = inode_row(table, inode),
		.counted = progress->counted,
		.nlookup = inode->nlookup,
		.progress_off = arena_off(table->arena, progress),
	};
	KILL_FENCE();
	step->is_under_way = true;
	KILL_FENCE();
	inode->nlookup = nlookup;
	progress->counted = counted;
	KILL_FENCE();
	step->is_under_way = false;
}

/* What was counted so far for the thread's request. */
static uint32_t counted_so_far(void)
{
	const struct progress *progress = progress_now();

	return progress ? progress->counted : 0;
}

/* Counts a lookup of INODE. The mutex is held. */
static void count_lookup(struct inode_table *table, struct inode *inode)
{
	uint32_t counted = counted_so_far();

	if (progress_now()) {
		progress_nodeids()[counted] = inode->nodeid;
		KILL_FENCE();
	}
	count(table, inode, inode->nlookup + 1, counted + 1);
}

/*
 * Inserts CANDIDATE in *ROW or, if *ROW is POOL_NONE, in any free row. Returns NULL if there is no
 * free row. The mutex is held.
 */
static struct inode *insert_at(struct inode_table *table, uint32_t *row, int *fd,
			       const struct inode_candidate *candidate)
{
	uint32_t taken = *row == POOL_NONE ? inode_row_take(table) : *row;

	*row = POOL_NONE;
	return taken == POOL_NONE ? NULL : insert(table, taken, fd, candidate);
}

/* inode_remember() if *ROW is POOL_NONE, otherwise inode_remember_at(). */
static int remember(struct inode_table *table, uint32_t *row, int *fd, const struct statx *stx,
		    struct inode **ret_inode)
{
	struct inode_candidate candidate = inode_candidate_of(stx);
	struct inode *inode;
	int r;

	do {
		inode = NULL;
		mutex_lock(&table->mutex);
		r = inode_find(table, &candidate, &inode);
		if (r == 0) {
			inode->warm = inode->recent = true;
			inode_fd_install(table, inode, fd);
		} else if (r == -ENOENT && candidate.has_identity) {
			inode = insert_at(table, row, fd, &candidate);
		}
		if (inode)
			count_lookup(table, inode);
		mutex_unlock(&table->mutex);

		r = 0;
		if (!inode && candidate.has_identity)
			r = inode_rows_make_more(table);
		else if (!inode)
			inode_identify(&candidate, *fd, stx);
	} while (!inode && r == 0);

	close_fd(fd); /* no row has taken it */
	inode_fd_trim(table);
	if (inode_is_pressed(table))
		inode_press(table);
	if (r < 0) {
		atomic_fetch_add(&table->refusals, 1);
		return r;
	}
	*ret_inode = inode;
	return 0;
}

int inode_remember(struct inode_table *table, int *fd, const struct statx *stx,
		   struct inode **ret_inode)
{
	uint32_t none = POOL_NONE;

	return remember(table, &none, fd, stx, ret_inode);
}

struct inode *inode_remember_at(struct inode_table *table, uint32_t *row, int *fd,
				const struct statx *stx)
{
	struct inode *inode;
	int r;

	assert(*row != POOL_NONE);
	r = remember(table, row, fd, stx, &inode);
	assert(r == 0);
	return inode;
}

/* Forgets LOOKUPS of NODEID. The thread's request then has counted COUNTED. */
static void forget(struct inode_table *table, uint64_t nodeid, uint64_t lookups, uint32_t counted)
{
	struct leftover leftover = { 0 };
	struct inode *inode;

	mutex_lock(&table->mutex);
	inode = inode_by_nodeid(table, nodeid);
	if (inode && inode_row(table, inode) != INODE_ROOT_ROW) {
		count(table, inode, inode->nlookup - MIN(lookups, inode->nlookup), counted);
		remove_unused(table, inode, &leftover);
	} else if (progress_now()) {
		progress_now()->counted = counted;
	}
	mutex_unlock(&table->mutex);
	close_leftover(&leftover);
}

void inode_forget(struct inode_table *table, uint64_t nodeid, uint64_t lookups)
{
	forget(table, nodeid, lookups, counted_so_far() + 1);
}

void inode_take_back(struct inode_table *table, uint64_t nodeid)
{
	forget(table, nodeid, 1, counted_so_far() - 1);
}

void inode_pin_name(struct inode_table *table, int dir_fd, const char *name)
{
	struct inode_candidate candidate;
	autoclose int fd = -1;
	struct inode *inode;
	struct statx stx;
	int r;

	if (store_open_child(dir_fd, name, &fd) < 0 || store_statx(fd, INODE_STATX_MASK, &stx) < 0)
		return;
	candidate = inode_candidate_of(&stx);
	do {
		mutex_lock(&table->mutex);
		r = inode_find(table, &candidate, &inode);
		if (r == 0) {
			inode_fd_pin(inode);
			inode_fd_install(table, inode, &fd);
		}
		mutex_unlock(&table->mutex);
		if (r == -EAGAIN)
			inode_identify(&candidate, fd, &stx);
	} while (r == -EAGAIN);
}

void inode_hold_open(struct inode_table *table, struct inode *inode)
{
	struct inode *primary = inode_primary(table, inode);

	mutex_lock(&table->mutex);
	inode->opens++;
	if (primary != inode)
		primary->opens++;
	mutex_unlock(&table->mutex);
}

/*
 * PRIMARY has lost an opener. Returns its sync_fd, for the caller to close, if it was the last one;
 * otherwise -1. The mutex is held.
 */
static int put_primary(struct inode *primary)
{
	if (primary->opens)
		return -1;
	zone_unload(&primary->zone);
	return atomic_exchange(&primary->sync_fd, -1);
}

void inode_put_open(struct inode_table *table, struct inode *inode)
{
	struct inode *primary = inode_primary(table, inode);
	struct leftover leftover = { 0 };
	int32_t backing_id = PASSTHROUGH_NONE;
	int sync_fd;

	mutex_lock(&table->mutex);
	assert(inode->opens > 0 && primary->opens > 0);
	if (primary != inode)
		primary->opens--;
	if (--inode->opens == 0)
		backing_id = atomic_exchange(&inode->backing_id, PASSTHROUGH_NONE);
	sync_fd = put_primary(primary);
	remove_unused(table, inode, &leftover);
	if (inode->used && primary != inode)
		remove_row(table, primary, &leftover);
	mutex_unlock(&table->mutex);
	close_fd(&sync_fd);
	if (backing_id != PASSTHROUGH_NONE)
		passthrough_close(table->session_fd, backing_id);
	close_leftover(&leftover);
}

void inode_table_free_unheld(struct inode_table *table)
{
	for (uint32_t row = 0; row < table->common->touched; row++) {
		struct inode *inode = inode_at(table, row);

		if (!atomic_load(&inode->used) || inode->opens)
			continue;
		/* as if the last opener had gone now; the root's row has none of these */
		mutex_lock(&table->mutex);
		inode->opens++;
		if (inode_primary(table, inode) != inode)
			inode_primary(table, inode)->opens++;
		mutex_unlock(&table->mutex);
		inode_put_open(table, inode);
	}
}

int inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		    uint64_t len, uint64_t capacity_len)
{
	struct inode *primary = inode_primary(table, inode);
	int r = 0;

	mutex_lock(&table->mutex);
	if (zone_is_file(&primary->zone))
		r = 0; /* another look-up has made it one */
	else if (primary->opens)
		r = -EBUSY;
	else
		zone_init(&primary->zone, kind, len, capacity_len);
	mutex_unlock(&table->mutex);
	return r;
}

void inode_record_error(struct inode *inode, int error)
{
	assert(error < 0);
	atomic_store(&inode->error, error);
	/* after the error: a reader that sees the new count sees an error */
	atomic_fetch_add(&inode->error_seq, 1);
}

void inode_note_size(struct inode *inode, uint64_t len)
{
	atomic_store(&inode->known_len, len);
	inode_note_hole(inode);
}

void inode_note_hole(struct inode *inode)
{
	atomic_store(&inode->thin, true);
	atomic_fetch_add(&inode->holes, 1);
}

void inode_end_drop(struct inode_table *table, uint64_t nodeid)
{
	struct inode *inode;

	mutex_lock(&table->mutex);
	inode = inode_by_nodeid(table, nodeid);
	/* if the inode was forgotten and came back, its count has begun again at 0 */
	if (inode && atomic_load(&inode->drops))
		atomic_fetch_sub(&inode->drops, 1);
	mutex_unlock(&table->mutex);
}
