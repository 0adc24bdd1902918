/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads what may hang in a child process, which is left alone if it doesn't come back in time:
 * files of /proc/PID that take the lock of the process's memory, such as maps and cmdline, which a
 * process that hangs in a page fault can hold for ever; and devices that have to be opened.
 */
#ifndef CAISSON_CAREFUL_H
#define CAISSON_CAREFUL_H

#include "stack/system.h"

struct careful {
	struct system_lines lines; /* what the child has written */
	pid_t child;
};

/* Runs in the child: writes lines to OUT_FD. */
typedef void careful_fn(const struct system *system, const void *arg, int out_fd);

/* Returns 0, after which careful_close() is due, or -errno. Forks: the caller has one thread. */
int careful_run(const struct system *system, careful_fn *fn, const void *arg,
		struct careful *careful);

/* Reads the file PATH. NULs in it become newlines. As careful_run(). */
int careful_open(const struct system *system, const char *path, struct careful *careful);

/* Returns 0, or -ETIMEDOUT if the child didn't come to its end. */
int careful_close(struct careful *careful);

#endif
