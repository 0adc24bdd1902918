/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor: what the server's main thread does at each tick. It audits our own tasks, logs what
 * the data path only counts, and looks how full the backing filesystem is (prealloc.h). No
 * allocation.
 */
#ifndef CAISSON_MONITOR_H
#define CAISSON_MONITOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fs;

/* Totals since the start, of which an increase is worth a line in the log. */
struct monitor_counters {
	uint64_t io_errors;	  /* data requests answered with an error */
	uint64_t protocol_errors; /* messages that didn't parse */
	uint64_t inodes_refused;  /* the inode table was full */
	uint64_t files_refused;	  /* the file table was full */
	uint64_t zone_refusals;	  /* what a zone doesn't allow was asked for */
};

#define MONITOR_KNOWN 32 /* unmarked tasks that have been told of */

struct monitor {
	/* set by the caller */
	const char *mountpoint; /* for messages */
	bool require_io_flusher, require_mlock;
	pid_t keeper;
	struct fs *fs;
	void (*count)(void *arg, struct monitor_counters *ret_counters);
	void *arg;

	/* for status: as of the last audit */
	uint64_t tasks, tasks_unmarked;
	uint64_t alarms; /* unmarked tasks that appeared, and audits that failed */
	bool io_flusher; /* all tasks are marked */
	bool mlock;	 /* all memory is locked */

	uint64_t ticks;
	struct monitor_counters told;
	pid_t known[MONITOR_KNOWN]; /* a ring: the newest overwrites the oldest */
	uint32_t known_next;
	int audit_error; /* the last audit's, so that it is told once */
	bool told_unlocked;
};

/*
 * Audits at once, before serving: when all threads, rings and io-wq workers are there and memory is
 * locked; the keeper's tasks too, which make nothing later. Prefaults the stack that audits take.
 * Returns 0; -EPERM where the mark or the lock is required and isn't there (EXIT_UNSAFE); or
 * another -errno; each logged.
 */
int monitor_start(struct monitor *monitor);

/* To be called each CONTROL_TICK_MS. */
void monitor_tick(struct monitor *monitor);

#endif
