/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reclaim/proc-text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK_BYTES 1024

static int open_file(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Returns the number of bytes read, less than LEN only at the end of the file, or -errno. */
static ssize_t read_whole(int fd, char *buffer, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, buffer + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t caisson_text_read(int dirfd, const char *path, char *text, size_t len)
{
	autoclose int fd = open_file(dirfd, path);

	return fd < 0 ? fd : read_whole(fd, text, len);
}

/* A reader of lines. It cuts lines after TEXT_LINE_BYTES - 1 bytes. */
struct lines {
	int fd;
	size_t at, end; /* the part of chunk that hasn't been used yet */
	char line[TEXT_LINE_BYTES];
	char chunk[CHUNK_BYTES];
};

/* Reads a line into lines->line, without its newline. Returns 1, 0 at the end, or -errno. */
static int lines_next(struct lines *lines)
{
	size_t len = 0;
	bool any = false;

	for (;;) {
		if (lines->at == lines->end) {
			ssize_t n = read_whole(lines->fd, lines->chunk, sizeof(lines->chunk));

			if (n < 0)
				return (int)n;
			if (n == 0)
				break;
			lines->at = 0;
			lines->end = (size_t)n;
		}
		char c = lines->chunk[lines->at++];

		any = true;
		if (c == '\n')
			break;
		if (len < sizeof(lines->line) - 1)
			lines->line[len++] = c;
	}
	lines->line[len] = '\0';
	return any;
}

int caisson_text_lines(int dirfd, const char *path, int (*each)(void *arg, const char *line),
		       void *arg)
{
	autoclose int fd = open_file(dirfd, path);
	struct lines lines = { .fd = fd };
	int r;

	if (fd < 0)
		return fd;
	while ((r = lines_next(&lines)) > 0) {
		r = each(arg, lines.line);
		if (r)
			return r;
	}
	return r;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return INT_MAX;
}

int caisson_text_number(const char **at, int base, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; digit_value(**at) < base; (*at)++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_value(**at), &value) ||
		    value > max)
			return -ERANGE;
	}
	if (*at == start)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

bool caisson_text_match(const char *line, const char *key, int base, uint64_t max, int *ret_error,
			uint64_t *ret_value)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0 || line[len] != ':')
		return false;
	line += len + 1;
	text_skip_spaces(&line);
	if (caisson_text_number(&line, base, max, ret_value) < 0)
		*ret_error = -EBADMSG;
	return true;
}

bool caisson_text_match_size(const char *line, const char *key, int *ret_error, uint64_t *ret_bytes)
{
	uint64_t kib;

	if (!caisson_text_match(line, key, 10, UINT64_MAX / 1024, ret_error, &kib))
		return false;
	if (!*ret_error)
		*ret_bytes = kib * 1024;
	return true;
}
