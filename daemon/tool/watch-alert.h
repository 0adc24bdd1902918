/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command for each report of `caisson watch`, with the report as standard input, or writes
 * the reports out. A process that was made before does that, without the marks that the watch has:
 * neither a fork() nor a write() that hangs keeps the watch from looking on.
 */
#ifndef CAISSON_WATCH_ALERT_H
#define CAISSON_WATCH_ALERT_H

#include <sys/types.h>

struct alert {
	int fd; /* a pipe to the process, or -1 */
	pid_t child;
};

/*
 * Forks. COMMAND is for sh -c; NULL: reports are written to standard output. Returns 0 or -errno.
 */
int alert_start(struct alert *alert, const char *command);

/* Sends TEXT, less than 16 KiB. It is lost if the commands for others are still to run. */
void alert_send(const struct alert *alert, const char *text);

/* Waits for the commands that run, for at most a second. */
void alert_stop(struct alert *alert);

#endif
