/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arena: layout, limits, mapping it again elsewhere, and what a damaged one does. */
#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "test.h"

static void plan_two(struct arena *arena)
{
	arena_init(arena);
	CHECK(arena_plan(arena, ARENA_REQUESTS, 24, 7, 8) == 0);
	CHECK(arena_plan(arena, ARENA_DATA_BUFFERS, 2 * PAGE_BYTES, 3, PAGE_BYTES) == 0);
}

static void lays_tables_out_apart(void)
{
	struct arena arena;
	uint8_t *requests, *buffers;

	plan_two(&arena);
	CHECK(is_aligned(arena_len(&arena), PAGE_BYTES));
	CHECK(arena_create(&arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
	buffers = arena_table(&arena, ARENA_DATA_BUFFERS);
	CHECK(requests >= arena.base + sizeof(struct arena_header));
	CHECK(buffers >= requests + (size_t)7 * 24);
	CHECK(is_aligned((uintptr_t)buffers, PAGE_BYTES));
	CHECK(buffers + (size_t)6 * PAGE_BYTES <= arena.base + arena_len(&arena));
	CHECK(arena_at(&arena, arena_off(&arena, buffers)) == buffers);
	arena_destroy(&arena);
}

static void refuses_what_overflows(void)
{
	struct arena arena;

	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_INODES, UINT64_MAX / 2, 3, 8) == -EOVERFLOW);
	CHECK(arena_plan(&arena, ARENA_INODES, INT64_MAX, 1, 8) == -EOVERFLOW);
	CHECK(arena_plan(&arena, ARENA_INODES, 64, 1, 64) == 0);
}

static void is_populated_and_of_fixed_length(void)
{
	struct arena arena;
	unsigned char resident[64];
	size_t pages;

	plan_two(&arena);
	CHECK(arena_create(&arena) == 0);
	pages = arena_len(&arena) / PAGE_BYTES;
	CHECK(pages <= sizeof(resident));
	CHECK(mincore(arena.base, arena_len(&arena), resident) == 0);
	for (size_t i = 0; i < pages; i++)
		CHECK(resident[i] & 1);
	CHECK(ftruncate(arena.memfd, 0) < 0 && errno == EPERM);
	arena_destroy(&arena);
}

static void is_the_same_when_attached(void)
{
	struct arena made, attached;

	plan_two(&made);
	CHECK(arena_create(&made) == 0);
	memset(arena_table(&made, ARENA_REQUESTS), 0x5a, (size_t)7 * 24);
	CHECK(arena_attach(&attached, dup(made.memfd)) == 0);
	CHECK(attached.base != made.base);
	CHECK(memcmp(arena_table(&attached, ARENA_REQUESTS), arena_table(&made, ARENA_REQUESTS),
		     (size_t)7 * 24) == 0);
	arena_destroy(&attached);
	arena_destroy(&made);
}

static void more_rows_are_made_behind_the_tables(void)
{
	struct arena made, attached;
	uint64_t *rows;
	struct stat st;

	plan_two(&made);
	CHECK(arena_plan_more(&made, UINT64_MAX / 2, 3) == -EOVERFLOW);
	CHECK(arena_plan_more(&made, 8, 2 * PAGE_BYTES) == 0);
	CHECK(arena_create(&made) == 0);
	rows = arena_more(&made);
	CHECK(rows != NULL);
	CHECK(fstat(made.memfd, &st) == 0);
	CHECK_EQ(st.st_blocks * 512, arena_len(&made));

	CHECK(arena_make_more(&made, 0, 0) == 0);
	CHECK(arena_make_more(&made, 512, 512) == 0);
	CHECK(fstat(made.memfd, &st) == 0);
	CHECK_EQ(st.st_blocks * 512, arena_len(&made) + PAGE_BYTES);
	rows[512] = 17;
	CHECK(arena_attach(&attached, dup(made.memfd)) == 0);
	CHECK(arena_make_more(&attached, 0, 1024) == 0);
	rows = arena_more(&attached);
	CHECK_EQ(rows[512], 17);
	CHECK_EQ(rows[0], 0);
	arena_destroy(&attached);
	arena_destroy(&made);
}

static void does_without_room_for_more_rows(void)
{
	struct arena arena;

	plan_two(&arena);
	/* more than there are addresses; a limit of locked memory does the same */
	CHECK(arena_plan_more(&arena, 1ull << 20, 1ull << 32) == 0);
	CHECK_EQ(arena_create(&arena), 0);
	CHECK(arena_more(&arena) == NULL);
	CHECK_EQ(arena_make_more(&arena, 0, 0), 0);
	CHECK_EQ(arena_make_more(&arena, 0, 1), -ENOMEM);
	arena_destroy(&arena);
}

static void refuses_a_damaged_one(void)
{
	static const struct {
		size_t off;
		uint64_t value;
	} damage[] = {
		{ offsetof(struct arena_header, magic), 1 },
		{ offsetof(struct arena_header, version), ARENA_VERSION + 1 },
		{ offsetof(struct arena_header, len), 1u << 30 },
		{ offsetof(struct arena_header, len), PAGE_BYTES },
		{ offsetof(struct arena_header, more.count), 1u << 20 },
		{ offsetof(struct arena_header, more.off), 0 },
		{ offsetof(struct arena_header, span[ARENA_REQUESTS].count), 1u << 30 },
		{ offsetof(struct arena_header, span[ARENA_REQUESTS].off), UINT64_MAX },
		{ offsetof(struct arena_header, span[ARENA_REQUESTS].row_len), UINT64_MAX / 4 },
	};
	int empty;

	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct arena made, attached;
		int memfd;

		plan_two(&made);
		CHECK(arena_plan_more(&made, 8, 512) == 0);
		CHECK(arena_create(&made) == 0);
		memcpy(made.base + damage[i].off, &damage[i].value, sizeof(damage[i].value));
		memfd = dup(made.memfd);
		CHECK(arena_attach(&attached, memfd) == -EBADMSG);
		CHECK(fcntl(memfd, F_GETFD) >= 0); /* still the caller's */
		close(memfd);
		arena_destroy(&made);
	}
	empty = memfd_create("empty", MFD_CLOEXEC);
	CHECK(arena_attach(&(struct arena){ 0 }, empty) == -EBADMSG);
	close(empty);
}

int main(void)
{
	RUN(lays_tables_out_apart);
	RUN(refuses_what_overflows);
	RUN(is_populated_and_of_fixed_length);
	RUN(is_the_same_when_attached);
	RUN(more_rows_are_made_behind_the_tables);
	RUN(does_without_room_for_more_rows);
	RUN(refuses_a_damaged_one);
	return test_result();
}
