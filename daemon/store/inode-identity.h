/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identity: which row of the inode table is a given backing inode. Private to inode.c and its
 * parts; inode.h says by what an inode is recognised.
 */
#ifndef CAISSON_INODE_IDENTITY_H
#define CAISSON_INODE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/handle.h"

struct inode;
struct inode_table;
struct statx;

/* A backing inode that was looked up and may not be in the table yet. */
struct inode_candidate {
	uint64_t dev, ino, mount_id;
	uint32_t mode;	      /* S_IFMT bits */
	bool has_identity;    /* inode_identify() has filled in the fields below */
	bool is_lasting;      /* handle_is_lasting() */
	struct handle handle; /* handle_read() */
};

/* The candidate that STX, asked with INODE_STATX_MASK, describes; without its identity. */
struct inode_candidate inode_candidate_of(const struct statx *stx);

/* Fills in CANDIDATE's identity by system calls on FD. The mutex isn't held. */
void inode_identify(struct inode_candidate *candidate, int fd, const struct statx *stx);

/*
 * Finds the row that is CANDIDATE. Returns 0, -ENOENT if there is none, or -EAGAIN if only
 * CANDIDATE's identity can tell and isn't filled in. The mutex is held.
 */
int inode_find(struct inode_table *table, const struct inode_candidate *candidate,
	       struct inode **ret_inode);

/*
 * The primary row of CANDIDATE's inode if it is known through another mount, otherwise ROW.
 * Directories share nothing, so each of their rows is its own primary. The mutex is held.
 */
uint32_t inode_find_primary(struct inode_table *table, const struct inode_candidate *candidate,
			    uint32_t row);

/* The row of NODEID, or NULL. The mutex is held. */
struct inode *inode_by_nodeid(struct inode_table *table, uint64_t nodeid);

#endif
