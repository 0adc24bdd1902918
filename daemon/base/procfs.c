/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The state of a pass over a file, byte by byte, as a line (Groups:) may be of any length. */
struct reader {
	const char *key;
	char *value;
	uint32_t len, at; /* size of value; bytes in it so far */
	uint32_t matched; /* bytes of key that the line begins with */
	enum { IN_KEY, IN_OTHER, IN_VALUE } state;
	bool overflow, found;
};

static void take_char(struct reader *reader, char c)
{
	if (c == '\n') {
		reader->found = reader->state == IN_VALUE;
		reader->state = IN_KEY;
		reader->matched = 0;
		return;
	}
	switch (reader->state) {
	case IN_KEY:
		if (c == ':' && !reader->key[reader->matched])
			reader->state = IN_VALUE;
		else if (c && c == reader->key[reader->matched])
			reader->matched++;
		else
			reader->state = IN_OTHER;
		break;
	case IN_OTHER:
		break;
	case IN_VALUE:
		if (!reader->at && (c == ' ' || c == '\t'))
			break;
		if (reader->at + 1 < reader->len)
			reader->value[reader->at++] = c;
		else
			reader->overflow = true;
		break;
	}
}

int procfs_read_value(const char *path, const char *key, char *value, uint32_t len)
{
	struct reader reader = { .key = key, .value = value, .len = len };
	autoclose int fd = -1;
	char piece[1024];
	ssize_t n;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (!reader.found && (n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (ssize_t i = 0; i < n && !reader.found; i++)
			take_char(&reader, piece[i]);
	}
	if (!reader.found)
		return -ENOENT;
	if (reader.overflow)
		return -ENOSPC;
	while (reader.at && (value[reader.at - 1] == ' ' || value[reader.at - 1] == '\t'))
		reader.at--;
	value[reader.at] = '\0';
	return 0;
}

/* Parses a number at the beginning of TEXT, which blanks or nothing must follow. */
static int parse_number(const char *text, int base, uint64_t *ret_number)
{
	uint64_t number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, base);
	if (errno || end == text || (*end && !strchr(" \t\n", *end)))
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int procfs_read_number(const char *path, const char *key, int base, uint64_t *ret_number)
{
	char value[64];
	int r = procfs_read_value(path, key, value, sizeof(value));

	return r < 0 ? r : parse_number(value, base, ret_number);
}

int procfs_read_setting(const char *path, uint64_t *ret_number)
{
	char text[32];
	ssize_t len = procfs_read_text(AT_FDCWD, path, text, sizeof(text));

	return len < 0 ? (int)len : parse_number(text, 10, ret_number);
}

ssize_t procfs_read_text(int dir_fd, const char *path, char *text, size_t size)
{
	autoclose int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	while (used < size - 1 && (len = read(fd, text + used, size - 1 - used)) != 0) {
		if (len < 0)
			return -errno;
		used += (size_t)len;
	}
	text[used] = '\0';
	return (ssize_t)used;
}

static int octal(char c)
{
	return c >= '0' && c <= '7' ? c - '0' : -1;
}

void procfs_unescape(char *text)
{
	char *out = text;

	while (*text) {
		if (text[0] == '\\' && octal(text[1]) >= 0 && octal(text[2]) >= 0 &&
		    octal(text[3]) >= 0) {
			*out++ = (char)(octal(text[1]) << 6 | octal(text[2]) << 3 | octal(text[3]));
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

char *procfs_put_number(uint32_t number, char *at)
{
	char digits[10];
	unsigned len = 0;

	do
		digits[len++] = (char)('0' + number % 10);
	while (number /= 10);
	while (len)
		*at++ = digits[--len];
	return at;
}

void procfs_fd_path(int fd, char path[static PROCFS_FD_PATH_LEN])
{
	static const char directory[] = "/proc/self/fd/";

	memcpy(path, directory, sizeof(directory));
	*procfs_put_number((uint32_t)fd, path + sizeof(directory) - 1) = '\0';
}
