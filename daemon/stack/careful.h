/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads files of /proc/PID that take the lock of the process's memory, such as maps and cmdline. A
 * process that hangs in a page fault can hold it for ever. So a child process reads them, and is
 * left alone if it doesn't come back in time; it ends when the lock is free.
 */
#ifndef CAISSON_CAREFUL_H
#define CAISSON_CAREFUL_H

#include "stack/system.h"

struct careful {
	struct system_lines lines; /* NULs of the file are newlines here */
	pid_t child;
};

/* Returns 0, after which careful_close() is due, or -errno. Forks: the caller has one thread. */
int careful_open(const struct system *system, const char *path, struct careful *careful);

/* Returns 0, or -ETIMEDOUT if the file couldn't be read to its end. */
int careful_close(struct careful *careful);

#endif
