/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to options.c: the words of -o. */
#ifndef CAISSON_OPTIONS_WORD_H
#define CAISSON_OPTIONS_WORD_H

struct options;

/* Sets all options to their defaults. */
void options_set_defaults(struct options *options);

/*
 * Takes WORD, "name" or "name=value". Options for libfuse are appended to *MOUNT_OPTIONS, escaped,
 * after a comma. Returns 0; or -1, logged.
 */
int options_take_word(struct options *options, const char *word, char **mount_options);

/*
 * The same for a remount. Takes the flags that the kernel can change, and ignores all other words,
 * known or not, as other filesystems do.
 */
void options_take_remount_word(struct options *options, const char *word);

/* Logs that WORD can't be taken, and why. Returns -1. */
int options_refuse(const char *word, const char *why);

/* Prints --help on standard output. */
void options_print_help(void);

#endif
