/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The prune thread asks the kernel to give inodes back.
 *
 * The kernel keeps every inode that it has looked up until its own memory is short. On a large tree
 * the inode table therefore fills up and needs more memory than was planned. An entry timeout of 0
 * doesn't help: since Linux 5.9 only virtiofs drops expired dentries at their last use
 * (fuse_dentry_settime() in fs/fuse/dir.c). So this thread acts when the table is short of rows, or
 * when descriptors are short that can't be dropped (inode-fd.h). It sends a FUSE_NOTIFY_PRUNE
 * (7.45) with inodes that only the kernel's cache holds. The kernel drops those that nobody uses,
 * and sends FORGET for them.
 *
 * If the kernel lacks that notification, the table grows. FUSE_NOTIFY_INVAL_ENTRY can't replace it.
 * It also drops entries that are in use or mounted upon. And it waits for the directory's lock,
 * which a client may hold while it waits for an answer. A thread in that wait can't be killed, so
 * the server would never end.
 */
#ifndef CAISSON_PRUNE_H
#define CAISSON_PRUNE_H

#include <stdatomic.h>
#include <stdint.h>

struct fs;

struct prune {
	struct fs *fs;
	int stop_fd;		/* eventfd */
	uint32_t hand;		/* row where the next search starts */
	_Atomic uint64_t asked; /* inodes that the kernel was asked to give back; for status */
};

/* Call it after the tables of FS were created. Returns 0 or -errno. */
int prune_init(struct prune *prune, struct fs *fs);
void prune_destroy(struct prune *prune);

/*
 * The main function of the thread. Until prune_stop(), it waits for inode_press() and then asks for
 * an eighth of the inodes in use. DEV_FD is any descriptor of the connection. If the kernel
 * refuses, it clears the table's `prunable` and only waits for prune_stop().
 *
 * A thread that answers requests must not run this. To drop an inode, the kernel may wait for its
 * dirty pages, which are written to us.
 */
void prune_run(struct prune *prune, int dev_fd);

/* Makes prune_run() return soon. Any thread. */
void prune_stop(struct prune *prune);

#endif
