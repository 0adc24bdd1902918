/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be found wrong before anything is mounted, each with one line in the log and the exit
 * code that the program then ends with. Paths and descriptors are options-check.c's.
 */
#ifndef CAISSON_PREFLIGHT_H
#define CAISSON_PREFLIGHT_H

struct backing_lock;
struct options;
struct store;

/*
 * Whether tasks can be marked (MARKED is what came of trying, 0 or -errno), /dev/fuse and io_uring
 * be had, and enough memory be locked, as far as OPTIONS ask for it. Returns 0 or an exit code.
 */
int preflight_check(const struct options *options, int marked);

/* Opens BACKING and locks it against a second daemon. Returns 0 or an exit code. */
int preflight_open_store(const char *backing, struct store *ret_store,
			 struct backing_lock *ret_lock);

#endif
