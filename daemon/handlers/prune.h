/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking the kernel to give inodes back.
 *
 * The kernel holds every inode that it has looked up until its own memory is short, so on a large
 * tree the inode table fills up, and has to take more memory than was planned. Answering with an
 * entry timeout of 0 doesn't help: since Linux 5.9 only virtiofs drops expired dentries at their
 * last use (fuse_dentry_settime() in fs/fuse/dir.c). So when the table runs short, or descriptors
 * do that can't be dropped (inode-fd.h), a thread of its own names inodes that only the kernel's
 * cache holds in a FUSE_NOTIFY_PRUNE (7.45); the kernel drops those that nobody uses, and they come
 * back as FORGET.
 *
 * Where the kernel lacks that notification, the table grows. FUSE_NOTIFY_INVAL_ENTRY is no way out:
 * it drops what is in use or mounted upon too, and it waits for the directory's lock, which a
 * client may hold while it waits for an answer; a thread in that wait can't be killed, and a server
 * with such a thread never ends.
 */
#ifndef CAISSON_PRUNE_H
#define CAISSON_PRUNE_H

#include <stdatomic.h>
#include <stdint.h>

struct fs;

struct prune {
	struct fs *fs;
	int stop_fd;		/* eventfd */
	uint32_t hand;		/* row from which the next search goes on */
	_Atomic uint64_t asked; /* inodes asked for, for status */
};

/* FS's tables exist. Returns 0 or -errno. */
int prune_init(struct prune *prune, struct fs *fs);
void prune_destroy(struct prune *prune);

/*
 * The body of the thread: until prune_stop(), waits for the inode table to be pressed and asks for
 * an eighth of what is in use, through DEV_FD, any descriptor of the mounted connection. Where the
 * kernel refuses, it only waits for its end; the table's `prunable` tells which it is.
 *
 * Not to be run by a thread that answers requests: to drop an inode the kernel may wait for pages
 * of it that are being written, to us.
 */
void prune_run(struct prune *prune, int dev_fd);

/* Any thread. prune_run() returns soon. */
void prune_stop(struct prune *prune);

#endif
