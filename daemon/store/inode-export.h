/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Export: nodeids by which an inode is found after the kernel has forgotten it, and by another
 * daemon (inode.h). Private to inode.c and its parts.
 */
#ifndef CAISSON_INODE_EXPORT_H
#define CAISSON_INODE_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct inode_candidate;
struct inode_table;
struct statx;

/*
 * Sets table->export_off and table->unexported. ROOT is the root's row and ROOT_STX describes it.
 * REOPENS says whether inodes can be opened by their handles. Uses stdio: before the seal. Returns
 * 0 or -EIO.
 */
int inode_export_init(struct inode_table *table, const struct inode *root, bool reopens,
		      const struct statx *root_stx);

/* The nodeid that leads back to CANDIDATE, whose identity is known; or 0. The mutex is held. */
uint64_t inode_exported_nodeid(const struct inode_table *table,
			       const struct inode_candidate *candidate);

#endif
