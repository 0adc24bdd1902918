/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode-fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "base/mutex.h"
#include "store/inode-identity.h"
#include "store/inode-rows.h"
#include "store/inode.h"
#include "store/store.h"

/*
 * Rows that one thread can pin. A rename pins the most: its two directories and a name in each.
 */
#define PINS_MAX 16u

/* Descriptors that drop() drops at most. */
#define DROP_BATCH 32u

/* Rows that drop() looks at to find them, which takes some microseconds. */
#define DROP_LOOK 1024u

/* Attempts to open an inode while descriptors are short. */
#define REOPEN_TRIES 3

/* The rows that the calling thread has pinned. */
struct pins {
	struct inode *inodes[PINS_MAX];
	uint32_t count;
	int error; /* of opening an inode, -errno; 0: none failed */
};
static __thread struct pins own;

void inode_fd_init(struct inode_table *table)
{
	table->oldest = table->newest = POOL_NONE;
	table->fd_limit = UINT32_MAX;
}

void inode_fd_destroy(struct inode_table *table)
{
	for (uint32_t i = 0; i < INODE_MOUNTS; i++)
		close_fd(&table->common->mounts[i].fd);
}

/* The mutex is held. */
static void unlist(struct inode_table *table, struct inode *inode)
{
	if (inode->older != POOL_NONE)
		inode_at(table, inode->older)->newer = inode->newer;
	else
		table->oldest = inode->newer;
	if (inode->newer != POOL_NONE)
		inode_at(table, inode->newer)->older = inode->older;
	else
		table->newest = inode->older;
	inode->older = inode->newer = POOL_NONE;
	inode->listed = false;
}

/* The mutex is held. */
static void list_as_newest(struct inode_table *table, struct inode *inode)
{
	uint32_t row = inode_row(table, inode);

	inode->older = table->newest;
	inode->newer = POOL_NONE;
	if (inode->older != POOL_NONE)
		inode_at(table, inode->older)->newer = row;
	else
		table->oldest = row;
	table->newest = row;
	inode->listed = true;
}

/* Whether INODE can be opened by its handle, as far as is known. The mutex is held. */
static bool reopens(const struct inode_table *table, const struct inode *inode)
{
	return inode_row(table, inode) != INODE_ROOT_ROW && inode->mount < INODE_MOUNTS &&
	       table->common->mounts[inode->mount].reopens && !table->common->may_not_reopen &&
	       inode->handle.len;
}

void inode_fd_attach(struct inode_table *table, struct inode *inode)
{
	if (inode->fd < 0)
		return;
	atomic_fetch_add(&table->fds, 1);
	if (reopens(table, inode))
		list_as_newest(table, inode);
}

void inode_fd_install(struct inode_table *table, struct inode *inode, int *fd)
{
	if (inode->fd >= 0)
		return;
	inode->fd = steal_fd(fd);
	inode->recent = true;
	inode_fd_attach(table, inode);
}

int inode_fd_take(struct inode_table *table, struct inode *inode)
{
	if (inode->fd < 0)
		return -1;
	if (inode->listed)
		unlist(table, inode);
	atomic_fetch_sub(&table->fds, 1);
	return steal_fd(&inode->fd);
}

void inode_fd_pin(struct inode *inode)
{
	assert(own.count < PINS_MAX);
	own.inodes[own.count++] = inode;
	atomic_fetch_add(&inode->pins, 1);
	inode->recent = true;
}

int inode_unpin(int error)
{
	int failure = own.error;

	while (own.count)
		atomic_fetch_sub(&own.inodes[--own.count]->pins, 1);
	own.error = 0;
	return error == -ESTALE && failure ? failure : error;
}

/* A descriptor that has been taken from its row, to be closed or put back. */
struct dropped {
	struct inode *inode;
	uint16_t mount;
	int fd;
};

/* Takes up to MAX descriptors from rows that can do without them. The mutex is held. */
static uint32_t take_oldest(struct inode_table *table, struct dropped *taken, uint32_t max)
{
	uint32_t found = 0, left = DROP_LOOK;

	while (found < max && left-- && table->oldest != POOL_NONE) {
		struct inode *inode = inode_at(table, table->oldest);

		if (atomic_load(&inode->pins) || inode->opens || inode->recent) {
			inode->recent = false;
			unlist(table, inode);
			list_as_newest(table, inode);
			continue;
		}
		inode->dropping = inode->fd;
		KILL_FENCE();
		taken[found++] = (struct dropped){
			.inode = inode,
			.mount = inode->mount,
			.fd = inode_fd_take(table, inode),
		};
	}
	return found;
}

/*
 * Tries to open the inode behind FD by HANDLE. Returns 0 or -errno: -ESTALE if HANDLE leads to
 * another inode.
 */
static int try_handle(int mount_fd, int fd, const struct handle *handle)
{
	autoclose int again = -1;
	struct statx stx = { 0 }, stx_again = { 0 };
	int r = handle_open(mount_fd, handle, O_PATH, &again);

	if (r == 0)
		r = store_statx(fd, STATX_INO, &stx);
	if (r == 0)
		r = store_statx(again, STATX_INO, &stx_again);
	if (r < 0)
		return r;
	return stx.stx_ino == stx_again.stx_ino && stx.stx_dev_major == stx_again.stx_dev_major &&
			       stx.stx_dev_minor == stx_again.stx_dev_minor
		       ? 0
		       : -ESTALE;
}

/*
 * Opens the directory DIR_FD, not with O_PATH, as a descriptor for handle_open(), and tries it with
 * the directory's own handle. Returns 0 or -errno.
 */
static int try_directory(int dir_fd, int *ret_fd)
{
	autoclose int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct handle handle;
	int r;

	if (fd < 0)
		return -errno;
	handle_read(dir_fd, &(struct statx){ 0 }, &handle);
	if (!handle.len)
		return -EOPNOTSUPP;
	r = try_handle(fd, dir_fd, &handle);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int inode_mount_probe(struct inode_table *table, uint16_t slot, int dir_fd)
{
	struct inode_mount *mount = &table->common->mounts[slot];
	bool is_probed, works;
	autoclose int fd = -1;
	uint64_t id;
	int r;

	mutex_lock(&table->mutex);
	is_probed = mount->is_probed;
	works = mount->reopens && !table->common->may_not_reopen;
	id = mount->id;
	mutex_unlock(&table->mutex);
	if (is_probed || !works)
		return works ? 0 : -EOPNOTSUPP;

	r = try_directory(dir_fd, &fd);
	/* any other error is of this directory or this moment, so another call may succeed */
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	mutex_lock(&table->mutex);
	if (mount->rows && mount->id == id && !mount->is_probed) {
		mount->reopens = r == 0;
		mount->fd = steal_fd(&fd);
		KILL_FENCE();
		mount->is_probed = true;
	}
	mutex_unlock(&table->mutex);
	return r;
}

/*
 * Whether ONE's inode can be opened again by its handle after its descriptor is closed. It can lose
 * its last name meanwhile, but inode_pin_name() gives the row another descriptor before that.
 */
static bool can_close(struct inode_table *table, const struct dropped *one)
{
	struct statx stx;

	return store_statx(one->fd, STATX_NLINK, &stx) == 0 && stx.stx_nlink &&
	       inode_mount_probe(table, one->mount, one->fd) == 0;
}

/* Closes ONE, or gives it back to its row, which may need it. Returns whether it was closed. */
static bool settle(struct inode_table *table, struct dropped *one)
{
	bool closes = can_close(table, one);
	struct inode *inode = one->inode;

	mutex_lock(&table->mutex);
	/* if not, the inode was forgotten, or opened again and dropped by another thread */
	if (inode->dropping == one->fd) {
		if (!closes)
			inode_fd_install(table, inode, &one->fd); /* it may have got another */
		KILL_FENCE();
		inode->dropping = -1;
	}
	mutex_unlock(&table->mutex);
	close_fd(&one->fd);
	return closes;
}

/* Drops up to MAX descriptors. Returns how many. The mutex isn't held. */
static uint32_t drop(struct inode_table *table, uint32_t max)
{
	struct dropped taken[DROP_BATCH];
	uint32_t count, closed = 0;

	mutex_lock(&table->mutex);
	count = take_oldest(table, taken, MIN(max, DROP_BATCH));
	mutex_unlock(&table->mutex);

	for (uint32_t i = 0; i < count; i++)
		closed += settle(table, &taken[i]);
	return closed;
}

void inode_fd_trim(struct inode_table *table)
{
	uint32_t fds = atomic_load(&table->fds);

	/* more than necessary, so that not every call has to drop some */
	if (fds > table->fd_limit && !drop(table, DROP_BATCH))
		inode_press(table);
}

bool inode_make_room(struct inode_table *table)
{
	return drop(table, DROP_BATCH) != 0;
}

bool inode_is_short_of_fds(const struct inode_table *table)
{
	return atomic_load(&table->fds) >= table->fd_limit;
}

/* Opens a descriptor for INODE, which the caller has pinned. Returns 0 or -errno. */
static int reopen(struct inode_table *table, struct inode *inode)
{
	/* a mount's descriptor stays open while the mount has rows */
	int mount_fd = inode->mount < INODE_MOUNTS ? table->common->mounts[inode->mount].fd : -1;
	int fd = -1, r;

	for (int tries = 0; tries < REOPEN_TRIES; tries++) {
		r = handle_open(mount_fd, &inode->handle, O_PATH, &fd);
		if ((r != -EMFILE && r != -ENFILE) || !inode_make_room(table))
			break;
	}
	if (r < 0)
		return r == -EMFILE ? -ENFILE : r;
	mutex_lock(&table->mutex);
	inode_fd_install(table, inode, &fd);
	mutex_unlock(&table->mutex);
	close_fd(&fd); /* still here if another thread was faster */
	inode_fd_trim(table);
	return 0;
}

static struct inode *get(struct inode_table *table, uint64_t nodeid, bool may_wait)
{
	struct inode *inode;
	bool is_open = false;
	int r;

	mutex_lock(&table->mutex);
	inode = inode_by_nodeid(table, nodeid);
	if (inode) {
		is_open = inode->fd >= 0;
		if (is_open || may_wait)
			inode_fd_pin(inode);
		else
			inode = NULL;
	}
	mutex_unlock(&table->mutex);
	if (!inode || is_open)
		return inode;
	r = reopen(table, inode);
	if (r < 0) {
		own.error = r;
		return NULL;
	}
	return inode;
}

struct inode *inode_get(struct inode_table *table, uint64_t nodeid)
{
	return get(table, nodeid, true);
}

struct inode *inode_get_at_hand(struct inode_table *table, uint64_t nodeid)
{
	return get(table, nodeid, false);
}

uint16_t inode_mount_find(const struct inode_table *table, uint64_t id)
{
	for (uint16_t slot = 0; slot < INODE_MOUNTS; slot++) {
		if (table->common->mounts[slot].rows && table->common->mounts[slot].id == id)
			return slot;
	}
	return INODE_MOUNTS;
}

uint16_t inode_mount_get(struct inode_table *table, uint64_t id, bool is_lasting)
{
	uint16_t slot = inode_mount_find(table, id);

	for (uint16_t i = 0; slot == INODE_MOUNTS && i < INODE_MOUNTS; i++) {
		if (!table->common->mounts[i].rows) {
			slot = i;
			table->common->mounts[i] = (struct inode_mount){
				.id = id,
				.fd = -1,
				.is_lasting = is_lasting,
				.reopens = is_lasting,
			};
		}
	}
	if (slot < INODE_MOUNTS)
		table->common->mounts[slot].rows++;
	return slot;
}

int inode_mount_put(struct inode_table *table, uint16_t slot)
{
	if (slot == INODE_MOUNTS || --table->common->mounts[slot].rows)
		return -1;
	return steal_fd(&table->common->mounts[slot].fd);
}
