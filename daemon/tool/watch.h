/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command `caisson watch`. */
#ifndef CAISSON_WATCH_H
#define CAISSON_WATCH_H

/* Exit codes: of --once, and after a signal. */
enum {
	WATCH_FINE = 0,	  /* nothing hangs */
	WATCH_HANG = 1,	  /* something hangs, in no cycle that is seen */
	WATCH_CANNOT = 2, /* usage, or it can't be watched */
	WATCH_CYCLE = 3,
};

/* ARGV[0] is the command's name. Returns an exit code. */
int watch_command(int argc, char **argv);

#endif
