/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log. Before log_start() a message is written to stderr at once. From then on it goes into a
 * fixed ring of fixed lines, and the `log` thread writes it out. The caller never blocks, never
 * allocates and keeps its errno. If the ring is full the line is dropped and counted (S8). The
 * data path doesn't log: it counts, and the main thread logs (duties.h).
 */
#ifndef CAISSON_LOG_H
#define CAISSON_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_FAIL, LOG_LEVEL_WARN, LOG_LEVEL_INFO };

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

/*
 * Starts the log thread, which inherits the caller's marks and capabilities; it runs PREPARE,
 * unless NULL, before anything else, and only starts if that returns 0 (else its -errno is
 * returned). Threads aren't inherited over fork(): to be called after it. SYSLOG sends to /dev/log;
 * while nobody listens there, lines are dropped and counted. Returns 0 or -errno.
 */
int log_start(enum log_target target, int (*prepare)(void));

/*
 * Before log_start(), one thread: while the target is STDERR, lines that are less urgent than LEVEL
 * go to syslog instead. Ends with log_retarget() and log_stop().
 */
void log_split(enum log_level level);

/*
 * From the next line on writes to TARGET; what was logged before goes where it went. Waits for
 * that for at most a second. One thread at a time, after log_start(). Returns 0; -ETIMEDOUT where
 * the old target is stuck; or -errno.
 */
int log_retarget(enum log_target target);

/*
 * Writes out what is queued and ends the thread, when all others that log have ended. Waits for a
 * slow target for at most one second. From then on lines go to stderr again. Safe to call when
 * log_start() never was.
 */
void log_stop(void);

/*
 * One line of at most 511 bytes, without newline: object, action, reason. What had better not reach
 * a terminal is shown as "?" (printable.h). Any thread.
 */
void log_message(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Lines lost since the start: the ring was full, or the target didn't take them. Any thread. */
uint64_t log_dropped(void);

#define log_fail(...) log_message(LOG_LEVEL_FAIL, __VA_ARGS__)
#define log_warn(...) log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
