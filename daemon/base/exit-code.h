/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The exit codes of the programs; 0 is fine. Part of the outside contract. */
#ifndef CAISSON_EXIT_CODE_H
#define CAISSON_EXIT_CODE_H

enum exit_code {
	EXIT_FINE = 0,
	EXIT_USAGE = 1,	       /* the command line */
	EXIT_CANNOT_SERVE = 2, /* cannot mount or serve, or ask the daemon */
	EXIT_UNSAFE = 3,       /* a safety requirement is not met */
};

/* Of `caisson run` alone, where the command wasn't executed: as env(1) and the shells have them. */
enum run_exit_code {
	EXIT_NOT_EXECUTED = 126, /* it is there, and can't be */
	EXIT_NOT_FOUND = 127,
};

#endif
