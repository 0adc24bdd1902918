/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "base/mountinfo.h"
#include "base/mutex.h"
#include "store/inode-fd.h"
#include "store/passthrough.h"
#include "store/store.h"

#define ROOT_ROW 0u

/*
 * Generations that the kernel is told: of exported inodes, and a bit of this daemon's own for
 * others.
 */
#define EXPORTED   1u
#define UNEXPORTED 2u

/* Chains are short although the table may get larger than the arena's part of it. */
#define BUCKETS_MIN (1u << 16)

/* Rows beyond the arena's that are made at a time, whole pages of them. */
#define MORE_PIECE 4096u

/* Rows that are looked through in one go with the mutex held: some microseconds. */
#define COLLECT_ROWS 1024u

/* Where the filesystem's number goes in an inode number that is shown. */
#define DEVICE_SHIFT   48
#define DEVICE_NUMBERS (1u << (64 - DEVICE_SHIFT))

/* An inode that has been found, on its way into the table. */
struct candidate {
	uint64_t dev, ino, mount_id;
	uint32_t mode;
	bool has_identity; /* the following have been asked for */
	bool is_lasting;
	struct handle handle;
};

static uint32_t buckets_for(uint32_t count)
{
	uint32_t buckets = 1;

	while (buckets < MAX(count, BUCKETS_MIN) && buckets < 1u << 31)
		buckets *= 2;
	return buckets;
}

int inode_table_plan(struct arena *arena, uint32_t count)
{
	int r = arena_plan(arena, ARENA_INODES, sizeof(struct inode), count, CACHE_LINE_BYTES);

	if (r < 0)
		return r;
	return arena_plan(arena, ARENA_INODE_HASH, sizeof(uint32_t), buckets_for(count),
			  CACHE_LINE_BYTES);
}

static void clear_row(struct inode *inode)
{
	*inode = (struct inode){
		.fd = -1,
		.hash_next = POOL_NONE,
		.older = POOL_NONE,
		.newer = POOL_NONE,
	};
	atomic_init(&inode->sync_fd, -1);
	atomic_init(&inode->backing_id, PASSTHROUGH_NONE);
}

/*
 * Takes the address space for more rows, without memory. It counts as locked from the start, while
 * we may lock as much as we like: later, when the capability is gone, no mapping could be added.
 */
static void reserve_more(struct inode_table *table)
{
	void *at = mmap(NULL, INODE_MORE_ROWS * sizeof(struct inode), PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	table->more = at == MAP_FAILED ? NULL : at;
	table->more_max = table->more ? INODE_MORE_ROWS : 0;
	table->more_free = POOL_NONE;
}

int inode_table_init(struct inode_table *table, const struct arena *arena)
{
	uint32_t count = (uint32_t)arena->plan.span[ARENA_INODES].count;
	uint32_t buckets = (uint32_t)arena->plan.span[ARENA_INODE_HASH].count;
	int r;

	*table = (struct inode_table){
		.rows = arena_table(arena, ARENA_INODES),
		.buckets = arena_table(arena, ARENA_INODE_HASH),
		.count = count,
		.bucket_mask = buckets - 1,
	};
	assert(is_power_of_two(buckets));

	table->pressure_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (table->pressure_fd < 0)
		return -errno;
	r = pool_init(&table->pool, 0, count);
	if (r < 0)
		goto err_fd;
	r = -pthread_mutex_init(&table->mutex, NULL);
	if (r < 0)
		goto err_pool;
	r = -pthread_mutex_init(&table->more_mutex, NULL);
	if (r < 0)
		goto err_mutex;
	for (uint32_t i = 0; i < count; i++)
		clear_row(&table->rows[i]);
	memset(table->buckets, 0xff, buckets * sizeof(*table->buckets)); /* POOL_NONE */
	reserve_more(table);
	inode_fd_init(table);
	return 0;

err_mutex:
	(void)pthread_mutex_destroy(&table->mutex); /* nobody has it */
err_pool:
	pool_destroy(&table->pool);
err_fd:
	close_fd(&table->pressure_fd);
	return r;
}

/* How many rows there are, in use or not. */
static uint32_t row_count(const struct inode_table *table)
{
	return table->count + atomic_load(&table->more_made);
}

void inode_table_destroy(struct inode_table *table)
{
	for (uint32_t i = 0; i < row_count(table); i++) {
		struct inode *inode = inode_at(table, i);
		int sync_fd = atomic_exchange(&inode->sync_fd, -1);

		close_fd(&sync_fd);
		close_fd(&inode->fd);
	}
	inode_fd_destroy(table);
	close_fd(&table->pressure_fd);
	pool_destroy(&table->pool);
	if (table->more)
		(void)munmap(table->more, INODE_MORE_ROWS * sizeof(struct inode)); /* ours */
	/* nobody has them: the threads have ended */
	(void)pthread_mutex_destroy(&table->more_mutex);
	(void)pthread_mutex_destroy(&table->mutex);
	table->more = NULL;
	atomic_store(&table->more_made, 0);
	table->count = 0;
}

static uint64_t mix(uint64_t dev, uint64_t ino)
{
	return mix_bits(ino + dev * 0x9e3779b97f4a7c15ull);
}

static uint32_t *bucket(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	return &table->buckets[mix(dev, ino) & table->bucket_mask];
}

/* Makes a piece of rows beyond the arena's. 0 where there is one free now; -ENFILE. */
static int make_more(struct inode_table *table)
{
	uint32_t first, made;
	bool enough;

	mutex_lock(&table->more_mutex);
	mutex_lock(&table->mutex);
	enough = table->more_free != POOL_NONE;
	made = atomic_load(&table->more_made);
	mutex_unlock(&table->mutex);
	if (!enough && (made + MORE_PIECE > table->more_max ||
			mprotect(&table->more[made], MORE_PIECE * sizeof(struct inode),
				 PROT_READ | PROT_WRITE) < 0)) {
		mutex_unlock(&table->more_mutex);
		return -ENFILE;
	}
	if (!enough) {
		first = table->count + made;
		for (uint32_t i = 0; i < MORE_PIECE; i++) {
			clear_row(&table->more[made + i]);
			if (i + 1 < MORE_PIECE)
				table->more[made + i].hash_next = first + i + 1;
		}
		mutex_lock(&table->mutex);
		table->more[made + MORE_PIECE - 1].hash_next = table->more_free;
		table->more_free = first;
		atomic_store(&table->more_made, made + MORE_PIECE);
		mutex_unlock(&table->mutex);
	}
	mutex_unlock(&table->more_mutex);
	return 0;
}

/* The table's mutex is held. A free row, or POOL_NONE: make_more(). */
static uint32_t take_row(struct inode_table *table)
{
	uint32_t row = pool_take(&table->pool);

	if (row == POOL_NONE && table->more_free != POOL_NONE) {
		row = table->more_free;
		table->more_free = inode_at(table, row)->hash_next;
	}
	return row;
}

/* The table's mutex is held. */
static void put_row(struct inode_table *table, uint32_t row)
{
	if (row < table->count) {
		pool_put(&table->pool, row);
	} else {
		inode_at(table, row)->hash_next = table->more_free;
		table->more_free = row;
	}
}

static struct candidate candidate_of(const struct statx *stx)
{
	return (struct candidate){
		.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.ino = stx->stx_ino,
		.mount_id = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0,
		.mode = stx->stx_mode & S_IFMT,
	};
}

/* Asks for what takes system calls, and isn't always needed. */
static void identify(struct candidate *candidate, int fd, const struct statx *stx)
{
	handle_read(fd, stx, &candidate->handle);
	candidate->is_lasting = handle_is_lasting(fd);
	candidate->has_identity = true;
}

/* The table's mutex is held. INODE's number can't be given to another file. */
static bool keeps_number(const struct inode_table *table, const struct inode *inode)
{
	return inode->fd >= 0 && inode->mount < INODE_MOUNTS &&
	       table->mounts[inode->mount].is_lasting;
}

/* The table's mutex is held. dev, ino and mode are the same already. */
static bool is_same_inode(const struct inode_table *table, const struct inode *inode,
			  const struct candidate *candidate)
{
	return keeps_number(table, inode) || handle_equal(&inode->handle, &candidate->handle);
}

/*
 * The table's mutex is held. 0 with the row that is CANDIDATE, -ENOENT where there is none, -EAGAIN
 * where its identity has to be known to tell.
 */
static int find(struct inode_table *table, const struct candidate *candidate,
		struct inode **ret_inode)
{
	uint32_t row = *bucket(table, candidate->dev, candidate->ino);

	for (; row != POOL_NONE; row = inode_at(table, row)->hash_next) {
		struct inode *inode = inode_at(table, row);

		if (inode->ino != candidate->ino || inode->dev != candidate->dev ||
		    inode->mode != candidate->mode || inode->mount_id != candidate->mount_id)
			continue;
		if (!keeps_number(table, inode) && !candidate->has_identity)
			return -EAGAIN;
		if (!is_same_inode(table, inode, candidate))
			continue;
		*ret_inode = inode;
		return 0;
	}
	return -ENOENT;
}

/*
 * The table's mutex is held. The primary row of CANDIDATE's inode, which is known by another mount;
 * ROW where it isn't. Directories share nothing.
 */
static uint32_t find_primary(struct inode_table *table, const struct candidate *candidate,
			     uint32_t row)
{
	uint32_t other = *bucket(table, candidate->dev, candidate->ino);

	for (; other != POOL_NONE; other = inode_at(table, other)->hash_next) {
		struct inode *inode = inode_at(table, other);

		if (S_ISREG(candidate->mode) && inode->ino == candidate->ino &&
		    inode->dev == candidate->dev && inode->mode == candidate->mode &&
		    is_same_inode(table, inode, candidate))
			return inode->primary;
	}
	return row;
}

/* The nodeid that leads back to CANDIDATE, or 0. */
static uint64_t exported_nodeid(const struct inode_table *table, const struct candidate *candidate)
{
	uint64_t nodeid = 0;

	if (table->export_off && candidate->mount_id == table->mounts[0].id)
		nodeid = handle_pack(&candidate->handle, &inode_at(table, ROOT_ROW)->handle,
				     table->export_off);
	return nodeid > FUSE_ROOT_ID && (uint32_t)nodeid == candidate->ino ? nodeid : 0;
}

/* The table's mutex is held. No two rows have the same one. */
static void choose_nodeid(struct inode_table *table, struct inode *inode, uint32_t row,
			  const struct candidate *candidate)
{
	uint64_t nodeid = exported_nodeid(table, candidate);

	inode->exported = nodeid && !inode_by_nodeid(table, nodeid);
	if (!inode->exported) {
		do {
			nodeid = (uint64_t)inode->tenancy << 32 | (row + 1);
		} while (inode_by_nodeid(table, nodeid) && ++inode->tenancy);
	}
	inode->nodeid = nodeid;
}

/* The table's mutex is held. Takes *FD, and ROW, which is the caller's. */
static struct inode *insert(struct inode_table *table, uint32_t row, int *fd,
			    const struct candidate *candidate)
{
	uint32_t *head = bucket(table, candidate->dev, candidate->ino);
	struct inode *inode = inode_at(table, row);

	assert(!inode->used && inode->fd < 0);
	choose_nodeid(table, inode, row, candidate);
	inode->used = true;
	inode->dev = candidate->dev;
	inode->ino = candidate->ino;
	inode->mode = candidate->mode;
	inode->mount_id = candidate->mount_id;
	inode->handle = candidate->handle;
	inode->sharers = 0;
	inode->primary = find_primary(table, candidate, row);
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
	atomic_store(&inode->drops, 0);
	atomic_store(&inode->drop_due, false);
	atomic_store(&inode->drop_owed, 0);
	inode->seen = (struct inode_seen){ 0 };
	inode->hash_next = *head;
	*head = row;
	inode_fd_install(table, inode, fd);
	atomic_fetch_add(&table->used, 1);
	return inode;
}

/* What rows that are given back leave to be closed. */
struct leftover {
	int fds[4]; /* of a row and its mount, of the primary one and its mount */
	uint32_t count;
};

static void leave(struct leftover *leftover, int fd)
{
	assert(leftover->count < ARRAY_SIZE(leftover->fds));
	leftover->fds[leftover->count++] = fd;
}

/*
 * The table's mutex is held. Frees the row if nothing holds it. One that only its sharers hold
 * loses its descriptor: it isn't to keep its mount busy.
 */
static void remove_row(struct inode_table *table, struct inode *inode, struct leftover *leftover)
{
	uint32_t row = inode_row(table, inode);
	uint32_t *link;

	if (inode->nlookup || inode->opens || row == ROOT_ROW)
		return;
	leave(leftover, inode_fd_take(table, inode));
	if (inode->sharers)
		return;
	for (link = bucket(table, inode->dev, inode->ino); *link != row;
	     link = &inode_at(table, *link)->hash_next)
		assert(*link != POOL_NONE);
	*link = inode->hash_next;
	inode->hash_next = POOL_NONE;
	inode->tenancy++;
	inode->used = false;
	leave(leftover, inode_mount_put(table, inode->mount));
	atomic_fetch_sub(&table->used, 1);
	atomic_fetch_add(&table->freed, 1);
	put_row(table, row);
}

/* The table's mutex is held. The same, and what then becomes of its primary row. */
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
 * Closing the last descriptor of an unlinked file truncates it, which may take long: not under the
 * mutex.
 */
static void close_leftover(struct leftover *leftover)
{
	for (uint32_t i = 0; i < leftover->count; i++)
		close_fd(&leftover->fds[i]);
}

/* Whether STX is of the root of a filesystem, all of which lies below it then. */
static bool is_whole(const struct statx *stx)
{
	autofree char *path = NULL;
	struct mountinfo mount;

	return (stx->stx_attributes & STATX_ATTR_MOUNT_ROOT) && (stx->stx_mask & STATX_MNT_ID) &&
	       mountinfo_find_id((uint32_t)stx->stx_mnt_id, &mount, &path) == 0 && mount.is_whole;
}

int inode_table_set_root(struct inode_table *table, int root_fd)
{
	struct candidate candidate;
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
	candidate = candidate_of(&stx);
	identify(&candidate, fd, &stx);
	r = inode_reserve(table, &row);
	if (r < 0)
		return r;
	mutex_lock(&table->mutex);
	root = insert(table, row, &fd, &candidate);
	root->nlookup = 1; /* the mount itself, which never forgets it */
	mutex_unlock(&table->mutex);
	assert(inode_row(table, root) == ROOT_ROW && root->nodeid == FUSE_ROOT_ID);
	table->devices[0] = root->dev;
	table->device_count = 1;
	r = inode_mount_probe(table, root->mount, root->fd);
	table->may_not_reopen = r == -EPERM;
	if (r == 0 && is_whole(&stx))
		table->export_off = handle_generation_off(root->fd, &root->handle);
	if (getrandom(&table->unexported, sizeof(table->unexported), 0) !=
	    sizeof(table->unexported))
		return -EIO;
	table->unexported |= UNEXPORTED;
	return 0;
}

struct inode *inode_by_nodeid(struct inode_table *table, uint64_t nodeid)
{
	uint32_t row = (uint32_t)nodeid - 1;
	struct inode *inode;

	if (row < row_count(table)) {
		inode = inode_at(table, row);
		if (inode->used && inode->nodeid == nodeid)
			return inode;
	}
	if (!table->export_off)
		return NULL;
	row = *bucket(table, table->devices[0], (uint32_t)nodeid);
	while (row != POOL_NONE && inode_at(table, row)->nodeid != nodeid)
		row = inode_at(table, row)->hash_next;
	return row == POOL_NONE ? NULL : inode_at(table, row);
}

uint32_t inode_generation(const struct inode_table *table, const struct inode *inode)
{
	if (inode->nodeid == FUSE_ROOT_ID)
		return 0; /* as the kernel has it */
	return inode->exported && !zone_is_file(&inode->zone) ? EXPORTED : table->unexported;
}

/* The inode of NODEID, which isn't known. */
static int open_forgotten(struct inode_table *table, uint64_t nodeid, int *ret_fd)
{
	struct handle handle, found;
	autoclose int fd = -1;
	int r;

	handle_unpack(nodeid, &inode_at(table, ROOT_ROW)->handle, table->export_off, &handle);
	r = handle_open(table->mounts[0].fd, &handle, O_PATH, &fd);
	if (r < 0)
		return r;
	/* some take a generation of 0 for any */
	handle_read(fd, &(struct statx){ 0 }, &found);
	if (!handle_equal(&handle, &found))
		return -ESTALE;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int inode_open_exported(struct inode_table *table, uint64_t nodeid, bool parent, int *ret_fd)
{
	struct inode *inode = inode_get(table, nodeid);

	if (inode && parent && (!inode->exported || !S_ISDIR(inode->mode)))
		return -ESTALE;
	if (inode) {
		/* "." of what isn't a directory can't be opened */
		*ret_fd = parent ? openat(inode->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
				 : fcntl(inode->fd, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? -errno : 0;
	}
	return parent || !table->export_off ? -ESTALE : open_forgotten(table, nodeid, ret_fd);
}

uint32_t inode_list_sharers(struct inode_table *table, const struct inode *primary,
			    uint64_t *nodeids, uint32_t max)
{
	uint32_t count = 0, row;

	mutex_lock(&table->mutex);
	for (row = *bucket(table, primary->dev, primary->ino); row != POOL_NONE && count < max;
	     row = inode_at(table, row)->hash_next) {
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

int inode_reserve(struct inode_table *table, uint32_t *ret_row)
{
	uint32_t row;
	int r = 0;

	do {
		mutex_lock(&table->mutex);
		row = take_row(table);
		mutex_unlock(&table->mutex);
		if (row == POOL_NONE)
			r = make_more(table);
	} while (row == POOL_NONE && r == 0);
	if (r < 0) {
		atomic_fetch_add(&table->refusals, 1);
		return r;
	}
	*ret_row = row;
	return 0;
}

void inode_unreserve(struct inode_table *table, uint32_t row)
{
	mutex_lock(&table->mutex);
	put_row(table, row);
	mutex_unlock(&table->mutex);
}

/*
 * The table's mutex is held. In *ROW, or where that is POOL_NONE in any. NULL where there is none.
 */
static struct inode *insert_at(struct inode_table *table, uint32_t *row, int *fd,
			       const struct candidate *candidate)
{
	uint32_t taken = *row == POOL_NONE ? take_row(table) : *row;

	*row = POOL_NONE;
	return taken == POOL_NONE ? NULL : insert(table, taken, fd, candidate);
}

/* As inode_remember(), which has no *ROW, or inode_remember_at(). */
static int remember(struct inode_table *table, uint32_t *row, int *fd, const struct statx *stx,
		    struct inode **ret_inode)
{
	struct candidate candidate = candidate_of(stx);
	struct inode *inode;
	int r;

	do {
		inode = NULL;
		mutex_lock(&table->mutex);
		r = find(table, &candidate, &inode);
		if (r == 0) {
			inode->warm = inode->recent = true;
			inode_fd_install(table, inode, fd);
		} else if (r == -ENOENT && candidate.has_identity) {
			inode = insert_at(table, row, fd, &candidate);
		}
		if (inode)
			inode->nlookup++;
		mutex_unlock(&table->mutex);

		r = 0;
		if (!inode && candidate.has_identity)
			r = make_more(table);
		else if (!inode)
			identify(&candidate, *fd, stx);
	} while (!inode && r == 0);

	close_fd(fd); /* of a known inode, or of one that there is no room for */
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

void inode_forget(struct inode_table *table, uint64_t nodeid, uint64_t count)
{
	struct leftover leftover = { 0 };
	struct inode *inode;

	mutex_lock(&table->mutex);
	inode = inode_by_nodeid(table, nodeid);
	if (inode && inode_row(table, inode) != ROOT_ROW) {
		inode->nlookup -= MIN(count, inode->nlookup);
		remove_unused(table, inode, &leftover);
	}
	mutex_unlock(&table->mutex);
	close_leftover(&leftover);
}

void inode_pin_name(struct inode_table *table, int dir_fd, const char *name)
{
	struct candidate candidate;
	autoclose int fd = -1;
	struct inode *inode;
	struct statx stx;
	int r;

	if (store_open_child(dir_fd, name, &fd) < 0 || store_statx(fd, INODE_STATX_MASK, &stx) < 0)
		return;
	candidate = candidate_of(&stx);
	do {
		mutex_lock(&table->mutex);
		r = find(table, &candidate, &inode);
		if (r == 0) {
			inode_fd_pin(inode);
			inode_fd_install(table, inode, &fd);
		}
		mutex_unlock(&table->mutex);
		if (r == -EAGAIN)
			identify(&candidate, fd, &stx);
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

/* The table's mutex is held. INODE has lost an opener. Returns a descriptor to close, or -1. */
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

int inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		    uint64_t len, uint64_t capacity_len)
{
	struct inode *primary = inode_primary(table, inode);
	int r = 0;

	mutex_lock(&table->mutex);
	if (zone_is_file(&primary->zone))
		r = 0; /* by another look-up */
	else if (primary->opens)
		r = -EBUSY;
	else
		zone_init(&primary->zone, kind, len, capacity_len);
	mutex_unlock(&table->mutex);
	return r;
}

bool inode_is_pressed(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 4;
}

bool inode_is_tight(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 8 &&
	       atomic_load(&table->prunable);
}

void inode_press(struct inode_table *table)
{
	uint64_t one = 1;

	if (!atomic_exchange(&table->pressed, true))
		(void)!write(table->pressure_fd, &one, sizeof(one)); /* far from its end */
}

void inode_relieve(struct inode_table *table)
{
	atomic_store(&table->pressed, false);
}

/* The table's mutex is held. Whether the row is idle; a warm one is the next time. */
static bool is_idle(const struct inode_table *table, struct inode *inode)
{
	bool warm = inode->warm;

	if (!inode->nlookup || inode->opens || inode_row(table, inode) == ROOT_ROW)
		return false;
	inode->warm = false;
	return !warm;
}

uint32_t inode_collect(struct inode_table *table, uint32_t *hand, uint64_t *nodeids, uint32_t max,
		       bool (*is_wanted)(const struct inode_table *table, struct inode *inode))
{
	uint32_t count = row_count(table), found = 0, left = count;

	while (left && found < max) {
		/* in pieces: the workers want the mutex too */
		uint32_t piece = MIN(left, COLLECT_ROWS);

		mutex_lock(&table->mutex);
		for (; piece && found < max; piece--, left--) {
			struct inode *inode = inode_at(table, *hand);

			*hand = (*hand + 1) % count;
			if (is_wanted(table, inode))
				nodeids[found++] = inode_nodeid(table, inode);
		}
		mutex_unlock(&table->mutex);
	}
	return found;
}

uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max)
{
	return inode_collect(table, hand, nodeids, max, is_idle);
}

/* The number of filesystem DEV, which isn't the root's. */
static uint32_t device_number(struct inode_table *table, uint64_t dev)
{
	uint32_t number;

	mutex_lock(&table->mutex);
	for (number = 1; number < table->device_count; number++) {
		if (table->devices[number] == dev)
			break;
	}
	if (number == table->device_count && number < INODE_DEVICES) {
		table->devices[number] = dev;
		table->device_count++;
	}
	mutex_unlock(&table->mutex);
	if (number == INODE_DEVICES)
		number += (uint32_t)(mix(dev, 0) % (DEVICE_NUMBERS - INODE_DEVICES));
	return number;
}

uint64_t inode_shown_ino(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	/* the root's doesn't change, so it needs no lock */
	if (dev == table->devices[0])
		return ino;
	return ino ^ (uint64_t)device_number(table, dev) << DEVICE_SHIFT;
}

void inode_record_error(struct inode *inode, int error)
{
	assert(error < 0);
	atomic_store(&inode->error, error);
	atomic_fetch_add(&inode->error_seq, 1); /* after it: whoever sees the count sees an error */
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
	if (inode && atomic_load(&inode->drops)) /* not if it has come again */
		atomic_fetch_sub(&inode->drops, 1);
	mutex_unlock(&table->mutex);
}
