/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tasks of the servers of a stack and, if swap is on a loop device, workers of the kernel; with
 * files of theirs that stay open: what these tasks wait for can be told when there is no memory for
 * another open file. One thread uses it.
 */
#ifndef CAISSON_HELD_H
#define CAISSON_HELD_H

#include "stack/reader.h"
#include "stack/sights.h"
#include "stack/stack.h"
#include "stack/wait.h"

#define HELD_MAX   512
#define HELD_FILES 3 /* of a task */

struct held_task {
	pid_t pid, tid;
	int status_fd, stat_fd, stack_fd;
	bool is_seen;  /* by the update that is under way */
	uint64_t runs; /* when flags and wait were read, or 0; true until it runs again */
	unsigned flags;
	struct wait wait;
};

struct held {
	struct reader *reader; /* for files that are open, and for waiters.c to try to open one */
	struct held_task task[HELD_MAX];
	uint32_t count, max;
	bool is_refused; /* stacks can't be read by this process */
	uint8_t *below;	 /* room for a byte for each of the stack's nodes */
};

/*
 * Holds at most MAX tasks of STACK, a quarter of them of a process, or workers. Starts threads.
 * Returns 0 or -errno.
 */
int held_create(struct held *held, const struct stack *stack, uint32_t max);
void held_destroy(struct held *held);

/*
 * Holds the tasks that STACK's servers have now and, if swap is on a loop device or zloop, the
 * workers that SIGHTS has seen. SIGHTS must have seen all.
 */
void held_update(struct held *held, const struct stack *stack, const struct sights *sights);

/*
 * Calls EACH for every task that is held and in state D or, if WITH_OTHERS, S or R: some of these
 * wait for memory, or look for it. Returns the number of those that couldn't be read in time.
 */
typedef void held_fn(void *arg, const struct held_task *task, const struct sight *sight);
uint32_t held_look(struct held *held, bool with_others, held_fn *each, void *arg);

#endif
