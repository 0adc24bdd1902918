/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `caisson zoned`: directories of zones for zloop. Every function here prints what goes wrong. */
#ifndef CAISSON_ZONED_H
#define CAISSON_ZONED_H

/*
 * ARGV[0] is "zoned". Returns an exit code. What is printed on stdout may still be in its buffer.
 */
int zoned_command(int argc, char **argv);

/* The same of its commands, ARGV[0] being their names. */
int zoned_create(int argc, char **argv);
int zoned_attach(int argc, char **argv);
int zoned_detach(int argc, char **argv);
int zoned_report(int argc, char **argv);

#endif
