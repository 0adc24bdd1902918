/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode-export.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fuse-kernel.h"
#include "base/mountinfo.h"
#include "store/inode-identity.h"
#include "store/inode-rows.h"
#include "store/inode.h"

/* The generation of exported inodes. Each daemon chooses another one for all others. */
#define EXPORTED 1u

/* A bit that keeps the generation of other inodes from being EXPORTED. */
#define UNEXPORTED 2u

/* Whether STX describes the root of a whole filesystem or subvolume. */
static bool is_whole(const struct statx *stx)
{
	autofree char *path = NULL;
	struct mountinfo mount;

	return (stx->stx_attributes & STATX_ATTR_MOUNT_ROOT) && (stx->stx_mask & STATX_MNT_ID) &&
	       mountinfo_find_id((uint32_t)stx->stx_mnt_id, &mount, &path) == 0 && mount.is_whole;
}

int inode_export_init(struct inode_table *table, const struct inode *root, bool reopens,
		      const struct statx *root_stx)
{
	if (reopens && is_whole(root_stx))
		table->common->export_off = handle_generation_off(root->fd, &root->handle);
	if (getrandom(&table->common->unexported, sizeof(table->common->unexported), 0) !=
	    sizeof(table->common->unexported))
		return -EIO;
	table->common->unexported |= UNEXPORTED;
	return 0;
}

uint64_t inode_exported_nodeid(const struct inode_table *table,
			       const struct inode_candidate *candidate)
{
	uint64_t nodeid = 0;

	if (table->common->export_off && candidate->mount_id == table->common->mounts[0].id)
		nodeid = handle_pack(&candidate->handle, &inode_at(table, INODE_ROOT_ROW)->handle,
				     table->common->export_off);
	return nodeid > FUSE_ROOT_ID && (uint32_t)nodeid == candidate->ino ? nodeid : 0;
}

uint32_t inode_generation(const struct inode_table *table, const struct inode *inode)
{
	if (inode->nodeid == FUSE_ROOT_ID)
		return 0; /* the kernel gives the root this generation itself */
	return inode->exported && !zone_is_file(&inode->zone) ? EXPORTED
							      : table->common->unexported;
}

/* Opens the inode of NODEID, which has no row. */
static int open_forgotten(struct inode_table *table, uint64_t nodeid, int *ret_fd)
{
	struct handle handle, found;
	autoclose int fd = -1;
	int r;

	handle_unpack(nodeid, &inode_at(table, INODE_ROOT_ROW)->handle, table->common->export_off,
		      &handle);
	r = handle_open(table->common->mounts[0].fd, &handle, O_PATH, &fd);
	if (r < 0)
		return r;
	/* on some filesystems, generation 0 opens an inode of any generation */
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
		/* a duplicate, because "." can be opened in directories only */
		*ret_fd = parent ? openat(inode->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
				 : fcntl(inode->fd, F_DUPFD_CLOEXEC, 0);
		return *ret_fd < 0 ? -errno : 0;
	}
	return parent || !table->common->export_off ? -ESTALE
						    : open_forgotten(table, nodeid, ret_fd);
}
