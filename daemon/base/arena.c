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

/* Signals that may come while rows get memory. */
#define MEMORY_TRIES 100

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

int arena_plan_more(struct arena *arena, uint64_t row_len, uint64_t count)
{
	uint64_t len;

	assert(!arena->base && !arena->plan.more.count);
	if (__builtin_mul_overflow(row_len, count, &len) || len > INT64_MAX / 2)
		return -EOVERFLOW;
	arena->plan.more = (struct arena_span){ .row_len = row_len, .count = count };
	return 0;
}

uint64_t arena_len(const struct arena *arena)
{
	return round_up(arena->plan.len, PAGE_BYTES);
}

/* Bytes of the room for more rows, a multiple of the page size. */
static uint64_t more_len(const struct arena_header *plan)
{
	return round_up(plan->more.row_len * plan->more.count, PAGE_BYTES);
}

static int map(struct arena *arena, int memfd, const struct arena_header *plan)
{
	uint64_t more = more_len(plan);
	/* MAP_POPULATE reports no failure; caisson_memory_prefault() populates the pages later */
	void *base =
		mmap(NULL, plan->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
	void *room;

	if (base == MAP_FAILED)
		return -errno;
	arena->base = base;
	room = more ? mmap(NULL, more, PROT_NONE, MAP_SHARED, memfd, (off_t)plan->len) : MAP_FAILED;
	arena->more = room == MAP_FAILED ? NULL : room;
	return 0;
}

int arena_create(struct arena *arena)
{
	uint64_t len = arena_len(arena), more = more_len(&arena->plan);
	autoclose int memfd = -1;
	int r;

	memfd = memfd_create("caisson-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0)
		return -errno;
	/* without reserved memory the first use of a page could end in SIGBUS */
	r = posix_fallocate(memfd, 0, (off_t)len);
	if (r)
		return -r;
	if (ftruncate(memfd, (off_t)(len + more)) < 0)
		return -errno;
	/* nobody who holds the descriptor can change the length now */
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	arena->plan.len = len;
	arena->plan.more.off = len;
	r = map(arena, memfd, &arena->plan);
	if (r < 0)
		return r;

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

/* Whether HEADER can be that of an arena in a file of FILE_LEN bytes. */
static bool header_is_sound(const struct arena_header *header, uint64_t file_len)
{
	if (header->magic != ARENA_MAGIC || header->version != ARENA_VERSION ||
	    header->tables != ARENA_TABLES || header->len < PAGE_BYTES || header->len > file_len ||
	    !is_aligned(header->len, PAGE_BYTES) || header->more.off != header->len ||
	    !span_is_inside(&header->more, file_len) || header->len + more_len(header) != file_len)
		return false;
	for (unsigned table = 0; table < ARENA_TABLES; table++) {
		if (!span_is_inside(&header->span[table], header->len))
			return false;
	}
	return true;
}

int arena_attach(struct arena *arena, int memfd)
{
	struct arena_header header;
	struct stat st;
	ssize_t n;
	int r;

	if (fstat(memfd, &st) < 0)
		return -errno;
	n = pread(memfd, &header, sizeof(header), 0);
	if (n < 0)
		return -errno;
	if (n != (ssize_t)sizeof(header) || !header_is_sound(&header, (uint64_t)st.st_size))
		return -EBADMSG;

	arena_init(arena);
	r = map(arena, memfd, &header);
	if (r < 0)
		return r;
	arena->plan = header;
	arena->memfd = memfd;
	return 0;
}

bool arena_is_as_planned(const struct arena *arena, const struct arena *plan)
{
	const struct arena_header *is = &arena->plan, *planned = &plan->plan;

	return memcmp(is->span, planned->span, sizeof(is->span)) == 0 &&
	       is->more.row_len == planned->more.row_len && is->more.count == planned->more.count;
}

void arena_destroy(struct arena *arena)
{
	/* both were mapped by us, so this can't fail */
	if (arena->base)
		(void)munmap(arena->base, arena->plan.len);
	if (arena->more)
		(void)munmap(arena->more, more_len(&arena->plan));
	close_fd(&arena->memfd);
	arena->base = arena->more = NULL;
}

void *arena_more(const struct arena *arena)
{
	assert(arena->base);
	return arena->more;
}

/* fallocate() that isn't ended by the first signal, as posix_fallocate() never is by any. */
static int give_memory(int memfd, uint64_t off, uint64_t len)
{
	for (int tries = 0; tries < MEMORY_TRIES; tries++) {
		if (fallocate(memfd, 0, (off_t)off, (off_t)len) == 0)
			return 0;
		if (errno != EINTR)
			break;
	}
	return -errno;
}

int arena_make_more(struct arena *arena, uint64_t first, uint64_t count)
{
	const struct arena_span *more = &arena->plan.more;
	uint64_t off = first * more->row_len, len = count * more->row_len;
	int r;

	assert(first + count <= more->count);
	assert(is_aligned(off, PAGE_BYTES) && is_aligned(len, PAGE_BYTES));
	if (!len)
		return 0;
	if (!arena->more)
		return -ENOMEM;
	r = give_memory(arena->memfd, more->off + off, len);
	if (r < 0)
		return r;
	if (mprotect(arena->more + off, len, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	/* before Linux 5.14 the first use of a page faults */
	if (madvise(arena->more + off, len, MADV_POPULATE_WRITE) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

void *arena_table(const struct arena *arena, enum arena_table table)
{
	assert(arena->base);
	return arena->base + arena->plan.span[table].off;
}
