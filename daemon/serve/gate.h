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
 * (kiocb_invalidate_pages(), mm/filemap.c). The whole file has one gate, and not each page of it,
 * because a folio may span many pages, and a neighbour in the same folio that is dirty keeps the
 * direct write from dropping its own. It is in the file's primary row (inode.h), and lasts as long
 * as a request on the file does.
 *
 * A request that can't enter is parked in a list that hangs on the gate: it holds its slot, but
 * no lock, and none of the data path's threads (S6). Whoever is in a gate has a thread, or its
 * I/O is under way: nobody waits for a thread in there. The first one to be parked is of the kind
 * that isn't under way, and whoever comes after it is parked too, so neither kind can starve the
 * other. The last one to leave lets in all of the other kind. No wake-up can be lost, because
 * kind, number and list change together in one word.
 *
 * No function here blocks or takes a lock (S4, S5). Any thread.
 */
#ifndef CAISSON_GATE_H
#define CAISSON_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct inode_table;
struct request;

enum gate_kind { GATE_DIRECT, GATE_CACHED };

struct gate_table {
	const struct inode_table *inodes;
	struct request *requests;
	/* The parked request, still in state GATE, has entered. Must not block. */
	void (*entered)(void *arg, struct request *request);
	void *arg;
};

/*
 * REQUEST (state RUN) is to change the file of the primary row ROW in the way of KIND. True: it
 * may, and gate_leave() is due. False: it is parked (state GATE), and entered() will be called
 * once, perhaps before this returns: the caller touches it no more until then.
 */
bool gate_enter(struct gate_table *table, uint32_t row, enum gate_kind kind,
		struct request *request);

/* REQUEST, which has entered, has made its change. Calls entered() for those whom this lets in. */
void gate_leave(struct gate_table *table, struct request *request);

#endif
