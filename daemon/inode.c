/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inode.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "arena.h"
#include "cleanup.h"
#include "macro.h"
#include "mutex.h"
#include "passthrough.h"
#include "store.h"

#define ROOT_ROW 0u

/* Rows that are looked through in one go with the mutex held: some microseconds. */
#define COLLECT_ROWS 1024u

/* Where the filesystem's number goes in an inode number that is shown. */
#define DEVICE_SHIFT   48
#define DEVICE_NUMBERS (1u << (64 - DEVICE_SHIFT))

static uint32_t buckets_for(uint32_t count)
{
	uint32_t buckets = 1;

	while (buckets < count && buckets < 1u << 31)
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
	for (uint32_t i = 0; i < count; i++) {
		table->rows[i] = (struct inode){ .fd = -1, .hash_next = POOL_NONE };
		atomic_init(&table->rows[i].sync_fd, -1);
		atomic_init(&table->rows[i].backing_id, PASSTHROUGH_NONE);
	}
	memset(table->buckets, 0xff, buckets * sizeof(*table->buckets)); /* POOL_NONE */
	return 0;

err_pool:
	pool_destroy(&table->pool);
err_fd:
	close_fd(&table->pressure_fd);
	return r;
}

void inode_table_destroy(struct inode_table *table)
{
	for (uint32_t i = 0; i < table->count; i++) {
		int sync_fd = atomic_exchange(&table->rows[i].sync_fd, -1);

		close_fd(&sync_fd);
		close_fd(&table->rows[i].fd);
	}
	close_fd(&table->pressure_fd);
	pool_destroy(&table->pool);
	(void)pthread_mutex_destroy(&table->mutex); /* nobody has it: the threads have ended */
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

/* The table's mutex is held. */
static struct inode *find(struct inode_table *table, uint64_t dev, uint64_t ino)
{
	uint32_t row = *bucket(table, dev, ino);

	while (row != POOL_NONE) {
		struct inode *inode = &table->rows[row];

		if (inode->ino == ino && inode->dev == dev)
			return inode;
		row = inode->hash_next;
	}
	return NULL;
}

/* The table's mutex is held. Takes *FD if there is a row for it. */
static struct inode *insert(struct inode_table *table, int *fd, const struct statx *stx)
{
	uint64_t dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	uint32_t *head = bucket(table, dev, stx->stx_ino);
	uint32_t row = pool_take(&table->pool);
	struct inode *inode;

	if (row == POOL_NONE)
		return NULL;
	inode = &table->rows[row];
	assert(inode->fd < 0);
	inode->dev = dev;
	inode->ino = stx->stx_ino;
	inode->mode = stx->stx_mode & S_IFMT;
	inode->nlookup = 0;
	inode->opens = 0;
	inode->warm = false;
	inode->fd = steal_fd(fd);
	inode->zone = (struct zone){ 0 };
	atomic_store(&inode->sync_fd, -1);
	atomic_store(&inode->backing_id, PASSTHROUGH_NONE);
	atomic_store(&inode->error_seq, 0);
	atomic_store(&inode->error, 0);
	atomic_store(&inode->known_len, 0);
	atomic_store(&inode->thin, false);
	atomic_store(&inode->setid, false);
	atomic_store(&inode->cached_opens, 0);
	atomic_store(&inode->direct, false);
	inode->hash_next = *head;
	*head = row;
	atomic_fetch_add(&table->used, 1);
	return inode;
}

/* The table's mutex is held. Frees the row if nothing holds it: returns the descriptor, or -1. */
static int remove_unused(struct inode_table *table, struct inode *inode)
{
	uint32_t row = inode_row(table, inode);
	uint32_t *link;

	if (inode->nlookup || inode->opens || row == ROOT_ROW)
		return -1;
	for (link = bucket(table, inode->dev, inode->ino); *link != row;
	     link = &table->rows[*link].hash_next)
		assert(*link != POOL_NONE);
	*link = inode->hash_next;
	inode->hash_next = POOL_NONE;
	inode->generation++;
	atomic_fetch_sub(&table->used, 1);
	atomic_fetch_add(&table->freed, 1);
	return steal_fd(&inode->fd);
}

/*
 * Gives back a row that remove_unused() has freed, whose descriptor was FD. Closing the last
 * descriptor of an unlinked file truncates it, which may take long: not under the mutex.
 */
static void finish_removal(struct inode_table *table, struct inode *inode, int fd)
{
	if (fd < 0)
		return;
	pool_put(&table->pool, inode_row(table, inode));
	close_fd(&fd);
}

int inode_table_set_root(struct inode_table *table, int root_fd)
{
	autoclose int fd = -1;
	struct inode *root;
	struct statx stx;
	int r;

	fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = store_statx(fd, STATX_TYPE | STATX_INO, &stx);
	if (r < 0)
		return r;
	mutex_lock(&table->mutex);
	root = insert(table, &fd, &stx);
	if (root)
		root->nlookup = 1; /* the mount itself, which never forgets it */
	mutex_unlock(&table->mutex);
	if (!root)
		return -ENFILE;
	assert(inode_row(table, root) == ROOT_ROW && root->generation == 0);
	table->devices[0] = root->dev;
	table->device_count = 1;
	return 0;
}

/* The table's mutex is held. */
static struct inode *by_nodeid(struct inode_table *table, uint64_t nodeid)
{
	uint32_t row = (uint32_t)nodeid - 1;
	struct inode *inode;

	if (row >= table->count)
		return NULL;
	inode = &table->rows[row];
	return inode->fd >= 0 && inode->generation == nodeid >> 32 ? inode : NULL;
}

struct inode *inode_get(struct inode_table *table, uint64_t nodeid)
{
	struct inode *inode;

	mutex_lock(&table->mutex);
	inode = by_nodeid(table, nodeid);
	mutex_unlock(&table->mutex);
	return inode;
}

int inode_remember(struct inode_table *table, int *fd, const struct statx *stx,
		   struct inode **ret_inode)
{
	struct inode *inode;

	mutex_lock(&table->mutex);
	inode = find(table, makedev(stx->stx_dev_major, stx->stx_dev_minor), stx->stx_ino);
	if (inode)
		inode->warm = true;
	else
		inode = insert(table, fd, stx);
	if (inode)
		inode->nlookup++;
	mutex_unlock(&table->mutex);

	close_fd(fd); /* of a known inode, or of one that there is no room for */
	if (inode_is_pressed(table))
		inode_press(table);
	if (!inode) {
		atomic_fetch_add(&table->refusals, 1);
		return -ENFILE;
	}
	*ret_inode = inode;
	return 0;
}

void inode_forget(struct inode_table *table, uint64_t nodeid, uint64_t count)
{
	struct inode *inode;
	int fd = -1;

	mutex_lock(&table->mutex);
	inode = by_nodeid(table, nodeid);
	if (inode && inode_row(table, inode) != ROOT_ROW) {
		inode->nlookup -= MIN(count, inode->nlookup);
		fd = remove_unused(table, inode);
	}
	mutex_unlock(&table->mutex);
	finish_removal(table, inode, fd);
}

void inode_hold_open(struct inode_table *table, struct inode *inode)
{
	mutex_lock(&table->mutex);
	inode->opens++;
	mutex_unlock(&table->mutex);
}

void inode_put_open(struct inode_table *table, struct inode *inode)
{
	int32_t backing_id = PASSTHROUGH_NONE;
	int fd = -1, sync_fd = -1;

	mutex_lock(&table->mutex);
	assert(inode->opens > 0);
	if (--inode->opens == 0) {
		atomic_store(&inode->direct, false);
		zone_unload(&inode->zone);
		sync_fd = atomic_exchange(&inode->sync_fd, -1);
		backing_id = atomic_exchange(&inode->backing_id, PASSTHROUGH_NONE);
		fd = remove_unused(table, inode);
	}
	mutex_unlock(&table->mutex);
	close_fd(&sync_fd);
	if (backing_id != PASSTHROUGH_NONE)
		passthrough_close(table->session_fd, backing_id);
	finish_removal(table, inode, fd);
}

void inode_make_zone(struct inode_table *table, struct inode *inode, enum zone_kind kind,
		     uint64_t len, uint64_t capacity_len)
{
	mutex_lock(&table->mutex);
	if (!zone_is_file(&inode->zone))
		zone_init(&inode->zone, kind, len, capacity_len);
	mutex_unlock(&table->mutex);
}

bool inode_is_pressed(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 4;
}

bool inode_is_tight(const struct inode_table *table)
{
	return atomic_load(&table->used) > table->count - table->count / 8 &&
	       atomic_load(&table->evictable);
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

	if (inode->fd < 0 || inode->opens || inode_row(table, inode) == ROOT_ROW)
		return false;
	inode->warm = false;
	return !warm;
}

uint32_t inode_collect_idle(struct inode_table *table, uint32_t *hand, uint64_t *nodeids,
			    uint32_t max)
{
	uint32_t found = 0, left = table->count;

	while (left && found < max) {
		/* in pieces: the workers want the mutex too */
		uint32_t piece = MIN(left, COLLECT_ROWS);

		mutex_lock(&table->mutex);
		for (; piece && found < max; piece--, left--) {
			struct inode *inode = &table->rows[*hand];

			*hand = (*hand + 1) % table->count;
			if (is_idle(table, inode))
				nodeids[found++] = inode_nodeid(table, inode);
		}
		mutex_unlock(&table->mutex);
	}
	return found;
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
