/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions that read files of /proc, whole or by lines, and parse numbers in them. They use only
 * system calls and buffers on the stack, because they run after the seal (S4). They are private to
 * libcaisson.
 */
#ifndef CAISSON_PROC_TEXT_H
#define CAISSON_PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/*
 * Reads the first LEN bytes of the file PATH in the directory DIRFD. Returns the number of bytes,
 * which is less than LEN only at the end of the file, or -errno of open() and read().
 */
ssize_t caisson_text_read(int dirfd, const char *path, char *text, size_t len);

/* Lines are cut to this size, NUL included. All lines that we look for are shorter. */
#define TEXT_LINE_BYTES 256

/*
 * Calls EACH with every line of the file, without its newline. If EACH doesn't return 0, this stops
 * and returns its result. Otherwise it returns 0 at the end of the file, or -errno.
 */
int caisson_text_lines(int dirfd, const char *path, int (*each)(void *arg, const char *line),
		       void *arg);

/*
 * Parses the number at *AT and moves *AT behind it. Returns 0, -EINVAL if there is no digit, or
 * -ERANGE if the number exceeds MAX.
 */
int caisson_text_number(const char **at, int base, uint64_t max, uint64_t *ret_value);

/*
 * Parses a line "KEY: NUMBER". Returns false if LINE has another key. If the key matches but no
 * number of at most MAX follows, it returns true and sets *RET_ERROR to -EBADMSG.
 */
bool caisson_text_match(const char *line, const char *key, int base, uint64_t max, int *ret_error,
			uint64_t *ret_value);

/* Parses a line "KEY: 123 kB" in the same way. The result is in bytes. */
bool caisson_text_match_size(const char *line, const char *key, int *ret_error,
			     uint64_t *ret_bytes);

#pragma GCC visibility pop

static inline bool text_is_space(char c)
{
	return c == ' ' || c == '\t';
}

static inline void text_skip_spaces(const char **at)
{
	while (text_is_space(**at))
		(*at)++;
}

#endif
