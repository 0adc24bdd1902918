/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson run`: executes a storage daemon that doesn't protect itself, in the IO_FLUSHER state,
 * with its memory locked, as the last one that the OOM killer takes.
 */
#ifndef CAISSON_RUN_H
#define CAISSON_RUN_H

/* ARGV[0] is the subcommand. Returns only where nothing was executed: an exit code, told. */
int run_command(int argc, char **argv);

#endif
