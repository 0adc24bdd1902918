/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The time since some moment, which nobody can set (CLOCK_MONOTONIC). Any thread. */
#ifndef CAISSON_CLOCK_H
#define CAISSON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline int64_t clock_ms(void)
{
	return (int64_t)(clock_us() / 1000);
}

#endif
