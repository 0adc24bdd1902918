/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of a command: its options, its one object, and the numbers among them. */
#ifndef CAISSON_ARGUMENTS_H
#define CAISSON_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows for the options of arguments_parse(). The last row is { 0 }. */
#define ARGUMENTS_OPTION 256 /* getopt_long() returns it for each option; it is no character */
#define ARGUMENTS_FLAG(name)                                                                       \
	{                                                                                          \
		name, no_argument, NULL, ARGUMENTS_OPTION                                          \
	}
#define ARGUMENTS_VALUE(name)                                                                      \
	{                                                                                          \
		name, required_argument, NULL, ARGUMENTS_OPTION                                    \
	}

/*
 * Parses any number of objects and any of OPTIONS, in any order. VALUES has an element for each
 * option: its value, "" for a flag that is given, or NULL. The objects are moved to the beginning
 * of ARGV, over the command's name. Returns false after an error, which it has printed. To be
 * called once in a process, as getopt_long() keeps its place.
 */
bool arguments_parse_many(int argc, char **argv, const struct option *options, const char **values,
			  size_t *ret_count);

/* The same for exactly one object. */
bool arguments_parse(int argc, char **argv, const struct option *options, const char **values,
		     const char **ret_object);

/*
 * The option that getopt_long() has just refused, as the user wrote it. Valid until the next call.
 */
const char *arguments_refused(char **argv);

/*
 * Parses bytes: a decimal number and K, M, G or T (powers of 1024). Returns 0, -EINVAL or -ERANGE.
 */
int arguments_size(const char *text, uint64_t *ret_len);

/* Parses a decimal number of at most MAX. Returns 0, -EINVAL or -ERANGE. */
int arguments_number(const char *text, uint64_t max, uint64_t *ret_number);

/* Prints that TEXT, the value of OPTION, isn't what was EXPECTED. Returns EXIT_USAGE. */
int arguments_value_is_bad(const char *option, const char *text, const char *expected);

#endif
