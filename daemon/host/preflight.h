/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checks before anything is mounted. Each failure is one line in the log and the exit code
 * that the program ends with. options-check.c checks paths and descriptors.
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
