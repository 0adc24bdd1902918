/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Notifications tell the kernel that its copy of an inode's attributes or data is out of date.
 *
 * A notification about attributes sets flags in the kernel's inode and waits for no request, page
 * or file lock (fuse_reverse_inval_inode() in fs/fuse/inode.c). It would wait for an inode that is
 * being evicted, but the kernel doesn't evict an inode that has an unanswered request. Therefore a
 * thread may send one about the inode of the request that it is working on.
 */
#ifndef CAISSON_INVAL_H
#define CAISSON_INVAL_H

#include <stdint.h>

/*
 * Invalidates the kernel's attributes of NODEID, but not its cached pages. The kernel asks for the
 * attributes before it uses them again. Send it before the answer to the request that changed them,
 * so that the client doesn't see old ones. DEV_FD is any /dev/fuse descriptor of the connection,
 * with either transport. Returns 0, also if the kernel doesn't know the inode, or -errno; -ENODEV
 * means that the mount is gone.
 */
int fuse_notify_attributes(int dev_fd, uint64_t nodeid);

/*
 * Invalidates the attributes too, and drops the cached pages of LEN bytes at OFF. This waits for
 * pages that are locked by an unanswered READ or WRITE, so a thread that answers these must not
 * call it.
 */
int fuse_notify_data(int dev_fd, uint64_t nodeid, uint64_t off, uint64_t len);

#endif
