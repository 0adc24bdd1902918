/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single values of /proc, read without allocating. Any thread. */
#ifndef CAISSON_PROCFS_H
#define CAISSON_PROCFS_H

#include <stdint.h>

/*
 * The value of the line "KEY:<blanks>value" in the file PATH (as /proc/self/status has them) into
 * VALUE of LEN bytes, without blanks around it. Returns 0; -ENOENT where there is no such file or
 * line; -ENOSPC where it doesn't fit; or -errno.
 */
int procfs_read_value(const char *path, const char *key, char *value, uint32_t len);

/* As procfs_read_value(), for a number in BASE; -EINVAL where it isn't one. Units are left out. */
int procfs_read_number(const char *path, const char *key, int base, uint64_t *ret_number);

#endif
