/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's side of the IO_FLUSHER state, as a seam: a unit test puts a model of a kernel
 * here, one that gives and takes the capability, loses marks and lies. Private to libcaisson.
 */
#ifndef CAISSON_RECLAIM_KERNEL_H
#define CAISSON_RECLAIM_KERNEL_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

struct flusher_kernel {
	/* The CAISSON_FLUSHER_MASK bits of the calling task. Returns 0 or -errno. */
	int (*get)(uint32_t *ret_flags);
	/* Sets both bits (1) or clears both (0), in the calling task. Returns 0 or -errno. */
	int (*set)(unsigned long on);
};

/* Written by tests only, while no other thread is in the library. */
extern const struct flusher_kernel *caisson_flusher_kernel;

#pragma GCC visibility pop

#endif
