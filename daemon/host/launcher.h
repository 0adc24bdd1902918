/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher: in daemon mode, the process that the user has started. It forks the daemon, reads
 * one byte from a pipe, the exit code, and exits with it.
 */
#ifndef CAISSON_LAUNCHER_H
#define CAISSON_LAUNCHER_H

/*
 * Forks; one thread. Returns 0 in the child, which leads a session of its own and has RET_FD for
 * launcher_tell(); 1 in the launcher, with the exit code that it was told, EXIT_CANNOT_SERVE and a
 * line in the log where the child and all that have the pipe ended without a word; or -errno.
 */
int launcher_fork(int *ret_fd, int *ret_code);

/* In the child: the launcher exits with CODE. Closes *FD; nothing where that is negative. */
void launcher_tell(int *fd, int code);

#endif
