/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's calls for the IO_FLUSHER state, as function pointers. A unit test replaces them by
 * a model of a kernel that grants or refuses the capability, loses marks and lies. Private to
 * libcaisson.
 */
#ifndef CAISSON_RECLAIM_KERNEL_H
#define CAISSON_RECLAIM_KERNEL_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

struct flusher_kernel {
	/* Gets the CAISSON_FLUSHER_MASK bits of the calling task. Returns 0 or -errno. */
	int (*get)(uint32_t *ret_flags);
	/* Sets both bits of the calling task (1) or clears both (0). Returns 0 or -errno. */
	int (*set)(unsigned long on);
};

/* Only tests change it, while no other thread is in the library. */
extern const struct flusher_kernel *caisson_flusher_kernel;

#pragma GCC visibility pop

#endif
