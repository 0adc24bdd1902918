/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `caisson zoned`: directories of zones for zloop. Each function here prints its errors. */
#ifndef CAISSON_ZONED_H
#define CAISSON_ZONED_H

/*
 * ARGV[0] is "zoned". Returns an exit code. Output may still be in stdout's buffer.
 */
int zoned_command(int argc, char **argv);

/* The same for its commands. ARGV[0] is the command's name. */
int zoned_create(int argc, char **argv);
int zoned_attach(int argc, char **argv);
int zoned_detach(int argc, char **argv);
int zoned_report(int argc, char **argv);

#endif
