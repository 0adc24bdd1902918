/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the programs exit with; 0 is fine. Part of the outside contract. */
#ifndef CAISSON_EXIT_CODE_H
#define CAISSON_EXIT_CODE_H

enum exit_code {
	EXIT_FINE = 0,
	EXIT_USAGE = 1,	       /* the command line */
	EXIT_CANNOT_SERVE = 2, /* cannot mount or serve, or ask the daemon */
	EXIT_UNSAFE = 3,       /* a safety requirement is not met */
};

#endif
