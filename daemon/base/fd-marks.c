/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd-marks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/procfs.h"

#define WORD_BITS 64u

int fd_marks_init(struct fd_marks *marks)
{
	uint64_t count;
	int r;

	/* slots of the kernel's table, so no descriptor is above */
	r = procfs_read_number("/proc/self/status", "FDSize", 10, &count);
	if (r < 0)
		return r;
	marks->count = 2 * (uint32_t)count;
	marks->bits = calloc(marks->count / WORD_BITS + 1, sizeof(*marks->bits));
	return marks->bits ? 0 : -ENOMEM;
}

void fd_marks_destroy(struct fd_marks *marks)
{
	free(marks->bits);
	marks->bits = NULL;
}

void fd_marks_add(struct fd_marks *marks, int fd)
{
	if (fd < 0 || (uint32_t)fd >= marks->count)
		return;
	marks->bits[(uint32_t)fd / WORD_BITS] |= 1ull << (uint32_t)fd % WORD_BITS;
}

static bool is_marked(const struct fd_marks *marks, uint32_t fd)
{
	return marks->bits[fd / WORD_BITS] & 1ull << fd % WORD_BITS;
}

void fd_marks_sweep(const struct fd_marks *marks)
{
	uint32_t first = 0; /* of those that aren't marked */

	for (uint32_t fd = 0; fd <= marks->count; fd++) {
		if (fd < marks->count && !is_marked(marks, fd))
			continue;
		if (fd > first)
			(void)close_range(first, fd - 1, 0); /* can't fail with these */
		first = fd + 1;
	}
}

void fd_close_others(int a, int b)
{
	const int kept[] = { MIN(a, b), MAX(a, b) };
	int first = STDERR_FILENO + 1;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (kept[i] > first) /* can't fail with these */
			(void)close_range((unsigned)first, (unsigned)kept[i] - 1, 0);
		first = MAX(first, kept[i] + 1);
	}
	(void)close_range((unsigned)first, ~0u, 0);
}
