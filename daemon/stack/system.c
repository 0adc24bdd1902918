/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "base/procfs.h"

struct system_path system_path(const char *format, ...)
{
	struct system_path path;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(path.text, sizeof(path.text), format, args);
	va_end(args);
	if (len < 0 || len >= (int)sizeof(path.text))
		path.text[0] = '\0';
	return path;
}

int system_open(struct system *system)
{
	system->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	system->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	system->sys_fd = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	system->dev_fd = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (system->root_fd >= 0 && system->proc_fd >= 0 && system->sys_fd >= 0 &&
	    system->dev_fd >= 0)
		return 0;
	system_close(system);
	return -ENOENT;
}

void system_close(struct system *system)
{
	close_fd(&system->root_fd);
	close_fd(&system->proc_fd);
	close_fd(&system->sys_fd);
	close_fd(&system->dev_fd);
}

/* Which directory PATH goes from, and what is left of PATH. */
static int base_of(const struct system *system, const char **path)
{
	const struct {
		const char *name;
		int fd;
	} bases[] = {
		{ "proc", system->proc_fd },
		{ "sys", system->sys_fd },
		{ "dev", system->dev_fd },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		size_t len = strlen(bases[i].name);

		if (bases[i].fd <= 0 || strncmp(*path, bases[i].name, len) != 0)
			continue;
		if ((*path)[len] == '/' || !(*path)[len]) {
			*path = (*path)[len] ? *path + len + 1 : ".";
			return bases[i].fd;
		}
	}
	return system->root_fd;
}

int system_openat(const struct system *system, const char *path, int flags)
{
	int base = base_of(system, &path);
	int fd = openat(base, path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

ssize_t system_read(const struct system *system, const char *path, char *text, size_t size)
{
	int base = base_of(system, &path);
	ssize_t len = procfs_read_text(base, path, text, size);

	while (len > 0 && text[len - 1] == '\n')
		text[--len] = '\0';
	return len;
}

/* Reads FD from OFF on, or from its position if OFF is -1. What was read before an error counts. */
static ssize_t read_on(int fd, off_t off, char *text, size_t size)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < size - 1) {
		ssize_t len = off < 0 ? read(fd, text + at, size - 1 - at)
				      : pread(fd, text + at, size - 1 - at, off + (off_t)at);

		if (len <= 0)
			r = len < 0 && !at ? -errno : 1;
		else
			at += (size_t)len;
	}
	if (r < 0)
		return r;
	text[at] = '\0';
	return (ssize_t)at;
}

ssize_t system_read_at(const struct system *system, const char *path, uint64_t off, char *text,
		       size_t size)
{
	autoclose int fd = system_openat(system, path, O_RDONLY);

	if (fd < 0)
		return fd;
	/* some files, such as those of fusectl, have no positions */
	return read_on(fd, off ? (off_t)off : -1, text, size);
}

ssize_t system_read_open(int fd, char *text, size_t size)
{
	return read_on(fd, 0, text, size);
}

ssize_t system_read_ends(int fd, char *text, size_t size)
{
	const size_t head = size / 4, tail = size / 3;
	size_t at = 0;
	off_t off = 0;
	ssize_t len;

	while ((len = pread(fd, text + at, size - 1 - at, off)) > 0) {
		at += (size_t)len;
		off += len;
		if (at < size - 1)
			continue;
		memmove(text + head, text + at - tail, tail);
		at = head + tail;
	}
	if (len < 0 && !off)
		return -errno;
	text[at] = '\0';
	return (ssize_t)at;
}

int system_number(const struct system *system, const char *path, int64_t *ret_number)
{
	char text[32], *end;
	ssize_t len = system_read(system, path, text, sizeof(text));
	int64_t number;

	if (len < 0)
		return (int)len;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno || end == text)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

int system_dev(const struct system *system, const char *path, dev_t *ret_dev)
{
	unsigned major, minor;
	char text[32];
	ssize_t len = system_read(system, path, text, sizeof(text));

	if (len < 0)
		return (int)len;
	if (sscanf(text, "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	*ret_dev = makedev(major, minor);
	return 0;
}

ssize_t system_link(const struct system *system, const char *path, char *text, size_t size)
{
	int base = base_of(system, &path);
	ssize_t len = readlinkat(base, path, text, size);

	if (len < 0)
		return -errno;
	if ((size_t)len == size)
		return -ENAMETOOLONG;
	text[len] = '\0';
	return len;
}

bool system_is_deleted(const char *path)
{
	size_t len = strlen(path), end = strlen(SYSTEM_DELETED);

	return len > end && strcmp(path + len - end, SYSTEM_DELETED) == 0;
}

/* Calls EACH for the names of the LEN bytes of records at BUF. */
static int each_record(const char *buf, size_t len, system_name_fn *each, void *arg)
{
	int r = 0;

	for (size_t at = 0; at < len && r == 0;) {
		const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = each(arg, entry->d_name);
		at += entry->d_reclen;
	}
	return r;
}

int system_names(const struct system *system, const char *path, system_name_fn *each, void *arg)
{
	char buf[4096] __attribute__((aligned(8)));
	autoclose int fd = system_openat(system, path, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 ? fd : 0;
	long len;

	/* opendir() would allocate */
	while (r == 0 && (len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) != 0)
		r = len < 0 ? -errno : each_record(buf, (size_t)len, each, arg);
	return r;
}

int system_lines_open(const struct system *system, const char *path, struct system_lines *lines)
{
	lines->begin = lines->end = 0;
	lines->end_ms = 0;
	lines->is_late = false;
	lines->fd = system_openat(system, path, O_RDONLY);
	return lines->fd < 0 ? lines->fd : 0;
}

/* Waits until there is something to read, if the time for that is limited. */
static bool await(struct system_lines *lines)
{
	struct pollfd pipe = { .fd = lines->fd, .events = POLLIN };
	int64_t left = lines->end_ms - clock_ms();

	if (!lines->end_ms)
		return true;
	lines->is_late = left <= 0 || poll(&pipe, 1, (int)left) == 0;
	return !lines->is_late;
}

/* Moves what is left to the front and reads more. Returns false at the end of the file. */
static bool fill(struct system_lines *lines)
{
	ssize_t len;

	memmove(lines->text, lines->text + lines->begin, lines->end - lines->begin);
	lines->end -= lines->begin;
	lines->begin = 0;
	if (lines->end == sizeof(lines->text) - 1 || !await(lines))
		return false;
	len = read(lines->fd, lines->text + lines->end, sizeof(lines->text) - 1 - lines->end);
	if (len <= 0)
		return false;
	lines->end += (size_t)len;
	return true;
}

/* Drops the rest of a line of which the beginning was returned. */
static void skip_line(struct system_lines *lines)
{
	char c = '\0';

	while (c != '\n' && read(lines->fd, &c, 1) == 1)
		;
}

char *system_lines_next(struct system_lines *lines)
{
	char *line, *newline;

	for (;;) {
		line = lines->text + lines->begin;
		newline = memchr(line, '\n', lines->end - lines->begin);
		if (newline) {
			*newline = '\0';
			lines->begin = (size_t)(newline + 1 - lines->text);
			return line;
		}
		if (!fill(lines))
			break;
	}
	if (lines->begin == lines->end)
		return NULL;
	if (lines->end == sizeof(lines->text) - 1)
		skip_line(lines);
	lines->text[lines->end] = '\0';
	line = lines->text + lines->begin;
	lines->begin = lines->end = 0;
	return line;
}

void system_lines_close(struct system_lines *lines)
{
	close_fd(&lines->fd);
}
