/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is allocated ahead of which write. */
#include "store/prealloc.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/macro.h"
#include "store/inode.h"
#include "test.h"

#define PIECE	 (1u << 20)
#define BLOCK	 4096u
#define SHARE	 (PIECE / 16)
#define NODEID	 2u
#define THIN_LEN (10ull * PIECE + 3 * BLOCK)

static struct arena arena;
static struct prealloc prealloc;
static struct inode inode;

static void setup(uint64_t piece_len)
{
	arena_init(&arena);
	CHECK_EQ(prealloc_plan(&arena, piece_len), 0);
	CHECK_EQ(arena_create(&arena), 0);
	prealloc_init(&prealloc, &arena, piece_len);
	atomic_store(&prealloc.roomy, piece_len != 0);
	inode = (struct inode){ 0 };
	inode_note_size(&inode, THIN_LEN);
}

/* A write of LEN bytes at OFF: the length of what is due before it, or 0. */
static uint64_t due(uint64_t nodeid, uint64_t off, uint64_t len)
{
	uint64_t begin, due_len;

	if (!prealloc_is_due(&prealloc, &inode, nodeid, off, len, &begin, &due_len))
		return 0;
	CHECK_EQ(begin, off / PIECE * PIECE);
	return due_len;
}

/*
 * Two writes to the piece at OFF, together of just what makes it due: what is, before the second.
 */
static uint64_t due_by_two(uint64_t nodeid, uint64_t off)
{
	CHECK_EQ(due(nodeid, off, SHARE - BLOCK), 0u);
	return due(nodeid, off, BLOCK);
}

static void a_sixteenth_of_a_piece(void)
{
	setup(PIECE);
	for (uint32_t i = 0; i < SHARE / BLOCK - 1; i++) {
		CHECK_EQ(due(NODEID, 5 * PIECE + i * 2 * BLOCK, BLOCK), 0u);
		CHECK_EQ(due(NODEID, 4 * PIECE, BLOCK), 0u);
	}
	CHECK_EQ(due(NODEID, 6 * PIECE - BLOCK, BLOCK), PIECE);
	CHECK_EQ(due(NODEID, 5 * PIECE + BLOCK, BLOCK), 0u);
	CHECK_EQ(due(NODEID, 4 * PIECE, BLOCK), PIECE);
	/* another file's pieces are others */
	CHECK_EQ(due_by_two(NODEID + 1, 5 * PIECE), PIECE);
	arena_destroy(&arena);
}

static void not_for_a_lone_write(void)
{
	setup(PIECE);
	CHECK_EQ(due(NODEID, 0, PIECE - BLOCK), 0u);
	CHECK_EQ(due(NODEID, 0, 1), PIECE);
	/* the shortest count, too */
	for (uint32_t i = 0; i < SHARE / BLOCK - 1; i++)
		CHECK_EQ(due(NODEID, 3 * PIECE, 1), 0u);
	CHECK_EQ(due(NODEID, 3 * PIECE, 1), PIECE);
	for (uint32_t i = 0; i < 2 * SHARE / BLOCK; i++)
		CHECK_EQ(due(NODEID, 2 * PIECE, 0), 0u);
	arena_destroy(&arena);
}

static void within_what_is_thin(void)
{
	setup(PIECE);
	CHECK_EQ(due_by_two(NODEID, 10 * PIECE), 3 * BLOCK);
	/* beyond it, a file grows as it is written to */
	CHECK_EQ(due_by_two(NODEID, THIN_LEN), 0u);
	/* nor in what has no holes */
	inode = (struct inode){ .known_len = THIN_LEN };
	CHECK_EQ(due_by_two(NODEID, 0), 0u);
	arena_destroy(&arena);
}

static void not_where_a_write_is_a_piece(void)
{
	uint64_t off, len;

	setup(PIECE);
	for (int i = 0; i < 3; i++)
		CHECK(!prealloc_is_due(&prealloc, &inode, NODEID, 0, PIECE, &off, &len));
	arena_destroy(&arena);
}

static void again_after_new_holes(void)
{
	setup(PIECE);
	CHECK_EQ(due_by_two(NODEID, 0), PIECE);
	inode_note_hole(&inode);
	CHECK_EQ(due_by_two(NODEID, 0), PIECE);
	/* all that is known of is still thin */
	CHECK_EQ(due_by_two(NODEID, 9 * PIECE), PIECE);
	/* truncated and extended: as the last truncation says */
	inode_note_size(&inode, 0);
	CHECK_EQ(due_by_two(NODEID, 0), 0u);
	arena_destroy(&arena);
}

static void off_without_a_hint(void)
{
	setup(0);
	CHECK_EQ(arena.plan.span[ARENA_PREALLOC].count, 0u);
	CHECK_EQ(due_by_two(NODEID, 0), 0u);
	arena_destroy(&arena);
}

static void not_without_room(void)
{
	setup(PIECE);
	atomic_store(&prealloc.roomy, false);
	CHECK_EQ(due_by_two(NODEID, 0), 0u);
	prealloc_look(&prealloc, -1);
	CHECK(!atomic_load(&prealloc.roomy));
	arena_destroy(&arena);
}

/* However many have been written to: writes in a row to one piece are enough for it. */
static void old_pieces_make_room(void)
{
	const uint64_t pieces = 1u << 20;

	setup(PIECE);
	inode_note_size(&inode, pieces * PIECE);
	for (uint64_t piece = 0; piece < pieces; piece++) {
		CHECK_EQ(due_by_two(NODEID, piece * PIECE), PIECE);
		CHECK_EQ(due(NODEID, piece * PIECE, BLOCK), 0u);
	}
	arena_destroy(&arena);
}

#define THREADS 4
#define ROUNDS	2000u
static _Atomic uint32_t allocated;

static void *write_all(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		if (due(NODEID, (uint64_t)i * PIECE, SHARE))
			atomic_fetch_add(&allocated, 1);
	}
	return NULL;
}

static void once_of_many_threads(void)
{
	pthread_t threads[THREADS];

	setup(PIECE);
	inode_note_size(&inode, (uint64_t)ROUNDS * PIECE);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, write_all, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	/* pieces that share a row take turns: some 2000²/2^19 pairs */
	CHECK(atomic_load(&allocated) <= ROUNDS + ROUNDS / 20);
	/* where several were first at the same time, none was second */
	write_all(NULL);
	write_all(NULL);
	CHECK(atomic_load(&allocated) >= ROUNDS - ROUNDS / 20);
	CHECK(atomic_load(&allocated) <= ROUNDS + ROUNDS / 20);
	arena_destroy(&arena);
}

int main(void)
{
	RUN(a_sixteenth_of_a_piece);
	RUN(not_for_a_lone_write);
	RUN(within_what_is_thin);
	RUN(not_where_a_write_is_a_piece);
	RUN(again_after_new_holes);
	RUN(not_without_room);
	RUN(off_without_a_hint);
	RUN(old_pieces_make_room);
	RUN(once_of_many_threads);
	return test_result();
}
