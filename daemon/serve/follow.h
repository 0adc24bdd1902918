/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that follows its client: it keeps to the CPU whose requests it serves, as long as those come
 * one at a time. The client has just gone to sleep there; to wake a CPU that idles takes longer than most
 * of what is asked for, and the kernel, left to itself, chooses such a one.
 *
 * S7: a thread that keeps to a CPU can't leave it where something else has that CPU for itself, such as a
 * client of a real-time class, and requests for this thread would wait as long. So another thread looks
 * now and then, and whoever keeps to a CPU and hasn't moved on since the last look may run anywhere again.
 *
 * All calls but follow_look() are those of the thread.
 */
#ifndef CAISSON_FOLLOW_H
#define CAISSON_FOLLOW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cpus.h"

struct follow {
	pid_t tid;
	struct cpu_set home;  /* all CPUs that the thread had at first */
	_Atomic uint32_t cpu; /* that it keeps to, or CPU_NONE; set before it does, cleared after */
	_Atomic bool freed;   /* … but follow_look() has let it run anywhere since */
	uint32_t lone_cpu;    /* whose the last lone requests were */
	uint64_t lone;	      /* … and how many of them came in a row */
	uint32_t enough;      /* of which the thread follows */
	uint64_t seen;	      /* follow_look()'s: the progress at the last look */
};

/* Returns 0 or -errno. */
int follow_init(struct follow *follow);

/* Keeps to CPU from now on, if the thread may use it. */
void follow_to(struct follow *follow, uint32_t cpu);

/* A request of CPU's came alone: keeps to CPU where many of those have come in a row. */
void follow_lone(struct follow *follow, uint32_t cpu);

/* A request came that wasn't alone: the kernel knows best where the thread is to run. */
void follow_many(struct follow *follow);

/* The thread is about to end: what follow_look() may find under its number afterwards is another one. */
void follow_end(struct follow *follow);

/*
 * Lets the thread run anywhere if it keeps to a CPU, and PROGRESS, any number that grows with what the
 * thread does, is what it was at the last look. One other thread, from follow_init() on, as long as the
 * thread lives. Doesn't block.
 */
void follow_look(struct follow *follow, uint64_t progress);

#endif
