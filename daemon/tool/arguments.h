/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of a command: its options, its one object, and the numbers in them. */
#ifndef CAISSON_ARGUMENTS_H
#define CAISSON_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Rows of the options of arguments_parse(), of which { 0 } is the last. */
#define ARGUMENTS_OPTION 256 /* no character: what getopt_long() returns for any of them */
#define ARGUMENTS_FLAG(name)                                                                       \
	{                                                                                          \
		name, no_argument, NULL, ARGUMENTS_OPTION                                          \
	}
#define ARGUMENTS_VALUE(name)                                                                      \
	{                                                                                          \
		name, required_argument, NULL, ARGUMENTS_OPTION                                    \
	}

/*
 * Parses one object and any of OPTIONS, in any order. VALUES has an element for each option: its
 * value, "" for a flag that is given, or NULL. False: not understood, and told so. The strings are
 * argv's. To be called once in a process, as getopt_long() keeps its place.
 */
bool arguments_parse(int argc, char **argv, const struct option *options, const char **values,
		     const char **ret_object);

/* What getopt_long() has just refused, as the user wrote it; for messages. Valid until the next. */
const char *arguments_refused(char **argv);

/* Bytes: a decimal number, and K, M, G or T, which are powers of 1024. 0, -EINVAL or -ERANGE. */
int arguments_size(const char *text, uint64_t *ret_len);

/* A decimal number of at most MAX. 0, -EINVAL or -ERANGE. */
int arguments_number(const char *text, uint64_t max, uint64_t *ret_number);

/* Tells that the value TEXT of OPTION isn't what is EXPECTED. Returns EXIT_USAGE. */
int arguments_value_is_bad(const char *option, const char *text, const char *expected);

#endif
