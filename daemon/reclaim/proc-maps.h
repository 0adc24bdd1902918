/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process's mappings, summed up: what of its memory is locked and there. Private, as proc.h. */
#ifndef CAISSON_PROC_MAPS_H
#define CAISSON_PROC_MAPS_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The sum of a smaps file. */
struct proc_maps {
	uint64_t count;
	uint64_t unlocked_bytes, unlocked_count, unlocked_address;
	uint64_t special_bytes;
	uint64_t absent_bytes;
};

/*
 * Reads the smaps file PATH beneath the directory DIRFD. Returns 0; -ENOENT or -ESRCH where the
 * task or its memory has gone; what else open() and read() fail with; or -EBADMSG.
 */
int caisson_proc_maps(int dirfd, const char *path, struct proc_maps *ret_maps);

#pragma GCC visibility pop

#endif
