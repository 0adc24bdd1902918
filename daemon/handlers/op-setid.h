/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes by others than root to a file with set-id bits, which these clear. Contract of the
 * handlers: call.h.
 *
 * Which bits go depends on the caller's groups: S_ISGID without S_IXGRP stays when a member of
 * the file's group writes (setattr_should_drop_sgid() in fs/attr.c). So the whole change is made
 * by a metadata worker with the caller's identity. The kernel must not go on showing, and
 * executing by, the old mode: it is told before the answer.
 *
 * This is only about files of whose set-id bits the kernel has been told (inode->setid). Of any
 * other it shows none, and the data path clears those that it may have by its io's identity.
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
