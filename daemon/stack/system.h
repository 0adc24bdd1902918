/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers for /proc and /sys, below a root that a test can choose. They don't allocate. They open
 * only files that the kernel makes up, never one on a mount that could hang. Any thread.
 *
 * Paths are relative to the root: system_number(system, PATH("proc/%d/oom_score_adj", pid), &n).
 */
#ifndef CAISSON_SYSTEM_H
#define CAISSON_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct system {
	int root_fd;		     /* "/", its caller's */
	int proc_fd, sys_fd, dev_fd; /* what is mounted there, so that "/" isn't asked; or 0 */
};

/* Opens "/" and these. Returns 0, after which system_close() is due, or -errno. */
int system_open(struct system *system);
void system_close(struct system *system);

/* Opens PATH. Returns a descriptor, which is the caller's, or -errno. */
int system_openat(const struct system *system, const char *path, int flags);

struct system_path {
	char text[2048];
};

/* Makes a path. One that is too long becomes "", which no function here finds (-ENOENT). */
struct system_path system_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same as a string that lives as long as the expression that PATH() stands in. */
#define PATH(...) (system_path(__VA_ARGS__).text)

/*
 * Reads the first SIZE - 1 bytes of a file into TEXT, without the newline at its end. Returns their
 * number or -errno.
 */
ssize_t system_read(const struct system *system, const char *path, char *text, size_t size);

/* Reads up to SIZE - 1 bytes at OFF, and adds a NUL. Returns their number or -errno. */
ssize_t system_read_at(const struct system *system, const char *path, uint64_t off, char *text,
		       size_t size);

/* The same from the beginning of a file that is open as FD. */
ssize_t system_read_open(int fd, char *text, size_t size);

/* Reads the decimal number at the beginning of a file. Returns 0, -EINVAL or -errno. */
int system_number(const struct system *system, const char *path, int64_t *ret_number);

/* Reads a file that holds "MAJOR:MINOR". Returns 0, -EINVAL or -errno. */
int system_dev(const struct system *system, const char *path, dev_t *ret_dev);

/* Reads a symbolic link into TEXT. Returns its length; -ENAMETOOLONG; or -errno. */
ssize_t system_link(const struct system *system, const char *path, char *text, size_t size);

/*
 * The same, but what is left out if it doesn't fit is in the middle: of /proc/PID/status it is
 * the list of groups.
 */
ssize_t system_read_ends(int fd, char *text, size_t size);

/* What the kernel adds to the path of a file that has no name any more; and whether PATH has it. */
#define SYSTEM_DELETED " (deleted)"
bool system_is_deleted(const char *path);

/*
 * Calls EACH with every name in a directory but "." and "..", until it returns non-zero. Returns
 * what EACH returned last, or -errno.
 */
typedef int system_name_fn(void *arg, const char *name);
int system_names(const struct system *system, const char *path, system_name_fn *each, void *arg);

/* A file that is read line by line. */
struct system_lines {
	int fd;
	size_t begin, end; /* what of text isn't returned yet */
	int64_t end_ms;	   /* for a pipe: when to give up (clock_ms()), or 0 */
	bool is_late;	   /* that time came */
	char text[8192];
};

/* Returns 0, after which system_lines_close() is due, or -errno. */
int system_lines_open(const struct system *system, const char *path, struct system_lines *lines);

/* The next line, or NULL. Of a line that doesn't fit, the beginning. Valid until the next call. */
char *system_lines_next(struct system_lines *lines);

void system_lines_close(struct system_lines *lines);

#endif
