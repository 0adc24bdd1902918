/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exit codes of caissond and caisson. Scripts rely on them, so they don't change. */
#ifndef CAISSON_EXIT_CODE_H
#define CAISSON_EXIT_CODE_H

enum exit_code {
	EXIT_FINE = 0,
	EXIT_USAGE = 1,	       /* the command line is wrong */
	EXIT_CANNOT_SERVE = 2, /* caissond can't mount or serve; caisson can't ask the daemon */
	EXIT_UNSAFE = 3,       /* a safety requirement is not met */
};

/* Exit codes of `caisson run` if it didn't execute the command; env(1) and shells use the same. */
enum run_exit_code {
	EXIT_NOT_EXECUTED = 126, /* the command exists but can't be executed */
	EXIT_NOT_FOUND = 127,
};

#endif
