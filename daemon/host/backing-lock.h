/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backing lock: it keeps a second daemon from serving the same BACKING. A lock on BACKING
 * itself could be taken by anybody who can open that. So the lock is on one byte of a file that
 * only the daemon's own user can open. Its offset is computed from BACKING's device and inode
 * numbers.
 */
#ifndef CAISSON_BACKING_LOCK_H
#define CAISSON_BACKING_LOCK_H

#include <limits.h>

struct backing_lock {
	int fd;
	char path[PATH_MAX]; /* of the file; "": there is no place for it */
};

/*
 * Takes the lock of the directory ROOT_FD. The lock belongs to the open file, which forked children
 * share. It lasts until all of them have closed the file or ended. Any path to the directory leads
 * to the same lock. Returns 0; -EBUSY if another daemon of the same user has it; -EPERM if others
 * can open the file; or an error of runtime_dir_make() or open(2).
 */
int backing_lock_take(struct backing_lock *lock, int root_fd);
void backing_lock_drop(struct backing_lock *lock);

#endif
