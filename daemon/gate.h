/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A gate keeps two kinds of change to one backing file apart in time: direct writes, which go
 * around the page cache, and everything that goes through it (buffered writes, truncation,
 * copies). Any number of one kind may be under way together, but never one of each.
 *
 * Why: an asynchronous direct write holds no lock of the backing filesystem while it is under
 * way. A buffered write to a neighbouring byte may meanwhile read the old page, and its writeback
 * then undoes the direct write, which has been acknowledged (S11). Once a buffered write has
 * returned, a direct one is safe: it first writes back and drops the pages of its range
 * (kiocb_invalidate_pages(), mm/filemap.c). The whole file is one gate, and not a page of it,
 * because a folio may span many pages, and a neighbour in the same folio that is dirty keeps the
 * direct write from dropping its own.
 *
 * There is a fixed number of gates, and a file has the one that its device and inode number hash
 * to. Two files that share one wait for each other now and then, which is harmless.
 *
 * A request that can't enter is parked in a list that hangs on the gate: it holds its slot, but
 * no thread and no lock (S6). The first one to be parked is of the kind that isn't under way, and
 * whoever comes after it is parked too, so neither kind can starve the other. The last one to
 * leave lets in all of the other kind. No wake-up can be lost, because kind, number and list
 * change together in one word.
 *
 * No function here blocks or takes a lock (S4, S5). Any thread.
 */
#ifndef CAISSON_GATE_H
#define CAISSON_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct request;

enum gate_kind { GATE_DIRECT, GATE_CACHED };

struct gate_table {
	_Atomic uint64_t *words; /* in the arena: see gate.c */
	struct request *requests;
	/* The parked request, still in state GATE, has entered. Must not block. */
	void (*entered)(void *arg, struct request *request);
	void *arg;
};

/* Plans ARENA_GATES. 0 or -EOVERFLOW. */
int gate_plan(struct arena *arena);

/* TABLE in the created ARENA; ENTERED and ARG as in the struct. */
void gate_init(struct gate_table *table, const struct arena *arena,
	       void (*entered)(void *arg, struct request *request), void *arg);

#define GATE_NO_NUMBER UINT32_MAX

/* The number of the gate of inode INO on device DEV (makedev()). */
uint32_t gate_of(uint64_t dev, uint64_t ino);

/*
 * REQUEST (state RUN) is to change the file of gate NUMBER in the way of KIND. True: it may, and
 * gate_leave() is due. False: it is parked (state GATE), and entered() will be called once, perhaps
 * before this returns: the caller touches it no more.
 */
bool gate_enter(struct gate_table *table, uint32_t number, enum gate_kind kind,
		struct request *request);

/* REQUEST, which has entered, has made its change. Calls entered() for those whom this lets in. */
void gate_leave(struct gate_table *table, struct request *request);

#endif
