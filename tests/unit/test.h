/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a unit test needs. A program tests one module: its main() RUNs named cases, one function
 * each, and returns test_result().
 *
 * A CHECK that fails ends the program at once, with file, line, case and values: what a case left
 * behind can't mislead the next one, and no loop waits for something that won't come. A CHECK may
 * stand in any thread, and in a forked child: the parent then finds a child that exited with 1.
 *
 * A case that can't run here says SKIP("what is missing") and returns. The program exits with 77,
 * which meson shows as skipped, only if every case was skipped; each skip is printed in any case.
 * With CAISSON_TESTS_MUST_RUN=1 a skip is a failure.
 */
#ifndef CAISSON_TEST_H
#define CAISSON_TEST_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_EXIT_FAILED = 1, TEST_EXIT_SKIPPED = 77 };

/* Only main()'s thread writes here, between cases or in a case's SKIP. */
struct test_state {
	const char *name; /* of the running case */
	unsigned passed, skipped;
	bool skipping; /* the running case said SKIP */
};
static struct test_state test_state;

__attribute__((noreturn, format(printf, 4, 5))) static inline void
test_fail(const char *file, int line, const char *what, const char *format, ...)
{
	va_list args;

	(void)fflush(stdout);
	fprintf(stderr, "%s:%d: %s: CHECK failed: %s", file, line,
		test_state.name ? test_state.name : "main", what);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	/* not exit(): what is leaked or still running now says nothing about the module */
	_exit(TEST_EXIT_FAILED);
}

/* CONDITION holds. errno is printed where it doesn't, whether or not it has to do with it. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			test_fail(__FILE__, __LINE__, #condition, " (errno: %m)");                 \
	} while (0)

/*
 * Two integers of any type are the same number. (Only a negative one and an unsigned one of 64
 * bits with the same bits are confused.)
 */
#define CHECK_EQ(got, expected)                                                                    \
	do {                                                                                       \
		intmax_t check_got_ = (intmax_t)(got);                                             \
		intmax_t check_expected_ = (intmax_t)(expected);                                   \
		if (check_got_ != check_expected_)                                                 \
			test_fail(__FILE__, __LINE__, #got " == " #expected,                       \
				  ": got %" PRIdMAX " (%#" PRIxMAX "), expected %" PRIdMAX         \
				  " (%#" PRIxMAX ")",                                              \
				  check_got_, (uintmax_t)check_got_, check_expected_,              \
				  (uintmax_t)check_expected_);                                     \
	} while (0)

/* Two strings have the same characters. */
#define CHECK_STR(got, expected)                                                                   \
	do {                                                                                       \
		const char *check_got_ = (got), *check_expected_ = (expected);                     \
		if (strcmp(check_got_, check_expected_) != 0)                                      \
			test_fail(__FILE__, __LINE__, #got " == " #expected,                       \
				  ":\n--- got\n%s\n--- expected\n%s\n---", check_got_,             \
				  check_expected_);                                                \
	} while (0)

/* Two ranges of LEN bytes are the same; tells the first byte that isn't. */
#define CHECK_MEM(got, expected, len)                                                              \
	do {                                                                                       \
		const uint8_t *check_got_ = (const void *)(got);                                   \
		const uint8_t *check_expected_ = (const void *)(expected);                         \
		for (size_t check_i_ = 0; check_i_ < (len); check_i_++)                            \
			if (check_got_[check_i_] != check_expected_[check_i_])                     \
				test_fail(__FILE__, __LINE__, #got " == " #expected,               \
					  ": byte %zu is %#x, expected %#x", check_i_,             \
					  check_got_[check_i_], check_expected_[check_i_]);        \
	} while (0)

/* The running case can't run: say what is missing, printf-like, then return from it. */
#define SKIP(...)                                                                                  \
	do {                                                                                       \
		test_state.skipping = true;                                                        \
		printf("skip  %s: ", test_state.name);                                             \
		printf(__VA_ARGS__);                                                               \
		putchar('\n');                                                                     \
	} while (0)

/* Runs a case: `static void the_case(void)`. Its name is printed before, should it hang. */
#define RUN(test) test_run(#test, test)

static inline void test_run(const char *name, void (*test)(void))
{
	test_state.name = name;
	test_state.skipping = false;
	printf("run   %s\n", name);
	(void)fflush(stdout); /* before a case forks or hangs */
	test();
	if (test_state.skipping) {
		test_state.skipped++;
	} else {
		test_state.passed++;
		printf("ok    %s\n", name);
	}
	test_state.name = NULL;
}

/*
 * Runs a part of a case in a process of its own, which may change what can't be changed back. There
 * it ends with _exit(TEST_EXIT_SKIPPED) where it can't run.
 */
static inline void test_in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		body();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_SKIPPED)
		SKIP("needs more rights");
	else
		CHECK_EQ(status, 0);
}

static inline bool test_must_run(void)
{
	const char *value = getenv("CAISSON_TESTS_MUST_RUN");

	return value && strcmp(value, "1") == 0;
}

/* What main() returns. A program that ran nothing has failed. */
static inline int test_result(void)
{
	printf("%u passed, %u skipped\n", test_state.passed, test_state.skipped);
	if (fflush(stdout) != 0)
		return TEST_EXIT_FAILED;
	if (test_state.skipped > 0 && test_must_run()) {
		fprintf(stderr, "skips are failures here: CAISSON_TESTS_MUST_RUN=1\n");
		return TEST_EXIT_FAILED;
	}
	if (test_state.passed > 0)
		return EXIT_SUCCESS;
	return test_state.skipped > 0 ? TEST_EXIT_SKIPPED : TEST_EXIT_FAILED;
}

#endif
