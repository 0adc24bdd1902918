/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of a successor (upgrade.h): that of the mount, with what has to stay as it is.
 * argv[1] isn't the user's.
 */
#ifndef CAISSON_SUCCESSOR_ARGV_H
#define CAISSON_SUCCESSOR_ARGV_H

struct options;

/* Bytes of the options that successor_note_sizes() writes. */
#define SUCCESSOR_SIZES 256

/* Words that take the place of others, or are added. Borrowed by the result. */
struct successor_words {
	char *backing, *mountpoint; /* absolute */
	char *sizes;
};

/* The program that a successor executes: ours, or what replaces it. To be freed, or NULL. */
char *successor_program(void);

/* Writes the options that decide what is in the tables to SIZES, as they are in force. */
void successor_note_sizes(const struct options *options, char sizes[static SUCCESSOR_SIZES]);

/*
 * Makes a successor's argv from ours, from which OPTIONS was parsed, and leaves argv[1] free. It
 * has SUCCESSOR_ARGC(ARGC) elements and a NULL, and is to be freed. NULL: no memory.
 */
#define SUCCESSOR_ARGC(argc) ((argc) + 3)
char **successor_argv_make(const struct options *options, int argc, char **argv,
			   const struct successor_words *words);

/* As options_parse(), without argv[1]. */
int successor_argv_parse(struct options *options, int argc, char **argv);

#endif
