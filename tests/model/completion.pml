/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models an I/O completion that needs memory (seed 003, XFS's unwritten extents and memory
 * cgroups). The worker that ends a page's writeback first commits a transaction, for which it
 * allocates memory. Reclaim waits for the writeback of another page, whose completion is later in
 * the same queue.
 *
 * caisson's answer is rule S5: completing a request takes nothing that a waiting request can hold.
 *
 * #@ packages: spin
 * #@ finds: hazard
 * #@ finds: hazard-two-workers -DWORKERS=2
 * #@ clean: fixed-preallocated -DPREALLOCATED -DWORKERS=2
 * #@ clean: fixed-no-waiting -DNOWAIT -DWORKERS=2
 */

#ifndef WORKERS
#define WORKERS 1
#endif
#define PAGES 3

bool writeback[PAGES];
chan completions = [PAGES] of { byte };	/* of pages whose I/O is done */
byte ended;

/* For the transaction of PAGE. There may be memory or not. */
inline allocate(page)
{
	byte other = 0;

	if
	:: true
	:: true ->
#ifdef NOWAIT
		skip	/*: reclaims clean pages only */
#else
		do
		:: other < PAGES - 1 -> other++
		:: break
		od;
		other == page || !writeback[other]	/*: reclaim waits for the end of another page's writeback */
#endif
	fi
}

active [WORKERS] proctype completion_worker()
{
	byte page;

end:	do
	:: atomic { completions?page }	/*: takes a completed page from the queue */;
#ifndef PREALLOCATED
		allocate(page);
#endif
		d_step { writeback[page] = false; ended++ }	/*: ends its writeback */
	od
}

active proctype disk()
{
	byte page = 0;

	d_step {
		do
		:: page < PAGES -> writeback[page] = true; page++
		:: else -> break
		od;
		page = 0
	}
	do
	:: page < PAGES -> completions!page	/*: a page has been written: its completion goes to the queue */; page++
	:: else -> break
	od
}

/* Whoever waits for the data, as sync(1) does. */
active proctype client()
{
	ended == PAGES	/*: waits for all pages to be written */
}
