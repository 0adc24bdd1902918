/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/fd-marks.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/procfs.h"

#define WORD_BITS 64u

/* More than a process has open: where the limit is higher, it is as good as none. */
#define COUNT_MAX (1u << 23)

int fd_marks_init(struct fd_marks *marks)
{
	struct rlimit limit;
	uint64_t count;
	int r;

	/* slots of the kernel's table, so no descriptor is above */
	r = procfs_read_number("/proc/self/status", "FDSize", 10, &count);
	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	count = MAX(count, MIN(limit.rlim_cur, (rlim_t)COUNT_MAX));
	marks->count = (uint32_t)round_up(count, WORD_BITS);
	marks->bits = calloc(marks->count / WORD_BITS, sizeof(*marks->bits));
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

/* Closes what is below END, from FIRST on. */
static void close_between(uint32_t first, uint32_t end)
{
	if (end > first)
		(void)close_range(first, end - 1, 0); /* can't fail with these */
}

void fd_marks_sweep(const struct fd_marks *marks)
{
	uint32_t first = 0; /* of those that aren't marked */

	for (uint32_t i = 0; i < marks->count / WORD_BITS; i++) {
		for (uint64_t word = marks->bits[i]; word; word &= word - 1) {
			uint32_t fd = i * WORD_BITS + (uint32_t)__builtin_ctzll(word);

			close_between(first, fd);
			first = fd + 1;
		}
	}
	close_between(first, marks->count);
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
