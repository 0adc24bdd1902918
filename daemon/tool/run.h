/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson run` executes another storage daemon in the IO_FLUSHER state, with its memory locked,
 * and last in line for the OOM killer.
 */
#ifndef CAISSON_RUN_H
#define CAISSON_RUN_H

/* ARGV[0] is the subcommand. Returns an exit code, after a message, if nothing was executed. */
int run_command(int argc, char **argv);

#endif
