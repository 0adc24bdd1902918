/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Handlers for data requests that the queues can't do: writes and allocations that clear set-id
 * bits, because the caller isn't root, and appending writes that a process had begun that has died.
 * call.h has the contract.
 *
 * It depends on the caller's groups which bits are cleared: S_ISGID without S_IXGRP stays if a
 * member of the file's group writes (setattr_should_drop_sgid() in fs/attr.c). Therefore a metadata
 * worker makes the whole change with the caller's identity. The kernel is notified before the
 * answer. Otherwise it would still show the old mode, or execute the file with it.
 *
 * As for set-id bits, they serve only files of which the kernel knows some (inode->setid). For all
 * other files the kernel shows no such bits. If they have some on the disk, the data path clears
 * them, because its I/O has no CAP_FSETID.
 */
#ifndef CAISSON_OP_SETID_H
#define CAISSON_OP_SETID_H

struct call;
struct fs;
struct inode;

/*
 * Handles a WRITE on a worker. To a file with set-id bits, it makes the whole write, and to a file
 * that only grows, what is missing of it. For a zone, it repairs the file after a failed write
 * (op_zone_repair()).
 */
int op_worker_write(struct call *call);

/* Handles a FALLOCATE of a file with set-id bits. */
int op_worker_fallocate(struct call *call);

/*
 * Notifies the kernel if it knows set-id bits of INODE, a primary row. Call it after a change that
 * may have cleared them.
 */
void op_setid_cleared(struct fs *fs, struct inode *inode);

#endif
