/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a task waits for, by the functions of the kernel that it is in. Any thread. */
#ifndef CAISSON_WAIT_H
#define CAISSON_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wait_kind {
	WAIT_UNKNOWN,
	WAIT_FINE, /* for what may take any time: a lock on a file, a vfork(2), a thaw of tasks */
	WAIT_THROTTLE, /* until there are fewer dirty pages */
	WAIT_RECLAIM,  /* in memory reclaim: for pages that are written, or for a filesystem */
	WAIT_MEMORY,   /* for memory that others reclaim or free */
	WAIT_FUSE,     /* for the answer to a FUSE request */
	WAIT_NETWORK,  /* for the answer of a network filesystem's server */
	WAIT_FREEZE,   /* until a filesystem is thawed */
	WAIT_IO,       /* for a block device, or a page or journal that is written to one */
	WAIT_LOCK,     /* for another task */
	WAIT_KINDS,
};

struct wait {
	enum wait_kind kind;
	char where[48];	     /* the function that tells the kind, or the innermost one; or "" */
	char filesystem[16]; /* whose functions it is in, such as "xfs"; or "" */
};

/*
 * Classifies STACK, the text of /proc/PID/task/TID/stack: a line for each function, "[<0>]
 * name+0x1/0x2 [module]", the innermost first. A single name, as in wchan, will do.
 */
struct wait wait_classify(const char *stack);

/* Whether it is for memory: one that gets none waits for it and looks for it by turns. */
static inline bool wait_is_for_memory(enum wait_kind kind)
{
	return kind == WAIT_MEMORY || kind == WAIT_RECLAIM;
}

/* Such as "waits for memory". */
const char *wait_text(enum wait_kind kind);

#endif
