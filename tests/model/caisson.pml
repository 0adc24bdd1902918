/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models caissond below the storage that it serves. Above are clients that write and make files, their
 * memory, their dirty pages, and the kernel's queue of requests. Below are caissond's queue threads, slots,
 * io-wq workers and metadata workers, with one crash and the takeover after it.
 *
 * Above, a writer takes a page for what it writes and makes it dirty. It waits while too many pages are dirty
 * (dirty throttling). The flusher stands for writeback, kswapd and the loop device. It sends dirty pages as
 * requests; with -DDIRECT_RECLAIM a writer without a page does so, too. A page is free again when its request
 * was answered. So when all memory is dirty, only caissond can free any. Whatever in caissond then waits for
 * memory, or for the stack above, waits for itself.
 *
 * The backing filesystem may be frozen, for a snapshot: a change of metadata then waits in its handler. The
 * operator thaws it after reading a file of the mount. So nothing that this read waits for may wait for the
 * thaw.
 *
 * Below, each process is the life of one request. Its steps are done by a thread or a worker. All that these
 * know between two steps is in the arena, so a crash can come between any two steps. None of them waits
 * inside a step; the rules S1 to S10 see to that. Nothing is timed: every order is tried. wake-up.pml models
 * wake-ups, and the explorer (explore/) runs the code itself.
 *
 * -DBREAK=N breaks rule N; 7 and 10 have several forms.
 *
 * #@ packages: spin
 * #@ clean: 1-thread-1-slot -DTHREADS=1 -DSLOTS=1
 * #@ clean: 1-thread-2-slots -DTHREADS=1 -DSLOTS=2
 * #@ clean: 1-thread-3-slots -DTHREADS=1 -DSLOTS=3
 * #@ clean: 2-threads-1-slot -DTHREADS=2 -DSLOTS=1
 * #@ clean: 2-threads-2-slots -DTHREADS=2 -DSLOTS=2 -DCHANGERS=1
 * #@ long: 2-threads-2-slots-2-changers -DTHREADS=2 -DSLOTS=2
 * #@ clean: 2-threads-3-slots -DTHREADS=2 -DSLOTS=3 -DCHANGERS=1
 * #@ clean: 3-threads-1-slot -DTHREADS=3 -DSLOTS=1 -DCHANGERS=1
 * #@ clean: 3-threads-2-slots -DTHREADS=3 -DSLOTS=2 -DCHANGERS=1
 * #@ clean: 3-changers -DCHANGERS=3 -DWRITERS=1
 * #@ clean: direct-reclaim -DDIRECT_RECLAIM -DCHANGERS=1
 * #@ clean: entries -DSLOTS=3 -DENTRIES
 * #@ clean: crash -DCRASH -DCHANGERS=1
 * #@ clean: crash-2-threads-2-slots -DCRASH -DTHREADS=2 -DSLOTS=2 -DCHANGERS=1 -DWRITERS=1
 * #@ live: writes-are-answered all_answered -DFOREVER -DCHANGERS=1
 * #@ live: changes-are-answered all_answered -DFOREVER -DWRITERS=0
 * #@ starves: served-in-any-order all_answered -DFOREVER -DANY_ORDER -DCHANGERS=1
 * #@ finds: S1 -DBREAK=1 -DCHANGERS=0
 * #@ finds: S1-2-threads -DBREAK=1 -DTHREADS=2 -DMEMORY=4 -DCHANGERS=0
 * #@ finds: S2 -DBREAK=2 -DCHANGERS=0
 * #@ finds: S3 -DBREAK=3 -DCHANGERS=0
 * #@ finds: S4 -DBREAK=4 -DCHANGERS=0
 * #@ finds: S5 -DBREAK=5 -DWRITERS=0
 * #@ finds: S6 -DBREAK=6 -DWRITERS=0
 * #@ finds: S7-no-worker -DBREAK=7 -DCHANGERS=0
 * #@ finds: S7-data-behind-metadata -DBREAK=77 -DWRITERS=0
 * #@ finds: S8 -DBREAK=8 -DCHANGERS=0
 * #@ finds: S9 -DBREAK=9 -DCHANGERS=1
 * #@ finds: S10-twice -DBREAK=10 -DWRITERS=0
 * #@ finds: S10-dropped -DBREAK=101 -DCRASH -DCHANGERS=1 -DWRITERS=0
 * #@ finds: S10-overlooked -DBREAK=102 -DCRASH -DCHANGERS=0 -DWRITERS=1
 */

#include "moves.h"

#ifndef BREAK
#define BREAK 0
#endif
#ifndef THREADS
#define THREADS 1	/* queue threads */
#endif
#ifndef SLOTS
#define SLOTS 1		/* of a queue thread: requests that it serves at a time */
#endif
#ifndef WORKERS
#define WORKERS 1	/* metadata workers */
#endif
#ifndef METAS
#define METAS CHANGERS	/* metadata slots */
#endif
#ifndef WRITERS
#define WRITERS 2	/* each has a file of its own */
#endif
#ifndef CHANGERS
#define CHANGERS 2	/* each makes a file */
#endif
#define WRITES 2	/* of a writer */
#ifndef MEMORY
#define MEMORY 2	/* pages */
#endif
#define DIRTY_LIMIT MEMORY	/* pages that are dirty or under writeback */
#define BACKGROUND 2	/* requests of the flusher at a time: what FUSE calls max_background */

/*
 * Requests by number: the flusher's; one of each changer; the operator's; and, where a rule is broken, one of
 * each queue thread, that it sends to itself.
 */
#define FIRST_CHANGE BACKGROUND
#define OPERATOR (FIRST_CHANGE + CHANGERS)
#define FIRST_OWN (OPERATOR + 1)
#define REQUESTS (FIRST_OWN + THREADS)
#define is_write(r) (r < FIRST_CHANGE || r >= FIRST_OWN)
#define is_change(r) (r >= FIRST_CHANGE && r < OPERATOR)
#define own_request(thread) (FIRST_OWN + thread)

bool asked[REQUESTS];	/* the kernel waits for its answer */
bool frozen;		/* the backing filesystem changes no metadata */

/* What is in the arena. The states are request.h's, where IO has four; moves() names a transition there. */
#define moves(from, to) assert(MAY_##from##_##to)
#define FREE 0
#define PENDING 11	/* in the kernel's queue */
#define FETCH 1		/* the message is in the slot's buffer, and the slot doesn't tell yet */
#define RUN 2
#define IO 3		/* with the disk */
#define IO_PUNTED 4	/* waits for the ring's io-wq worker */
#define IO_PUNTED_NOW 5	/* it has it, and has given it to the disk */
#define IO_DONE 6	/* its completion is in the ring */
#define QUEUED 7
#define WORK 8		/* its handler runs, on a metadata worker */
#define REPLY 9
#define SENT 10		/* the kernel has the answer, and the slot doesn't tell yet */
/* Only a crash can tell these two from the next one. */
#ifdef CRASH
#define JUST_TAKEN FETCH
#else
#define JUST_TAKEN RUN
#endif
byte state[REQUESTS], queue_of[REQUESTS];
bool in_meta_slot[REQUESTS], was_short;	/* of number 0: its I/O may be short once */
byte data_used[THREADS], meta_used;

byte free_pages = MEMORY, dirty[2], under_writeback;
#define all_dirty (dirty[0] + dirty[1] + under_writeback)

bool down, crashed;	/* caissond is, has; once */
bool worker_busy[THREADS];
byte busy;		/* metadata workers */

/* Only where a rule is broken: threads that wait, and what they then lack. */
bool stuck[THREADS], unmarked[THREADS], worker_made[THREADS];
bool mutex;		/* of the inode table, as a broken worker keeps it */

/* --- above --- */

/* Whether all may be served in any order, or, so that none is left out for ever, in that of asking. */
#if defined(FOREVER) && !defined(ANY_ORDER)
chan pending = [REQUESTS] of { byte };
#define send(r) asked[r] = true; state[r] = PENDING; pending!r
#define is_next(r) (state[r] == PENDING && pending?[eval(r)])
#define take_next(r) pending?eval(r)
chan inbox = [REQUESTS] of { byte };	/* the metadata workers' */
#define put_in(r) inbox!r
#define is_first(r) (state[r] == QUEUED && inbox?[eval(r)])
#define take_first(r) inbox?eval(r)
#else
#define send(r) asked[r] = true; state[r] = PENDING
#define is_next(r) (state[r] == PENDING)
#define take_next(r) skip
#define put_in(r) skip
#define is_first(r) (state[r] == QUEUED)
#define take_first(r) skip
#endif

/* Whether a dirty page can be sent now, and sends one, by request R. FUSE lets BACKGROUND be under way. */
#define is_unused(r) (state[r] == FREE && !asked[r])
#define can_send_page (dirty[0] + dirty[1] > 0 && (is_unused(0) || is_unused(1)))
inline send_page(r)
{
	if
	:: dirty[0] -> dirty[0]--
	:: dirty[1] -> dirty[1]--
	fi;
	under_writeback++;
	r = (is_unused(0) -> 0 : 1);
	send(r)
}

proctype writer(byte file)
{
	byte count, r;

	do
	:: atomic {
		count < WRITES && free_pages > 0 ->	/*: takes a free page and makes it dirty */
		free_pages--;
		dirty[file]++
	   };
		all_dirty < DIRTY_LIMIT	/*: is throttled: goes on when fewer pages are dirty */;
#ifndef FOREVER
		count++
#endif
#ifdef DIRECT_RECLAIM
	:: atomic {
		count < WRITES && free_pages == 0 && can_send_page ->
		send_page(r)	/*: has no page: reclaims one itself, and sends it to the disk */
	   };
		atomic { !asked[r] -> r = 0 }	/*: waits for the page that it reclaims to be written */
#endif
	:: count == WRITES -> break
	od;
	all_dirty == 0	/*: waits for all that was written to be on the disk */
}

/* Writeback, kswapd, and a loop device's worker. */
proctype flusher()
{
	byte r;

end:	do
	:: atomic {
		can_send_page ->
		send_page(r)	/*: sends a dirty page to the disk that caissond serves */;
		r = 0
	   }
	od
}

proctype changer(byte r)
{
	do
	:: atomic { state[r] == FREE && !asked[r] -> send(r) }	/*: makes a file */;
		!asked[r]	/*: waits for its file to be made */;
#ifndef FOREVER
		break
#endif
	od
}

proctype operator()
{
	atomic { frozen = true; send(OPERATOR) }	/*: freezes the backing filesystem, and reads a file of the mount */;
	atomic { !asked[OPERATOR] -> frozen = false }	/*: thaws it when it has read that file */
}

/* --- caissond --- */

/* What only a thread that breaks a rule does: it waits in the middle of a step. */
#define wait_in_thread(q, condition) stuck[q] = true; condition; stuck[q] = false
#define ask_oneself(q) send(own_request(q)); wait_in_thread(q, !asked[own_request(q)])

/* Memory for thread Q's own needs. An unmarked task may reclaim what is dirty itself. */
inline allocate(q)
{
	if
	:: free_pages == 0 && dirty[0] + dirty[1] > 0 && (BREAK == 1 || unmarked[q]) ->
		if
		:: dirty[0] -> dirty[0]--
		:: else -> dirty[1]--
		fi;
		under_writeback++;
		ask_oneself(q)	/*: its thread reclaims memory, and waits for a page to be written by caissond */
	:: else
	fi
}

inline take(r, q)
{
	d_step {
		take_next(r);
		queue_of[r] = q;
		data_used[q]++;
		moves(FREE, FETCH);
#ifndef CRASH
		moves(FETCH, RUN);
#endif
		state[r] = JUST_TAKEN
	}
}

inline answer(r)
{
	/* one that was sent again after a crash is nothing to the kernel */
	assert(asked[r] || crashed);
	if
	:: asked[r] && is_write(r) -> under_writeback--; free_pages++
	:: else
	fi;
	asked[r] = false
}

inline free_slot(r)
{
	if
	:: in_meta_slot[r] -> meta_used--
	:: else -> data_used[queue_of[r]]--
	fi;
	in_meta_slot[r] = false;
	if
	:: r == 0 -> was_short = false
	:: else
	fi;
	queue_of[r] = 0;
	state[r] = FREE
}

/* Of threads that have nothing under way the first one takes it: they are alike. */
#define is_idle(q) (data_used[q] == 0 && !worker_busy[q])
#define can_take(q) (data_used[q] < SLOTS && !stuck[q])
#define acts(q) (!down && !stuck[q])

proctype request(byte r)
{
end:	do
	/* a queue thread takes it from the kernel */
	:: atomic {
		is_next(r) && !down && can_take(0) -> take(r, 0)	/*: a queue thread takes it */
	   }
#if THREADS > 1
	:: atomic { is_next(r) && !down && can_take(1) && !(is_idle(0) && is_idle(1)) -> take(r, 1) }
#endif
#if THREADS > 2
	:: atomic {
		is_next(r) && !down && can_take(2) && !(is_idle(2) && (is_idle(0) || is_idle(1))) -> take(r, 2)
	   }
#endif
#ifdef CRASH
	:: state[r] == FETCH && acts(queue_of[r]) -> atomic { moves(FETCH, RUN); state[r] = RUN }
#endif

	/* data: the queue thread, the disk, the queue thread */
	:: atomic {
		state[r] == RUN && !is_change(r) && acts(queue_of[r]) ->
#if BREAK == 1 || BREAK == 9
		if
		:: r < FIRST_OWN -> allocate(queue_of[r])
		:: else
		fi;
#elif BREAK == 4
		wait_in_thread(queue_of[r], free_pages > 0)	/*: its thread allocates an object, and waits for a free page */;
#elif BREAK == 8
		if
		:: r < FIRST_OWN -> ask_oneself(queue_of[r])	/*: its thread logs to the stack above, and waits for caissond to write it */
		:: else
		fi;
#elif BREAK == 2
		wait_in_thread(queue_of[r], all_dirty < DIRTY_LIMIT)	/*: its thread is throttled: waits for fewer dirty pages */;
#elif BREAK == 6
		wait_in_thread(queue_of[r], !mutex)	/*: its thread waits for the inode table's mutex */;
#endif
		moves(RUN, IO);
		if
		:: state[r] = IO	/*: goes to the disk */
		:: state[r] = IO_PUNTED	/*: goes to an io-wq worker */
		fi
	   }
	:: atomic {
		state[r] == IO_PUNTED && !down && !worker_busy[queue_of[r]] &&
		(BREAK != 7 || worker_made[queue_of[r]] || free_pages > 0) ->	/*: is taken up by a worker, where there is one, or a free page to make one of */
#if BREAK == 7
		worker_made[queue_of[r]] = true;
#endif
		worker_busy[queue_of[r]] = true;
		state[r] = IO_PUNTED_NOW
	   }
	:: atomic {
		state[r] == IO || state[r] == IO_PUNTED_NOW ->
		if
		:: state[r] == IO_PUNTED_NOW -> worker_busy[queue_of[r]] = false
		:: else
		fi;
		state[r] = IO_DONE	/*: the disk has done it */
	   }
	:: atomic {
		state[r] == IO_DONE && acts(queue_of[r]) ->
#if BREAK == 3
		if
		:: r < FIRST_OWN -> ask_oneself(queue_of[r])	/*: its thread faults on a page that was swapped out to the stack above */
		:: else
		fi;
#elif BREAK == 5
		wait_in_thread(queue_of[r], busy == 0)	/*: its completion takes an object, of which the change that waits has the last */;
#endif
		if
		:: r == 0 && !was_short -> was_short = true; state[r] = IO	/*: was short: the rest goes on */
		:: moves(IO, RUN);
			moves(RUN, REPLY);
			state[r] = REPLY
		fi
	   }

	/* metadata: the queue thread, a worker */
	:: atomic {
		state[r] == RUN && is_change(r) && acts(queue_of[r]) ->
#ifndef ENTRIES
		if
		:: meta_used < METAS && BREAK != 77 ->
			data_used[queue_of[r]]--;
			meta_used++;
			moves(FREE, RUN);
			moves(RUN, FREE);
			in_meta_slot[r] = true;
			queue_of[r] = 0	/* any may send its answer */
		:: else	/* its data slot goes along */
		fi;
#endif
#if BREAK == 9
		unmarked[queue_of[r]] = true	/*: an inner scope ends, and takes the mark with it */;
#endif
		moves(RUN, QUEUED);
		put_in(r);
		state[r] = QUEUED	/*: goes to the metadata workers */
	   }
#if BREAK == 10
	:: atomic { state[r] == QUEUED && asked[r] && !down -> answer(r)	/*: its client is answered, and it stays in the workers' inbox */ }
#endif
	:: atomic {
		is_first(r) && !down && busy < WORKERS ->
		take_first(r);
		busy++;
		moves(QUEUED, RUN);
#if BREAK == 6
		mutex = true;
#endif
		state[r] = WORK	/*: is taken up by a metadata worker */
	   }
	:: atomic {
		state[r] == WORK && !down && !frozen ->	/*: is made, as soon as the backing filesystem isn't frozen */
		busy--;
#if BREAK == 6
		mutex = false;
#endif
		moves(RUN, REPLY);
		state[r] = REPLY
	   }

	/* the answer, by whoever has made it */
	:: atomic {
		state[r] == REPLY && acts(queue_of[r]) ->
		answer(r)	/*: is answered */;
#ifdef CRASH
		state[r] = SENT
	   }
	:: atomic {
		state[r] == SENT && acts(queue_of[r]) ->
#endif
#ifdef ENTRIES
		moves(REPLY, FETCH);
#else
		moves(REPLY, FREE);
#endif
		free_slot(r)
	   }
	od
}

#ifdef CRASH
/*
 * The keeper has the arena and the descriptors. When the child is gone, and all that it had under way, it
 * starts another, which goes through the slots: what is only read or written is done again; what has
 * changed anything has its state changed in the same step.
 */
proctype keeper()
{
	byte r;

	atomic { !down -> down = true; crashed = true }	/*: caissond dies */;
	atomic {
		(state[0] != IO && state[0] != IO_PUNTED_NOW && state[1] != IO && state[1] != IO_PUNTED_NOW) ->	/*: the keeper waits for what is under way */
		r = 0;
		do
		:: r < REQUESTS ->
			if
			:: state[r] == FETCH ->
#if BREAK == 102
				free_slot(r)	/*: the next one takes the slot for free */
#else
				state[r] = RUN
#endif
			:: state[r] == IO_PUNTED || state[r] == IO_DONE -> state[r] = RUN
			:: state[r] == WORK -> state[r] = QUEUED
			:: state[r] == SENT -> state[r] = REPLY
#if BREAK == 101
			:: state[r] == QUEUED -> free_slot(r)	/*: the next one forgets what was in the workers' inbox */
#endif
			:: else
			fi;
			r++
		:: else -> break
		od;
		busy = 0;
		down = false	/*: another one takes over */
	}
}
#endif

init {
	byte i;

	atomic {
		for (i : 0 .. REQUESTS - 1) { run request(i) }
		run flusher();
		i = 0;
		do
		:: i < WRITERS -> run writer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CHANGERS -> run changer(FIRST_CHANGE + i); i++
		:: else -> break
		od;
#if CHANGERS
		run operator();
#endif
#ifdef CRASH
		run keeper();
#endif
		i = 0
	}
}

#ifdef FOREVER
#define answered(r) ([] (asked[r] -> <> !asked[r]))
ltl all_answered { answered(0) && answered(1) && answered(FIRST_CHANGE) }
#endif
