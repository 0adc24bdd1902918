/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/inode-identity.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "store/inode-rows.h"
#include "store/inode.h"

struct inode_candidate inode_candidate_of(const struct statx *stx)
{
	return (struct inode_candidate){
		.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.ino = stx->stx_ino,
		.mount_id = stx->stx_mask & STATX_MNT_ID ? stx->stx_mnt_id : 0,
		.mode = stx->stx_mode & S_IFMT,
	};
}

void inode_identify(struct inode_candidate *candidate, int fd, const struct statx *stx)
{
	handle_read(fd, stx, &candidate->handle);
	candidate->is_lasting = handle_is_lasting(fd);
	candidate->has_identity = true;
}

/* Whether no other inode can have INODE's number at present. The mutex is held. */
static bool keeps_number(const struct inode_table *table, const struct inode *inode)
{
	return inode->fd >= 0 && inode->mount < INODE_MOUNTS &&
	       table->common->mounts[inode->mount].is_lasting;
}

/*
 * Whether INODE is CANDIDATE, given that both have the same dev, ino and mode. The mutex is held.
 */
static bool is_same_inode(const struct inode_table *table, const struct inode *inode,
			  const struct inode_candidate *candidate)
{
	return keeps_number(table, inode) || handle_equal(&inode->handle, &candidate->handle);
}

int inode_find(struct inode_table *table, const struct inode_candidate *candidate,
	       struct inode **ret_inode)
{
	uint32_t row = *inode_bucket(table, candidate->dev, candidate->ino);

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

uint32_t inode_find_primary(struct inode_table *table, const struct inode_candidate *candidate,
			    uint32_t row)
{
	uint32_t other = *inode_bucket(table, candidate->dev, candidate->ino);

	for (; other != POOL_NONE; other = inode_at(table, other)->hash_next) {
		struct inode *inode = inode_at(table, other);

		if (S_ISREG(candidate->mode) && inode->ino == candidate->ino &&
		    inode->dev == candidate->dev && inode->mode == candidate->mode &&
		    is_same_inode(table, inode, candidate))
			return inode->primary;
	}
	return row;
}

struct inode *inode_by_nodeid(struct inode_table *table, uint64_t nodeid)
{
	uint32_t row = (uint32_t)nodeid - 1;
	struct inode *inode;

	if (row < inode_row_count(table)) {
		inode = inode_at(table, row);
		if (inode->used && inode->nodeid == nodeid)
			return inode;
	}
	if (!table->common->export_off)
		return NULL;
	row = *inode_bucket(table, table->common->devices[0], (uint32_t)nodeid);
	while (row != POOL_NONE && inode_at(table, row)->nodeid != nodeid)
		row = inode_at(table, row)->hash_next;
	return row == POOL_NONE ? NULL : inode_at(table, row);
}
