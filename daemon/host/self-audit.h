/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The self-audit: the server reads from /proc whether all its tasks are marked (S1) and all its
 * memory is locked (S3). It runs before the first request is answered, and then as a periodic duty
 * (duties.h). It reads what the kernel says, not what we think we did. It costs some 10 ms for each
 * GiB of locked memory (caisson/reclaim.h), on a thread that no data request waits for. No
 * allocation.
 */
#ifndef CAISSON_SELF_AUDIT_H
#define CAISSON_SELF_AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SELF_AUDIT_KNOWN 32 /* unmarked tasks that were logged */

struct self_audit {
	/* set by the caller */
	const char *mountpoint; /* for messages */
	bool require_io_flusher, require_mlock;
	pid_t keeper;

	/* results of the last audit, for status */
	uint64_t tasks, tasks_unmarked;
	uint64_t alarms; /* unmarked tasks that appeared, and audits that failed, since the start */
	bool io_flusher; /* all tasks are marked */
	bool mlock;	 /* all memory is locked */

	pid_t known[SELF_AUDIT_KNOWN]; /* a ring: the newest overwrites the oldest */
	uint32_t known_next;
	int error; /* the last audit's, so that it is logged once */
	bool told_unlocked;
};

/*
 * The first audit, before serving: all threads, rings and io-wq workers exist and memory is locked.
 * Audits the keeper as well, which makes no tasks later. Prefaults the stack that audits need.
 * Returns 0; -EPERM if the mark or the lock is required and missing (EXIT_UNSAFE); or another
 * -errno; each is logged.
 */
int self_audit_start(struct self_audit *self);

/* Audits again. Logs and counts what is new. The main thread. */
void self_audit_run(struct self_audit *self);

#endif
