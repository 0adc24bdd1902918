/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options of `caisson zoned`'s commands, and the numbers in them. */
#ifndef CAISSON_ZONED_ARGUMENTS_H
#define CAISSON_ZONED_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "--name VALUE" or "--name=VALUE", or "--name" alone where VALUE is NULL. */
struct zoned_option {
	const char *name;
	const char **value; /* NULL until given */
	bool *flag;
};

/*
 * One object and OPTIONS, in any order. False: not understood, and told so. The strings are
 * argv's.
 */
bool zoned_arguments_parse(int argc, char **argv, const struct zoned_option *options, size_t count,
			   const char **ret_object);

/* Bytes: a decimal number, and K, M, G or T, which are powers of 1024. 0, -EINVAL or -ERANGE. */
int zoned_size_parse(const char *text, uint64_t *ret_len);

/* A decimal number of at most MAX. 0, -EINVAL or -ERANGE. */
int zoned_number_parse(const char *text, uint64_t max, uint64_t *ret_number);

/* Tells that the value TEXT of OPTION isn't what is EXPECTED. Returns EXIT_USAGE. */
int zoned_value_is_bad(const char *option, const char *text, const char *expected);

#endif
