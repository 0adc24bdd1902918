/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models a filesystem on a disk that a handler in user space serves (seed 004, "ext4: Fix
 * deadlock on page reclaim"): XFS on dm-zoned on tcmu-runner on a file. The handler's pread() or
 * pwrite() needs a page, direct reclaim enters XFS, and XFS waits for I/O that only the handler
 * can do. More threads make the deadlock rarer but not impossible, because all of them may be in
 * reclaim.
 *
 * caisson's answer is rule S1: no task that serves enters reclaim of a filesystem or of I/O.
 *
 * #@ packages: spin
 * #@ finds: hazard
 * #@ finds: hazard-two-threads -DTHREADS=2
 * #@ finds: hazard-three-threads -DTHREADS=3 -DWRITERS=3
 * #@ clean: fixed -DNOFS
 * #@ clean: fixed-three-threads -DNOFS -DTHREADS=3 -DWRITERS=3
 */

#ifndef THREADS
#define THREADS 1
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#define WRITES 2
#define CLIENTS (WRITERS + THREADS)

chan requests = [CLIENTS] of { byte };	/* by who waits for it */
bool answered[CLIENTS];

#define ask(client) atomic { answered[client] = false; requests!client }

/* The page cache's page for the handler's own file. There may be memory or not. */
inline allocate(thread)
{
	if
	:: true
	:: true ->
#ifdef NOFS
		skip	/*: reclaims clean pages only */
#else
		ask(WRITERS + thread)	/*: no page for its write: reclaim enters XFS, which writes an inode to the disk */;
		answered[WRITERS + thread]	/*: reclaim in XFS waits for that write, which a thread of the handler has to do */
#endif
	fi
}

proctype handler(byte me)
{
	byte client;

end:	do
	:: requests?client	/*: takes a request of the disk */;
		allocate(me);
		answered[client] = true	/*: has written it to its file, and answers */
	od
}

proctype writer(byte me)
{
	byte round;

	do
	:: round < WRITES ->
		ask(me)	/*: writes to XFS, which sends a request to the disk */;
		answered[me]	/*: XFS waits for its write */;
		round++
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		for (i : 0 .. THREADS - 1) { run handler(i) }
		for (i : 0 .. WRITERS - 1) { run writer(i) }
	}
}
