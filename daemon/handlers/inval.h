/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attribute notifications: they tell the kernel that its attributes of an inode are out of date.
 *
 * A notification sets flags in the kernel's inode and waits for no request, page or file lock
 * (fuse_reverse_inval_inode() in fs/fuse/inode.c). It would wait for an inode that is being
 * evicted, but the kernel evicts none while a request on it is unanswered. So a thread may send
 * one about the inode of the request that it is working on.
 */
#ifndef CAISSON_INVAL_H
#define CAISSON_INVAL_H

#include <stdint.h>

/*
 * The kernel asks for the attributes of NODEID before it uses them again; cached pages stay. Sent
 * before the answer to the request that changed them, it is in force when the client goes on.
 * DEV_FD: any /dev/fuse descriptor of the connection, whatever transport serves it. An inode that
 * the kernel doesn't know is fine. Returns 0 or -errno: -ENODEV where the mount has gone.
 */
int fuse_notify_attributes(int dev_fd, uint64_t nodeid);

/*
 * The same of LEN bytes of data at OFF: their pages are dropped. This waits for pages that a READ
 * or WRITE has locked until we answer it, so it is not for a thread that answers those.
 */
int fuse_notify_data(int dev_fd, uint64_t nodeid, uint64_t off, uint64_t len);

#endif
