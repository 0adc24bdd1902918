/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Gates and groups of syncs: who is parked, that nobody is forgotten, never two kinds at a time. */
#include "serve/gate.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"
#include "serve/request.h"
#include "serve/sync-group.h"
#include "store/inode.h"
#include "test.h"

enum { REQUESTS = 64, INODES = 16, ROW = 7, THREADS = 8 };

static struct arena arena;
static struct inode_table inodes;
static struct gate_table table;
static struct request *requests;
static _Atomic unsigned entries[REQUESTS]; /* calls of entered(), by request */

static void entered(void *arg, struct request *request)
{
	CHECK(arg == &arena);
	request_move(request, REQUEST_RUN);
	atomic_fetch_add(&entries[request->index], 1);
}

static void open_table(void)
{
	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), REQUESTS, 64) == 0);
	CHECK(inode_table_plan(&arena, INODES) == 0);
	CHECK(arena_create(&arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
	CHECK(inode_table_init(&inodes, &arena) == 0);
	table = (struct gate_table){
		.inodes = &inodes,
		.requests = requests,
		.entered = entered,
		.arg = &arena,
	};
	memset(entries, 0, sizeof(entries));
	for (uint32_t i = 0; i < REQUESTS; i++) {
		request_init(&requests[i], i, 0, 0, PAGE_BYTES);
		request_move(&requests[i], REQUEST_RUN);
	}
}

static void close_table(void)
{
	inode_table_destroy(&inodes);
	arena_destroy(&arena);
}

static bool enter(uint32_t index, enum gate_kind kind)
{
	return gate_enter(&table, ROW, kind, &requests[index]);
}

static void leave(uint32_t index)
{
	gate_leave(&table, &requests[index]);
}

static void one_kind_shares(void)
{
	open_table();
	for (uint32_t i = 0; i < 10; i++)
		CHECK(enter(i, GATE_CACHED) && requests[i].in_gate);
	for (uint32_t i = 0; i < 10; i++)
		leave(i);
	CHECK(enter(0, GATE_DIRECT));
	CHECK(gate_enter(&table, ROW + 1, GATE_CACHED, &requests[1])); /* another file's */
	leave(0);
	leave(1);
	close_table();
}

/* The other kind waits for all, then all of it comes in; whoever came later waits behind it. */
static void kinds_take_turns(void)
{
	open_table();
	CHECK(enter(0, GATE_DIRECT) && enter(1, GATE_DIRECT));
	CHECK(!enter(2, GATE_CACHED) && !enter(3, GATE_DIRECT) && !enter(4, GATE_CACHED));
	CHECK(request_state(&requests[3]) == REQUEST_GATE);
	leave(0);
	CHECK(!entries[2] && !entries[3] && !entries[4]);
	leave(1);
	CHECK(entries[2] == 1 && entries[4] == 1 && !entries[3]);
	CHECK(!enter(5, GATE_CACHED)); /* 3 was here before */
	leave(2);
	CHECK(!entries[3]);
	leave(4);
	CHECK(entries[3] == 1 && !entries[5]);
	leave(3);
	CHECK(entries[5] == 1);
	leave(5);
	CHECK(enter(6, GATE_DIRECT)); /* nothing is left behind */
	leave(6);
	close_table();
}

/* Runs FN in THREADS threads, each with a request of its own. */
static void run_threads(void *(*fn)(void *))
{
	pthread_t threads[THREADS];

	for (uint32_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, fn, &requests[i]) == 0);
	for (uint32_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static _Atomic int inside[2]; /* by kind */
static _Atomic bool overlapped;
#define ROUNDS 20000

/* A thread that changes one file over and over, in either way. */
static void *change(void *arg)
{
	struct request *request = arg;
	unsigned seed = request->index, got = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		enum gate_kind kind = (enum gate_kind)(rand_r(&seed) & 1);

		if (!enter(request->index, kind)) {
			while (atomic_load(&entries[request->index]) == got)
				sched_yield();
			got++;
		}
		atomic_fetch_add(&inside[kind], 1);
		if (atomic_load(&inside[!kind]))
			atomic_store(&overlapped, true);
		atomic_fetch_sub(&inside[kind], 1);
		leave(request->index);
	}
	return NULL;
}

/* Ends only if nobody is forgotten. */
static void threads_never_overlap(void)
{
	open_table();
	run_threads(change);
	CHECK(!atomic_load(&overlapped));
	CHECK(enter(0, GATE_CACHED));
	leave(0);
	close_table();
}

static void join(uint32_t index)
{
	sync_group_join(&table, ROW, &requests[index]);
}

/* Whether request number INDEX is the last of its group. */
static bool ends(uint32_t index)
{
	return sync_group_leave(&table, &requests[index]);
}

/* The first ones with a result wait for the others, also for one that came meanwhile. */
static void syncs_wait_for_each_other(void)
{
	open_table();
	join(0);
	CHECK(ends(0) && request_state(&requests[0]) == REQUEST_RUN);
	for (uint32_t i = 0; i < 3; i++)
		join(i);
	CHECK(!ends(1) && request_state(&requests[1]) == REQUEST_GATE);
	join(3);
	sync_group_join(&table, ROW + 1, &requests[4]); /* another file's */
	CHECK(ends(4));
	CHECK(!ends(3) && !ends(0) && !entries[1]);
	CHECK(ends(2) && request_state(&requests[2]) == REQUEST_RUN);
	CHECK(entries[0] == 1 && entries[1] == 1 && entries[3] == 1);
	CHECK(!entries[2] && !entries[4] && !requests[1].in_gate);
	join(5);
	CHECK(ends(5)); /* nothing is left behind */
	close_table();
}

static _Atomic unsigned rounds_begun[REQUESTS], rounds_done[REQUESTS]; /* by request */

/*
 * A thread that syncs one file over and over. When it may answer, all syncs that had begun before
 * its own result came have theirs.
 */
static void *sync_often(void *arg)
{
	struct request *request = arg;
	unsigned begun[REQUESTS], got = 0;

	for (unsigned round = 1; round <= ROUNDS; round++) {
		join(request->index);
		atomic_store(&rounds_begun[request->index], round);
		for (uint32_t i = 0; i < THREADS; i++)
			begun[i] = atomic_load(&rounds_begun[i]);
		atomic_store(&rounds_done[request->index], round);
		if (!ends(request->index)) {
			while (atomic_load(&entries[request->index]) == got)
				sched_yield();
			got++;
		}
		for (uint32_t i = 0; i < THREADS; i++) {
			if (atomic_load(&rounds_done[i]) < begun[i])
				atomic_store(&overlapped, true);
		}
	}
	return NULL;
}

/* Ends only if nobody is forgotten. */
static void threads_sync_together(void)
{
	open_table();
	run_threads(sync_often);
	CHECK(!atomic_load(&overlapped));
	join(0);
	CHECK(ends(0));
	close_table();
}

int main(void)
{
	RUN(one_kind_shares);
	RUN(kinds_take_turns);
	RUN(threads_never_overlap);
	RUN(syncs_wait_for_each_other);
	RUN(threads_sync_together);
	return test_result();
}
