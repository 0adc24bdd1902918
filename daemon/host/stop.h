/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_STOP_H
#define CAISSON_STOP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Stops process PID, which PIDFD leads to, with all its threads: its descriptors stand still then,
 * and it can be killed at once. Returns false if a thread of it waits in the kernel; then it goes
 * on. One that has ended counts as stopped.
 */
bool stop_process(pid_t pid, int pidfd);

/* Lets it go on. */
void stop_undo(int pidfd);

#endif
