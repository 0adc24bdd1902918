/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor: what the server's main thread does at each tick. It audits our own tasks, tells
 * what the data path only counts, and lets lock requests time out (op-lock.h). No allocation.
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
};

#define MONITOR_KNOWN 32 /* unmarked tasks that were told already */

struct monitor {
	/* set by the caller */
	const char *mountpoint; /* for messages */
	bool require_io_flusher;
	struct fs *fs;
	void (*count)(void *arg, struct monitor_counters *ret_counters);
	void *arg;

	/* for status: as of the last audit */
	uint64_t tasks, tasks_unmarked;
	uint64_t alarms; /* unmarked tasks that appeared, and audits that failed */
	bool io_flusher; /* all tasks are marked */

	uint64_t ticks;
	struct monitor_counters told;
	pid_t known[MONITOR_KNOWN];
	uint32_t known_count;
	int audit_error; /* the last audit's, so that it is told once */
};

/*
 * Audits at once, before serving. Returns 0; -EPERM where the mark is required and a task lacks it;
 * or -errno. Logs nothing on success.
 */
int monitor_start(struct monitor *monitor);

/* To be called each CONTROL_TICK_MS. */
void monitor_tick(struct monitor *monitor);

#endif
