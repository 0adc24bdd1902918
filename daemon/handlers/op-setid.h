/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers for changes that clear set-id bits: writes and allocations by others than root to a
 * file that has such bits. Contract: call.h.
 *
 * Which bits go depends on the caller's groups: S_ISGID without S_IXGRP stays if a member of the
 * file's group writes (setattr_should_drop_sgid() in fs/attr.c). So a metadata worker makes the
 * whole change with the caller's identity. The kernel must not go on showing the old mode, or
 * executing the file by it: it is notified before the answer.
 *
 * These handlers are used for files whose set-id bits the kernel knows (inode->setid). Of all
 * others the kernel shows none, and the data path clears what bits they may have by its io's
 * identity.
 */
#ifndef CAISSON_OP_SETID_H
#define CAISSON_OP_SETID_H

struct call;
struct fs;
struct inode;

/*
 * What of a WRITE is a worker's: to a file with set-id bits, all of it; of a zone, its repair
 * (op_zone_repair()).
 */
int op_worker_write(struct call *call);

/* FALLOCATE of such a file. */
int op_worker_fallocate(struct call *call);

/*
 * INODE, a primary row, was changed by somebody who clears set-id bits: tells the kernel if it
 * knows of any.
 */
void op_setid_cleared(struct fs *fs, struct inode *inode);

#endif
