/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks for descriptors, and a sweep that closes all others. A process that takes over the
 * descriptors of one that has died finds some that nothing refers to: whatever was being opened or
 * closed at that moment.
 */
#ifndef CAISSON_FD_MARKS_H
#define CAISSON_FD_MARKS_H

#include <stdint.h>

struct fd_marks {
	uint64_t *bits;
	uint32_t count; /* descriptors that there is room for: 0 … count - 1 */
};

/*
 * Makes room for all descriptors that are open now, and all that may be opened until the sweep, as
 * RLIMIT_NOFILE allows: a bit for each. Allocates. Returns 0 or -errno.
 */
int fd_marks_init(struct fd_marks *marks);
void fd_marks_destroy(struct fd_marks *marks);

/*
 * Marks FD. Ignores a negative one, and one beyond the room: the sweep doesn't come that far.
 */
void fd_marks_add(struct fd_marks *marks, int fd);

/* Closes every descriptor that there was room for and that isn't marked. */
void fd_marks_sweep(const struct fd_marks *marks);

/*
 * Closes all descriptors but the standard ones, A and B, or -1. May be called after fork() in a
 * process that had threads.
 */
void fd_close_others(int a, int b);

#endif
