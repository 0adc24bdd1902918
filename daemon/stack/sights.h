/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the tasks of the machine that wait, in a thread of its own: when memory is short, it may
 * take for ever to open a file of /proc. One thread uses it.
 */
#ifndef CAISSON_SIGHTS_H
#define CAISSON_SIGHTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/system.h"

#define SIGHTS_MAX	   128
#define SIGHTS_WORKERS_MAX 128

/* What status tells of a task, the only file with its state that never hangs in execve(2). */
struct sight {
	pid_t pid, tid;
	char comm[64], state;
	unsigned threads; /* of the process */
	uint64_t runs;	  /* context switches, or 0 */
};

struct sights {
	struct system system; /* a copy: the thread may outlive the original */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum { SIGHTS_IDLE, SIGHTS_LOOKING, SIGHTS_READY } state;
	bool is_taken;	  /* READY: its user has seen these */
	bool is_over;	  /* READY: there are no more */
	bool is_given_up; /* LOOKING: nobody waits for it */
	bool is_ending;
	bool with_sleepers;
	pid_t pid;	/* of the process that is looked at */
	uint64_t reads; /* files that were read, of all looks */
	int result;
	struct sight sight[SIGHTS_MAX];
	uint32_t count;
	/* of the kernel, for any CPU; complete after a look, until the next one begins */
	pid_t worker[SIGHTS_WORKERS_MAX];
	uint32_t workers;
};

/* Returns 0 or -errno. The directories of SYSTEM must stay open. */
int sights_start(struct sights *sights, const struct system *system);

/* Ends the thread if it doesn't hang. The memory of SIGHTS must stay if this returns false. */
bool sights_stop(struct sights *sights);

/*
 * Begins to look for tasks in state D or, if WITH_SLEEPERS, S; but not for those of this process.
 * Returns false if it is still at a look that was given up. Otherwise sights_next() is to be called
 * until it returns 0 or less.
 */
bool sights_begin(struct sights *sights, bool with_sleepers);

/*
 * Makes the next of them `sight`. Returns their number; 0: there are no more; -ETIMEDOUT: files
 * are read too slowly, and the look is given up; or -errno.
 */
int sights_next(struct sights *sights);

/* Reads TEXT, what a task's status tells. Returns whether that is all there. */
bool sight_read(struct sight *sight, const char *text);

#endif
