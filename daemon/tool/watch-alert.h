/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a command for each report of `caisson watch`, with the report as standard input. Commands
 * are started by a process that was made before, so that a machine without memory for a fork()
 * keeps the watch from nothing; and without the marks that the watch has.
 */
#ifndef CAISSON_WATCH_ALERT_H
#define CAISSON_WATCH_ALERT_H

#include <sys/types.h>

struct alert {
	int fd; /* a pipe to the process, or -1 */
	pid_t child;
};

/* Forks. COMMAND is for sh -c. Returns 0 or -errno. */
int alert_start(struct alert *alert, const char *command);

/* Sends TEXT. It is lost if the commands for others are still to run. */
void alert_send(const struct alert *alert, const char *text);

/* Waits for the commands that run, for at most a second. */
void alert_stop(struct alert *alert);

#endif
