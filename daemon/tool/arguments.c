/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool/arguments.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/exit-code.h"
#include "tool/tell.h"

static bool complain(const char *argument, const char *reason)
{
	tell("%s: parse: %s", argument, reason);
	return false;
}

const char *arguments_refused(char **argv)
{
	static char letter[3] = "-";

	/* several letters can share one argument */
	if (!optopt || optopt == ARGUMENTS_OPTION)
		return argv[optind - 1];
	letter[1] = (char)optopt;
	return letter;
}

bool arguments_parse_many(int argc, char **argv, const struct option *options, const char **values,
			  size_t *ret_count)
{
	size_t count = 0;
	int c, i;

	opterr = 0;
	/* "-" gives operands as options of character 1, in order, whatever POSIXLY_CORRECT says. */
	while ((c = getopt_long(argc, argv, "-:", options, &i)) != -1) {
		if (c == 1) {
			argv[count++] = optarg;
			continue;
		}
		if (c == ':')
			return complain(arguments_refused(argv), "its value is missing");
		if (c != ARGUMENTS_OPTION)
			return complain(arguments_refused(argv), optopt == ARGUMENTS_OPTION
									 ? "takes no value"
									 : "no such option");
		if (optarg && values[i])
			return complain(options[i].name, "is given twice");
		values[i] = optarg ? optarg : "";
	}
	while (optind < argc)
		argv[count++] = argv[optind++];
	*ret_count = count;
	return true;
}

bool arguments_parse(int argc, char **argv, const struct option *options, const char **values,
		     const char **ret_object)
{
	const char *command = argv[0];
	size_t count;

	if (!arguments_parse_many(argc, argv, options, values, &count))
		return false;
	if (count > 1)
		return complain(argv[1], "one argument is expected");
	if (!count || !*argv[0])
		return complain(command, "an argument is missing; see caisson help");
	*ret_object = argv[0];
	return true;
}

int arguments_number(const char *text, uint64_t max, uint64_t *ret_number)
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

int arguments_size(const char *text, uint64_t *ret_len)
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
	r = arguments_number(digits, INT64_MAX, &size);
	if (r < 0)
		return r;
	if (unit && __builtin_mul_overflow(size, 1ull << 10 * (unit - units + 1), &size))
		return -ERANGE;
	if (size > INT64_MAX)
		return -ERANGE;
	*ret_len = size;
	return 0;
}

int arguments_value_is_bad(const char *option, const char *text, const char *expected)
{
	tell("%s %s: parse: isn't %s", option, text, expected);
	return EXIT_USAGE;
}
