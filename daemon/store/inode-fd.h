/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table's descriptors: how many rows have one, which row loses it, and how it gets it
 * back. Private to inode.c; handlers use inode.h.
 *
 * If more than table->fd_limit rows have a descriptor, the row that was asked for longest ago
 * loses its own. Some rows never do: one that a handler has pinned, one that is open (the open
 * file's descriptors come from it), one whose inode has no name any more, and one whose filesystem
 * may not find an inode by its handle. If nothing can be dropped, the kernel is asked to give
 * inodes back (inode_press()).
 */
#ifndef CAISSON_INODE_FD_H
#define CAISSON_INODE_FD_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct inode_table;

/* Before anything is remembered. */
void inode_fd_init(struct inode_table *table);
void inode_fd_destroy(struct inode_table *table);

/* INODE, which has none, gets the descriptor *FD; otherwise *FD stays. The mutex is held. */
void inode_fd_install(struct inode_table *table, struct inode *inode, int *fd);

/* Takes INODE's descriptor away: the caller's to close, or -1. The mutex is held. */
int inode_fd_take(struct inode_table *table, struct inode *inode);

/* Keeps INODE's descriptor until inode_unpin(). The mutex is held. */
void inode_fd_pin(struct inode *inode);

/* Drops descriptors if there are too many. The mutex isn't held. */
void inode_fd_trim(struct inode_table *table);

/* The slot of mount ID, or INODE_MOUNTS where it has none yet. The mutex is held. */
uint16_t inode_mount_find(const struct inode_table *table, uint64_t id);

/*
 * Counts a row on the mount ID, making a slot for it if there is none and one is free:
 * INODE_MOUNTS where not. The mutex is held. And the reverse: what has to be closed, or -1.
 */
uint16_t inode_mount_get(struct inode_table *table, uint64_t id, bool is_lasting);
int inode_mount_put(struct inode_table *table, uint16_t slot);

/*
 * Whether inodes on the mount of SLOT can be opened by their handles: 0 or -errno. It takes a
 * directory there, DIR_FD. Success counts for good, and so does -EOPNOTSUPP, which is the
 * filesystem's answer. Other errors don't: descriptors may be short at this moment, which is when
 * it is asked; DIR_FD may have no name any more, or be no directory; and the thread may act for a
 * caller without CAP_DAC_READ_SEARCH (-EPERM). The mutex isn't held.
 */
int inode_mount_probe(struct inode_table *table, uint16_t slot, int dir_fd);

#endif
