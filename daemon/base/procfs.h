/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is read of /proc, and paths below it. Nothing here allocates or uses stdio, so it may run
 * after the seal. Any thread. libcaisson can't depend on this, and has readers of its own
 * (reclaim/proc.h).
 */
#ifndef CAISSON_PROCFS_H
#define CAISSON_PROCFS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The value of the line "KEY:<blanks>value" in the file PATH (as /proc/self/status has them) into
 * VALUE of LEN bytes, without blanks around it. Returns 0; -ENOENT where there is no such file or
 * line; -ENOSPC where it doesn't fit; or -errno.
 */
int procfs_read_value(const char *path, const char *key, char *value, uint32_t len);

/* As procfs_read_value(), for a number in BASE; -EINVAL where it isn't one. Units are left out. */
int procfs_read_number(const char *path, const char *key, int base, uint64_t *ret_number);

/* The number that the file PATH begins with, as those of /proc/sys. As procfs_read_number(). */
int procfs_read_setting(const char *path, uint64_t *ret_number);

/*
 * The first SIZE - 1 bytes of the file PATH beneath the directory DIR_FD into TEXT, with a NUL
 * behind them. Returns how many, or -errno.
 */
ssize_t procfs_read_text(int dir_fd, const char *path, char *text, size_t size);

/* Writes NUMBER to AT, ten digits at most and no NUL. Returns where they end. */
char *procfs_put_number(uint32_t number, char *at);

/*
 * "/proc/self/fd/FD", a path to what FD is open on, for calls that take nothing but a path: no name
 * is looked up again.
 */
#define PROCFS_FD_PATH_LEN 25
void procfs_fd_path(int fd, char path[static PROCFS_FD_PATH_LEN]);

#endif
