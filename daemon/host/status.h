/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The status of a mount: a struct, and the lines that the control socket answers.
 * tool/status-print.c shows them to users. Nothing is allocated.
 *
 * A line is KEY=VALUE. A value is a decimal number, "yes" or "no", or a string. In a string, \n
 * stands for a newline and \\ for a backslash; all other bytes are as they are. The keys of queue N
 * come last, as queue.N.KEY. An empty line ends the answer, so that a part of it isn't taken for
 * all. A key is never renamed or removed after a release, and never changes its kind, because the
 * tool may be older or newer than the daemon.
 */
#ifndef CAISSON_STATUS_H
#define CAISSON_STATUS_H

#include <stdbool.h>
#include <stdint.h>

struct stats_queue;

#define STATUS_QUEUES 64

struct status_queue {
	uint64_t requests, replies, lost;
	uint64_t reads, read_bytes, writes, write_bytes;
	uint64_t syncs, allocates, buffered, resumed;
	uint64_t errors, protocol_errors;
	uint64_t steals, enters, starved, metadata, ran_inline;
};

/* Strings are borrowed until status_render(), for which none may be NULL. */
struct status {
	const char *version, *backing, *mountpoint;
	uint64_t pid, keeper_pid;
	bool keeper_alive;
	uint64_t uptime_s;
	const char *recovery;		   /* "on"; or why no other server would take over */
	uint64_t spare_pid;		   /* of that server, if it has been started; or 0 */
	uint64_t takeovers;		   /* since the mount, like the next ones */
	uint64_t redone, resent, refused;  /* requests (takeover.h) */
	uint64_t pause_ms, worst_pause_ms; /* the last and the longest takeover */
	uint64_t upgrades;		   /* also those that have failed */
	const char *last_upgrade;	   /* upgrade_outcome_text() */

	/* set by status_judge() */
	bool safe_to_stack;
	char reason[160]; /* why it isn't safe, or "" */

	bool io_flusher_required, io_flusher; /* required by options; found by the last audit */
	bool mlock_required, mlock;	      /* required by options; found by the last audit */
	const char *cache;
	const char *transport;
	uint64_t kernel_minor;
	char features[512]; /* session_flag_names() */
	uint64_t max_write; /* bytes */
	uint64_t queues, queue_depth, workers;

	uint64_t memory_bound; /* bytes of the arena */
	uint64_t locked;       /* bytes, VmLck */
	char capabilities[256];
	int64_t oom_score_adj;
	uint64_t tasks, tasks_unmarked, alarms;
	uint64_t inodes_used, inodes_limit, inodes_refused, files_used, files_limit;
	uint64_t zone_refusals;
	uint64_t log_dropped;
	uint64_t oldest_request_s; /* how long it has waited for its answer */

	uint64_t meta_calls, meta_errors, meta_lost;
	uint64_t meta_free_slots, meta_shortages;

	struct status_queue queue[STATUS_QUEUES]; /* `queues` of these are set */
};

/*
 * Sets pid, locked, oom_score_adj and capabilities of the calling process, from /proc. A field that
 * can't be read stays as it is.
 */
void status_fill_process(struct status *status);

/* Copies one queue's counters. */
void status_fill_queue(struct status_queue *queue, const struct stats_queue *stats);

/* Sets safe_to_stack and reason from the other fields. */
void status_judge(struct status *status);

/* Writes the lines into TEXT. Returns their length without the NUL, or -ENOSPC. */
int status_render(const struct status *status, char *text, uint32_t len);

#endif
