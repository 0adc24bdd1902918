/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to options.c: the words of -o. */
#ifndef CAISSON_OPTIONS_WORD_H
#define CAISSON_OPTIONS_WORD_H

struct options;

/* As if nothing was given. */
void options_set_defaults(struct options *options);

/*
 * Takes WORD, "name" or "name=value"; what is libfuse's goes into *MOUNT_OPTIONS, with commas in
 * between, escaped. Returns 0; or -1, logged.
 */
int options_take_word(struct options *options, const char *word, char **mount_options);

/*
 * The same for a remount: takes the words that the kernel can change of a mount, and passes by all
 * others, known or not, as a remount of other filesystems does with those of its beginning.
 */
void options_take_remount_word(struct options *options, const char *word);

/* Logs that WORD can't be taken, and why. Returns -1. */
int options_refuse(const char *word, const char *why);

/* On standard output. */
void options_print_help(void);

#endif
