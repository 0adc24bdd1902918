/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sums of a process's mappings: how much is locked, how much is present. Private to libcaisson. */
#ifndef CAISSON_PROC_MAPS_H
#define CAISSON_PROC_MAPS_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Sums of a smaps file. The fields mean the same as in struct caisson_audit_summary. */
struct proc_maps {
	uint64_t count;
	uint64_t unlocked_bytes, unlocked_count, unlocked_address;
	uint64_t special_bytes;
	uint64_t absent_bytes;
};

/*
 * Reads the smaps file PATH in the directory DIRFD. Returns 0; -ENOENT or -ESRCH if the task or its
 * memory is gone; -EBADMSG if the file is malformed; or another -errno of open() and read().
 */
int caisson_proc_maps(int dirfd, const char *path, struct proc_maps *ret_maps);

#pragma GCC visibility pop

#endif
