/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptors of the inode table: which rows have one, which rows lose it when descriptors are
 * short, and how a row gets one again. Private to inode.c and its parts; handlers use inode.h.
 *
 * If more than table->fd_limit rows have a descriptor, the rows that were asked for longest ago
 * lose theirs. A row keeps its descriptor while a handler has pinned it, while an open file holds
 * it, and if its inode can't be found again without: the inode has no name any more, or its
 * filesystem may not find inodes by their handles. If no descriptor can be dropped, the kernel is
 * asked to give inodes back (inode_press()).
 */
#ifndef CAISSON_INODE_FD_H
#define CAISSON_INODE_FD_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct inode_table;

/* To be called before any inode is remembered. */
void inode_fd_init(struct inode_table *table);
void inode_fd_destroy(struct inode_table *table);

/* Takes *FD as INODE's descriptor, unless INODE has one. The mutex is held. */
void inode_fd_install(struct inode_table *table, struct inode *inode, int *fd);

/* Counts the descriptor that INODE may have, in a table that was attached. The mutex is held. */
void inode_fd_attach(struct inode_table *table, struct inode *inode);

/*
 * Takes INODE's descriptor away. Returns it, for the caller to close, or -1. The mutex is held.
 */
int inode_fd_take(struct inode_table *table, struct inode *inode);

/* Keeps INODE's descriptor open until the calling thread's inode_unpin(). The mutex is held. */
void inode_fd_pin(struct inode *inode);

/* Drops descriptors if more rows have one than may. The mutex isn't held. */
void inode_fd_trim(struct inode_table *table);

/* The slot of the mount with ID, or INODE_MOUNTS if it has none. The mutex is held. */
uint16_t inode_mount_find(const struct inode_table *table, uint64_t id);

/*
 * inode_mount_get() counts one more row on the mount with ID and returns the mount's slot. If the
 * mount has no slot it gets a free one; if none is free, the function returns INODE_MOUNTS.
 * inode_mount_put() counts one row less, and returns a descriptor for the caller to close, or -1.
 * The mutex is held.
 */
uint16_t inode_mount_get(struct inode_table *table, uint64_t id, bool is_lasting);
int inode_mount_put(struct inode_table *table, uint16_t slot);

/*
 * Finds out, by trying it with DIR_FD, whether inodes on the mount in SLOT can be opened by their
 * handles. Returns 0 if so, otherwise -errno. 0 and -EOPNOTSUPP are the filesystem's answer and are
 * kept for later calls. Other errors say nothing about the filesystem: descriptors are short,
 * DIR_FD isn't a directory or has lost its name, or the thread acts for a caller without
 * CAP_DAC_READ_SEARCH (-EPERM). The mutex isn't held.
 */
int inode_mount_probe(struct inode_table *table, uint16_t slot, int dir_fd);

#endif
