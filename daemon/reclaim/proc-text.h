/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of /proc as text: read whole or line by line, and the numbers in them. With buffers on the
 * stack and system calls only, as all of libcaisson, and as private to it (proc.h).
 */
#ifndef CAISSON_PROC_TEXT_H
#define CAISSON_PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/*
 * Reads the first LEN bytes of the file PATH beneath DIRFD. Returns how many there are, less than
 * LEN only where the file ends, or what open() and read() fail with, -errno.
 */
ssize_t caisson_text_read(int dirfd, const char *path, char *text, size_t len);

/* A line is used up to this many bytes, its NUL included: what is looked for is shorter. */
#define TEXT_LINE_BYTES 256

/*
 * Calls EACH with every line of the file, without its newline, until it returns something else than
 * 0: then that is returned. 0 at the end, or -errno as above.
 */
int caisson_text_lines(int dirfd, const char *path, int (*each)(void *arg, const char *line),
		       void *arg);

/*
 * Takes the digits at *AT, at least one, as a number of at most MAX, and moves *AT behind them.
 * Returns 0, -EINVAL or -ERANGE.
 */
int caisson_text_number(const char **at, int base, uint64_t max, uint64_t *ret_value);

/*
 * If LINE is "KEY:", blanks and a number of at most MAX, takes that number. False if it is another
 * line, and *RET_ERROR is -EBADMSG if it is this line without such a number.
 */
bool caisson_text_match(const char *line, const char *key, int base, uint64_t max, int *ret_error,
			uint64_t *ret_value);

/* The same for "KEY: 123 kB", in bytes. */
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
