/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `caisson doctor` draws the storage stack below what it is asked for, and judges its parts. */
#ifndef CAISSON_DOCTOR_H
#define CAISSON_DOCTOR_H

/* Exit codes of `caisson doctor`, which differ from those of other commands. */
enum doctor_exit_code {
	DOCTOR_FINE = 0,
	DOCTOR_WARN = 1,
	DOCTOR_CANNOT = 2, /* usage, or nothing could be judged */
	DOCTOR_FAIL = 3,
};

/* ARGV[0] is the subcommand. Returns an exit code. Output may still be in stdout's buffer. */
int doctor_command(int argc, char **argv);

#endif
