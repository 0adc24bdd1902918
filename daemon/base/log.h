/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log writes lines to stderr or syslog and never blocks its callers. Before log_start() a
 * message is written to stderr at once. Afterwards it goes into a ring of fixed size, from which
 * the `log` thread writes it out. The caller allocates nothing and keeps its errno. If the ring is
 * full, the line is dropped and counted (S8). The data path doesn't log: it counts events, and the
 * main thread logs the counts (duties.h).
 */
#ifndef CAISSON_LOG_H
#define CAISSON_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_FAIL, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

/* Lines begin with NAME, "caissond" by default: at most 29 bytes that outlive the log. */
void log_name(const char *name);

/* Before log_start(), lines go to TARGET at once. LOG_TARGET_STDERR closes the socket of syslog. */
void log_early(enum log_target target);

/*
 * Starts the log thread, which inherits the caller's flusher mark and capabilities. Call it after
 * the last fork(), because a child has no log thread. The thread first runs PREPARE unless that is
 * NULL; if PREPARE fails, log_start() returns its -errno. LOG_TARGET_SYSLOG sends to /dev/log.
 * While nobody listens there, lines are dropped and counted. Returns 0 or -errno.
 */
int log_start(enum log_target target, int (*prepare)(void));

/*
 * Around a clone() that shares descriptors and doesn't run the C library's handlers of fork(). The
 * child has no log thread and its own descriptors; it may call log_start() again.
 */
void log_before_clone(void);
void log_after_clone(bool in_child);

/* Sets FDS to the log's descriptors, or -1. */
#define LOG_FDS 3
void log_fds(int fds[static LOG_FDS]);

/*
 * Sends lines that are less urgent than LEVEL to syslog rather than to stderr, until log_retarget()
 * or log_stop(). Call it before log_start(), while the process has one thread.
 */
void log_split(enum log_level level);

/*
 * Writes all later lines to TARGET. Earlier lines still go to the old target; this waits for them
 * for at most one second. Call it after log_start(), from one thread at a time. Returns 0;
 * -ETIMEDOUT if the old target is stuck; or -errno.
 */
int log_retarget(enum log_target target);

/*
 * Writes out all queued lines and ends the log thread. Call it when no other thread logs any more.
 * It waits for a slow target for at most one second. Later lines go to stderr at once. It does
 * nothing if the log thread isn't running.
 */
void log_stop(void);

/*
 * Logs one line of at most 511 bytes, without newline: object, action, reason. Bytes that could
 * disturb a terminal are shown as "?" (printable.h). Any thread.
 */
void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Lines lost since the start, because the ring was full or the target refused. Any thread. */
uint64_t log_dropped(void);

#define log_fail(...) log_message(LOG_LEVEL_FAIL, __VA_ARGS__)
#define log_warn(...) log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
