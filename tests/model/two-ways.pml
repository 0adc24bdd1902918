/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models two ways to the same page (S11). Writers write neighbouring parts of one page of a backing file,
 * one by direct I/O and one through the page cache. The backing filesystem's writeback and readers take part.
 *
 * The page has two parts. A direct write writes the cached page back and drops it, is then with the disk
 * without any lock, and drops the page again when it is complete, which fails where the page is dirty
 * (kiocb_invalidate_pages() and kiocb_invalidate_post_direct_write(), mm/filemap.c). A cached write brings
 * the page in if it isn't there, changes its own part, and leaves it dirty. Writeback puts both parts of a
 * dirty page on the disk.
 *
 * With the gate (daemon/serve/gate.h) a direct and a cached write are never in flight at the same time. Without
 * it, as caissond once was, an acknowledged write is undone, and a direct write that fails to drop the page
 * leaves an error for fsync.
 *
 * #@ packages: spin
 * #@ clean: gate
 * #@ clean: gate-two-direct -DDIRECT=2
 * #@ clean: gate-two-cached -DCACHED=2
 * #@ finds: undone -DNO_GATE -DONLY_DATA
 * #@ finds: fsync-fails -DNO_GATE -DONLY_ERRORS
 */

#include "moves.h"

#ifndef DIRECT
#define DIRECT 1
#endif
#ifndef CACHED
#define CACHED 1
#endif
#define WRITERS (DIRECT + CACHED)
#define ROUNDS 2

#define ABSENT 0
#define CLEAN 1
#define DIRTY 2

#define moves(from, to) assert(MAY_##from##_##to)

/* Each part has as its content how often it was written to. Part N is writer N's own. */
byte disk[WRITERS], page[WRITERS], promised[WRITERS];
byte cache = ABSENT;
bool lost_error;	/* the mapping remembers -EIO: the next fsync fails */

/* The gate: how many of each kind are inside, and how many of each wait. */
byte inside[2], parked[2];
bool waits[WRITERS];
#define IS_DIRECT(w) (w < DIRECT)
#define KIND(w) (IS_DIRECT(w) -> 0 : 1)

inline enter(w)
{
#ifndef NO_GATE
	atomic {
		if
		:: inside[1 - KIND(w)] == 0 && parked[0] + parked[1] == 0 -> inside[KIND(w)]++
		:: else ->
			moves(RUN, GATE);
			parked[KIND(w)]++;
			waits[w] = true
		fi
	}
	atomic { !waits[w] -> moves(GATE, RUN) }	/*: waits at the gate */;
#else
	skip
#endif
}

/* The last one of its kind lets all of the other kind in. */
inline leave(w)
{
#ifndef NO_GATE
	atomic {
		inside[KIND(w)]--;
		if
		:: inside[KIND(w)] == 0 && parked[1 - KIND(w)] > 0 ->
			inside[1 - KIND(w)] = parked[1 - KIND(w)];
			parked[1 - KIND(w)] = 0;
			for (i : 0 .. WRITERS - 1) {
				if
				:: KIND(i) != KIND(w) -> waits[i] = false
				:: else
				fi
			};
			i = 0
		:: else
		fi
	}
#else
	skip
#endif
}

/* All of the page to the disk. Its lock keeps it as it is meanwhile. */
inline write_back()
{
	for (j : 0 .. WRITERS - 1) {
		disk[j] = page[j]
	};
	j = 0;
	cache = CLEAN
}

inline bring_in()
{
	for (j : 0 .. WRITERS - 1) {
		page[j] = disk[j]
	};
	j = 0;
	cache = CLEAN
}

proctype direct_writer(byte w)
{
	byte round, i, j;

	do
	:: round < ROUNDS ->
		enter(w);
		d_step {	/* writes the page back and drops it */
			if
			:: cache == DIRTY -> write_back()
			:: else
			fi;
			cache = ABSENT
		}
		d_step { disk[w] = disk[w] + 1 }	/*: is with the disk, with no lock held */;
		d_step {	/* complete: drops the page once more */
			if
			:: cache == DIRTY -> lost_error = true
			:: else -> cache = ABSENT
			fi
		}
		leave(w);
		promised[w] = promised[w] + 1	/*: is acknowledged */;
		round++
	:: else -> break
	od
}

proctype cached_writer(byte w)
{
	byte round, i, j;

	do
	:: round < ROUNDS ->
		enter(w);
		d_step {	/* brings the page in */
			if
			:: cache == ABSENT -> bring_in()
			:: else
			fi;
			page[w] = page[w] + 1;
			cache = DIRTY
		}
		leave(w);
		promised[w] = promised[w] + 1	/*: is acknowledged */;
		round++
	:: else -> break
	od
}

/* At any time. */
proctype writeback()
{
	byte j;

end:	do
	:: d_step { cache == DIRTY -> write_back() }	/*: writes the dirty page back */
	od
}

/* Reads the page through the cache at any time, as readahead does for readers. */
proctype reader()
{
	byte j, round;

	do
	:: round < ROUNDS ->
		d_step {
			if
			:: cache == ABSENT -> bring_in()
			:: else
			fi
		}
		round++
	:: else -> break
	od
}

/* What a read gives: the page if there is one, and the disk else, to which a dirty page goes first. */
#define seen(w) (cache == ABSENT -> disk[w] : page[w])

active proctype judge()
{
	byte w;

	atomic {
		for (w : 0 .. WRITERS - 1) {
			if
			:: IS_DIRECT(w) -> run direct_writer(w)
			:: else -> run cached_writer(w)
			fi
		}
		run writeback();
		run reader();
		w = 0
	}
	/* at any time what was acknowledged is there, for good */
end:	do
	:: d_step {
		(w < WRITERS) ->
#ifndef ONLY_ERRORS
		assert(seen(w) >= promised[w]);
#endif
#ifndef ONLY_DATA
		assert(!lost_error);
#endif
		w = (w + 1) % WRITERS
	   }
	od
}
