/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/zoned-arguments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/exit-code.h"
#include "tool/tell.h"

static bool complain(const char *argument, const char *reason)
{
	tell("%s: parse: %s", argument, reason);
	return false;
}

/* Takes ARGV[*I], an option, and moves *I to its value where that is an argument of its own. */
static bool take_option(int argc, char **argv, int *i, const struct zoned_option *options,
			size_t count)
{
	const char *text = argv[*i];
	size_t name_len = strcspn(text, "=");

	for (size_t o = 0; o < count; o++) {
		const struct zoned_option *option = &options[o];

		if (strlen(option->name) != name_len || strncmp(text, option->name, name_len) != 0)
			continue;
		if (option->flag) {
			if (text[name_len])
				return complain(text, "takes no value");
			*option->flag = true;
			return true;
		}
		if (*option->value)
			return complain(option->name, "is given twice");
		if (text[name_len])
			*option->value = text + name_len + 1;
		else if (*i + 1 < argc)
			*option->value = argv[++*i];
		else
			return complain(text, "its value is missing");
		return true;
	}
	return complain(text, "no such option");
}

bool zoned_arguments_parse(int argc, char **argv, const struct zoned_option *options, size_t count,
			   const char **ret_object)
{
	bool only_objects = false;
	const char *object = NULL;

	for (int i = 1; i < argc; i++) {
		if (!only_objects && strcmp(argv[i], "--") == 0) {
			only_objects = true;
		} else if (!only_objects && argv[i][0] == '-') {
			if (!take_option(argc, argv, &i, options, count))
				return false;
		} else if (object) {
			return complain(argv[i], "one argument is expected");
		} else {
			object = argv[i];
		}
	}
	if (!object || !object[0])
		return complain(argv[0], "an argument is missing; see caisson zoned help");
	*ret_object = object;
	return true;
}

int zoned_number_parse(const char *text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(number, 10u, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number) ||
		    number > max)
			return -ERANGE;
	}
	*ret_number = number;
	return 0;
}

int zoned_size_parse(const char *text, uint64_t *ret_len)
{
	static const char units[] = "KMGT";
	const char *unit;
	char digits[24];
	size_t len = strlen(text);
	uint64_t size;
	int r;

	unit = len ? strchr(units, text[len - 1]) : NULL;
	if (unit)
		len--;
	if (len >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, len);
	digits[len] = '\0';
	r = zoned_number_parse(digits, INT64_MAX, &size);
	if (r < 0)
		return r;
	if (unit && __builtin_mul_overflow(size, 1ull << 10 * (unit - units + 1), &size))
		return -ERANGE;
	if (size > INT64_MAX)
		return -ERANGE;
	*ret_len = size;
	return 0;
}

int zoned_value_is_bad(const char *option, const char *text, const char *expected)
{
	tell("%s %s: parse: isn't %s", option, text, expected);
	return EXIT_USAGE;
}
