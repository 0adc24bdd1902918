/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

void arena_init(struct arena *arena)
{
	*arena = (struct arena){
		.memfd = -1,
		.plan = {
			.magic = ARENA_MAGIC,
			.version = ARENA_VERSION,
			.tables = ARENA_TABLES,
			.len = PAGE_BYTES,
		},
	};
	_Static_assert(sizeof(struct arena_header) <= PAGE_BYTES, "the header is one page");
}

int arena_plan(struct arena *arena, enum arena_table table, uint64_t row_len, uint64_t count,
	       uint64_t align)
{
	uint64_t off, len, end;

	assert(!arena->base && arena->plan.span[table].off == 0);
	assert(is_power_of_two(align) && align <= PAGE_BYTES);

	off = round_up(arena->plan.len, align);
	if (off < arena->plan.len || __builtin_mul_overflow(row_len, count, &len) ||
	    __builtin_add_overflow(off, len, &end) || end > INT64_MAX)
		return -EOVERFLOW;

	arena->plan.span[table] =
		(struct arena_span){ .off = off, .row_len = row_len, .count = count };
	arena->plan.len = end;
	return 0;
}

uint64_t arena_len(const struct arena *arena)
{
	return round_up(arena->plan.len, PAGE_BYTES);
}

static int map(struct arena *arena, int memfd, uint64_t len)
{
	/* MAP_POPULATE reports no failure; caisson_memory_prefault() populates the pages later */
	void *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);

	if (base == MAP_FAILED)
		return -errno;
	arena->base = base;
	return 0;
}

int arena_create(struct arena *arena)
{
	uint64_t len = arena_len(arena);
	autoclose int memfd = -1;
	int r;

	memfd = memfd_create("caisson-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0)
		return -errno;
	/* without reserved memory the first use of a page could end in SIGBUS */
	r = posix_fallocate(memfd, 0, (off_t)len);
	if (r)
		return -r;
	/* nobody who holds the descriptor can change the length now */
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	r = map(arena, memfd, len);
	if (r < 0)
		return r;

	arena->plan.len = len;
	memcpy(arena->base, &arena->plan, sizeof(arena->plan));
	arena->memfd = steal_fd(&memfd);
	return 0;
}

static bool span_is_inside(const struct arena_span *span, uint64_t len)
{
	uint64_t bytes, end;

	return !__builtin_mul_overflow(span->row_len, span->count, &bytes) &&
	       !__builtin_add_overflow(span->off, bytes, &end) && end <= len;
}

static bool header_is_sound(const struct arena_header *header, uint64_t len)
{
	if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION ||
	    header->tables != ARENA_TABLES || header->len != len)
		return false;
	for (unsigned table = 0; table < ARENA_TABLES; table++) {
		if (!span_is_inside(&header->span[table], len))
			return false;
	}
	return true;
}

int arena_attach(struct arena *arena, int memfd)
{
	struct stat st;
	int r;

	if (fstat(memfd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)PAGE_BYTES)
		return -EBADMSG;

	arena_init(arena);
	r = map(arena, memfd, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	arena->memfd = memfd;
	memcpy(&arena->plan, arena->base, sizeof(arena->plan));
	if (!header_is_sound(&arena->plan, (uint64_t)st.st_size)) {
		(void)munmap(arena->base, (size_t)st.st_size); /* mapped just now */
		arena_init(arena);
		return -EBADMSG;
	}
	return 0;
}

void arena_destroy(struct arena *arena)
{
	if (arena->base)
		(void)munmap(arena->base, arena->plan.len); /* mapped by us: can't fail */
	close_fd(&arena->memfd);
	arena->base = NULL;
}

void *arena_table(const struct arena *arena, enum arena_table table)
{
	assert(arena->base);
	return arena->base + arena->plan.span[table].off;
}
