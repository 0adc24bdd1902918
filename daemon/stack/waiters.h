/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tasks of the machine that wait in the kernel for storage: in state D, or for the answer to a
 * FUSE request. Each look notes what every one waits for, and since when. One thread uses it.
 */
#ifndef CAISSON_WAITERS_H
#define CAISSON_WAITERS_H

#include "stack/flow.h"
#include "stack/held.h"
#include "stack/sights.h"
#include "stack/stack.h"
#include "stack/wait.h"

#define WAITERS_MAX 4096

/* A node of whatever graph. */
struct node_name {
	enum node_kind kind;
	uint64_t number;
};

struct waiter {
	pid_t pid, tid;
	char comm[64];	/* a worker of the kernel tells what it works for: "kworker/0:1+loop0" */
	unsigned flags; /* of the task (stat) */
	struct wait wait;
	bool is_guess;	  /* the stack can't be read: `wait` is by its innermost function */
	bool is_called;	  /* its system call was read since it last ran */
	bool is_held;	  /* it was noted by what is held of it (held.h) */
	uint64_t runs;	  /* how often it has run, or 0 */
	int64_t since_ms; /* since when it was seen with this kind of wait at each look */
	int64_t still_ms; /* since when it hasn't run */
	int64_t seen_ms;
	long call;	       /* the number of its system call, or -1 */
	uint64_t arguments[3]; /* of that, the first */
	uint64_t call_hash;    /* of its number and all arguments, or 0 */
	uint32_t place;	       /* the node that it waits for or is in, or GRAPH_NONE */
	struct node_name at;   /* what `place` is called by, which outlives a scan */
};

struct waiters {
	struct stack *stack;
	const struct flow *flow;
	struct waiter waiter[WAITERS_MAX];
	uint32_t count;
	uint32_t left_off;  /* of the last look: tasks for which there was no room */
	uint32_t unread;    /* of the last look: tasks of which nothing can be read in time */
	bool is_blind;	    /* at the last look, all threads that read were lost */
	bool with_sleepers; /* tasks in state S are looked at, too: some wait for FUSE */
	bool is_short;	    /* the last look saw only what is held: files can't be opened */
	bool was_short;	    /* the look before it did */
	int64_t now_ms;	    /* of the look that is under way */
	struct sights *sights;
	struct held held;
};

/*
 * Makes the rest of WAITERS, of which stack and flow are set. Holds at most FILES_MAX files open.
 * Returns 0 or -errno. Starts threads.
 */
int waiters_create(struct waiters *waiters, uint32_t files_max);
void waiters_destroy(struct waiters *waiters);

/*
 * Looks at the tasks that are held, and then at all others but those of this process, unless that
 * takes too long; at the time NOW_MS. Returns 0 or -errno.
 */
int waiters_look(struct waiters *waiters, int64_t now_ms);

/* Whether files can be opened, and tasks be looked at closely: at the last look, and now. */
bool waiters_may_open(const struct waiters *waiters);

/* Finds the nodes again at which they wait: the stack was read anew. */
void waiters_place(struct waiters *waiters);

/* Whether the task is the kernel's own. */
bool waiter_is_of_kernel(const struct waiter *waiter);

/* The device that WAITER, a task of the kernel, works for, by its name; or GRAPH_NONE. */
uint32_t waiter_device(const struct stack *stack, const struct waiter *waiter);

/* What it does, such as "writes", by its system call; "uses" if that isn't known. */
const char *waiter_action(const struct waiter *waiter);

#endif
