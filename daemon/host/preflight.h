/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checks before anything is mounted. Each failure gives one line in the log and the program's
 * exit code. options-check.c checks paths and limits.
 */
#ifndef CAISSON_PREFLIGHT_H
#define CAISSON_PREFLIGHT_H

struct backing_lock;
struct options;
struct store;

/*
 * Checks that tasks can be marked (MARKED is the result of trying it, 0 or -errno), that /dev/fuse
 * and io_uring can be used, and that enough memory can be locked, as far as OPTIONS require it.
 * Returns 0 or an exit code.
 */
int preflight_check(const struct options *options, int marked);

/* Opens BACKING and locks it against a second daemon. Returns 0 or an exit code. */
int preflight_open_store(const char *backing, struct store *ret_store,
			 struct backing_lock *ret_lock);

#endif
