/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers for files of /proc, and paths in it. They don't allocate and don't use stdio, so they may
 * run after the seal. Any thread. libcaisson can't depend on base, so it has readers of its own
 * (reclaim/proc.h).
 */
#ifndef CAISSON_PROCFS_H
#define CAISSON_PROCFS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Reads the line "KEY:<blanks>value" of the file PATH, such as /proc/self/status, into VALUE of LEN
 * bytes, without blanks around it. Returns 0; -ENOENT if there is no such file or line; -ENOSPC if
 * it doesn't fit; or -errno.
 */
int procfs_read_value(const char *path, const char *key, char *value, uint32_t len);

/* As procfs_read_value(), for a number in BASE; -EINVAL if it isn't one. Ignores units. */
int procfs_read_number(const char *path, const char *key, int base, uint64_t *ret_number);

/* Reads the number at the beginning of the file PATH. As procfs_read_number(). */
int procfs_read_setting(const char *path, uint64_t *ret_number);

/*
 * Reads the first SIZE - 1 bytes of the file PATH in the directory DIR_FD into TEXT and adds a NUL.
 * Returns how many bytes it read, or -errno.
 */
ssize_t procfs_read_text(int dir_fd, const char *path, char *text, size_t size);

/* Undoes in place the \ooo by which the kernel writes blanks and the like in its tables. */
void procfs_unescape(char *text);

/* Writes NUMBER to AT, at most ten digits without a NUL. Returns the end of the digits. */
char *procfs_put_number(uint32_t number, char *at);

/*
 * Writes "/proc/self/fd/FD", a path that leads to the file of FD without looking up its name again.
 * It is for calls that take only paths.
 */
#define PROCFS_FD_PATH_LEN 25
void procfs_fd_path(int fd, char path[static PROCFS_FD_PATH_LEN]);

#endif
