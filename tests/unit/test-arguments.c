/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A command's options and object, in every order, and the numbers among them. */
#include "tool/arguments.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/macro.h"
#include "test.h"

enum { SIZE, JSON, OPTIONS };

static const struct option options[] = {
	[SIZE] = ARGUMENTS_VALUE("size"),
	[JSON] = ARGUMENTS_FLAG("json"),
	[OPTIONS] = { 0 },
};

static const char *values[OPTIONS], *object;
static char said[256]; /* on standard error, by the last parse() */

/* Parses WORDS, up to a NULL, as the arguments of "command". */
static bool parse(const char *const *words)
{
	char copies[8][32] = { "command" }, *argv[9] = { copies[0] };
	int argc = 1, saved, fd;
	ssize_t len;
	bool r;

	for (; words[argc - 1]; argc++) {
		CHECK(argc < (int)ARRAY_SIZE(copies));
		snprintf(copies[argc], sizeof(copies[argc]), "%s", words[argc - 1]);
		argv[argc] = copies[argc];
	}
	memset(values, 0, sizeof(values));
	optind = 0; /* glibc: from the start */
	saved = dup(STDERR_FILENO);
	fd = memfd_create("stderr", MFD_CLOEXEC);
	CHECK(saved >= 0 && fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	r = arguments_parse(argc, argv, options, values, &object);
	CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
	len = pread(fd, said, sizeof(said) - 1, 0);
	CHECK(len >= 0);
	said[len] = '\0';
	close(saved);
	close(fd);
	/* what is in the copies is needed no longer than this */
	static char kept[3][32];
	const char **strings[] = { &values[SIZE], &values[JSON], &object };

	for (size_t i = 0; r && i < ARRAY_SIZE(strings); i++) {
		if (!*strings[i])
			continue;
		snprintf(kept[i], sizeof(kept[i]), "%s", *strings[i]);
		*strings[i] = kept[i];
	}
	return r;
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

static void takes_any_order(void)
{
	CHECK(PARSE("x"));
	CHECK_STR(object, "x");
	CHECK(!values[SIZE] && !values[JSON]);
	CHECK(PARSE("--json", "x"));
	CHECK_STR(object, "x");
	CHECK_STR(values[JSON], "");
	CHECK(PARSE("x", "--size=5", "--json", "--json"));
	CHECK_STR(object, "x");
	CHECK_STR(values[SIZE], "5");
	CHECK_STR(values[JSON], "");
	CHECK(PARSE("--size", "--json", "x"));
	CHECK_STR(values[SIZE], "--json");
	CHECK(!values[JSON]);
	CHECK(PARSE("--json", "--", "--size"));
	CHECK_STR(object, "--size");
	CHECK(!values[SIZE]);
	CHECK_STR(said, "");
}

/* The environment can't make it stop at the object. */
static void takes_options_behind_the_object(void)
{
	CHECK(setenv("POSIXLY_CORRECT", "1", 1) == 0);
	CHECK(PARSE("x", "--json"));
	CHECK_STR(object, "x");
	CHECK_STR(values[JSON], "");
	CHECK(unsetenv("POSIXLY_CORRECT") == 0);
}

static void names_what_it_refuses(void)
{
	static const struct {
		const char *words[4], *message;
	} cases[] = {
		{ { "--json" }, "command: parse: an argument is missing; see caisson help" },
		{ { "" }, "command: parse: an argument is missing; see caisson help" },
		{ { "x", "y" }, "y: parse: one argument is expected" },
		{ { "x", "--", "--json" }, "--json: parse: one argument is expected" },
		{ { "--nonsense", "x" }, "--nonsense: parse: no such option" },
		{ { "x", "-vq" }, "-v: parse: no such option" },
		{ { "x", "--json=yes" }, "--json=yes: parse: takes no value" },
		{ { "x", "--size" }, "--size: parse: its value is missing" },
		{ { "--size=1", "--size", "2" }, "size: parse: is given twice" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char expected[128];

		snprintf(expected, sizeof(expected), "caisson: %s\n", cases[i].message);
		CHECK(!parse(cases[i].words));
		CHECK_STR(said, expected);
	}
}

static void numbers_are_decimal(void)
{
	uint64_t number = 1;

	CHECK_EQ(arguments_number("0", 7, &number), 0);
	CHECK_EQ(number, 0u);
	CHECK_EQ(arguments_number("18446744073709551615", UINT64_MAX, &number), 0);
	CHECK_EQ(number, UINT64_MAX);
	CHECK_EQ(arguments_number("8", 7, &number), -ERANGE);
	CHECK_EQ(arguments_number("18446744073709551616", UINT64_MAX, &number), -ERANGE);
	CHECK_EQ(arguments_number("", 7, &number), -EINVAL);
	CHECK_EQ(arguments_number("-1", 7, &number), -EINVAL);
	CHECK_EQ(arguments_number("1 ", 7, &number), -EINVAL);
}

static void sizes_have_units(void)
{
	uint64_t len;

	CHECK_EQ(arguments_size("12", &len), 0);
	CHECK_EQ(len, 12u);
	CHECK_EQ(arguments_size("3K", &len), 0);
	CHECK_EQ(len, 3072u);
	CHECK_EQ(arguments_size("2T", &len), 0);
	CHECK_EQ(len, 2ull << 40);
	CHECK_EQ(arguments_size("9223372036854775807", &len), 0);
	CHECK_EQ(arguments_size("9223372036854775808", &len), -ERANGE);
	CHECK_EQ(arguments_size("8388608T", &len), -ERANGE);
	CHECK_EQ(arguments_size("0000000000000000000000001", &len), -ERANGE);
	CHECK_EQ(arguments_size("", &len), -EINVAL);
	CHECK_EQ(arguments_size("K", &len), -EINVAL);
	CHECK_EQ(arguments_size("1k", &len), -EINVAL);
}

int main(void)
{
	RUN(takes_any_order);
	RUN(takes_options_behind_the_object);
	RUN(names_what_it_refuses);
	RUN(numbers_are_decimal);
	RUN(sizes_have_units);
	return test_result();
}
