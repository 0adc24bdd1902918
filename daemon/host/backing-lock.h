/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock that keeps a second daemon from serving a BACKING. It isn't a lock of BACKING itself,
 * which anybody who can open that could take: it is one byte, at an offset computed from BACKING's
 * device and inode number, of a file that only the daemon's own user can open.
 */
#ifndef CAISSON_BACKING_LOCK_H
#define CAISSON_BACKING_LOCK_H

#include <limits.h>

struct backing_lock {
	int fd;
	char path[PATH_MAX]; /* of the file; "" where there is no place for it */
};

/*
 * Takes the lock of the directory ROOT_FD. It belongs to the open file, which a forked child
 * shares: it lasts until all of them have closed it, whatever their end. Any path to the directory
 * leads to the same lock. Returns 0; -EBUSY where another daemon of the same user has it; or what
 * runtime_dir_make() and open(2) fail with, -EPERM also where others can open the file.
 */
int backing_lock_take(struct backing_lock *lock, int root_fd);
void backing_lock_drop(struct backing_lock *lock);

#endif
