/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launcher: in daemon mode, the process that the user has started. It forks the daemon, reads
 * the exit code from a pipe, and exits with it.
 */
#ifndef CAISSON_LAUNCHER_H
#define CAISSON_LAUNCHER_H

/*
 * Forks, while there is one thread. Returns 0 in the child, which leads a session of its own and
 * has RET_FD for launcher_tell(). Returns 1 in the launcher, with the exit code that it was told.
 * If the child ended without telling one, that is EXIT_CANNOT_SERVE, logged. Or -errno.
 */
int launcher_fork(int *ret_fd, int *ret_code);

/* In the child: has the launcher exit with CODE. Closes *FD. Does nothing if *FD is negative. */
void launcher_tell(int *fd, int code);

#endif
