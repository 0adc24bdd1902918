/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models a page table that is charged while a page is locked (seed 000, "mm, memcg: fix
 * reclaim deadlock with writeback"). The charge reaches the group's limit, and reclaim of cgroup
 * v1 waits for pages under writeback. Writeback collects pages into one bio before it sends any of
 * them, and waits for the lock.
 *
 * caisson's answers are the rules S3 and S4: what may be needed is there before a lock is taken.
 *
 * #@ packages: spin
 * #@ finds: hazard
 * #@ clean: fixed -DPREALLOCATE
 */

#define A 0
#define B 1
#define ROUNDS 2

bool locked[2], dirty[2], writeback[2];

#define lock_page(page) atomic { !locked[page] -> locked[page] = true }

/* A page table for the group, which may be at its limit or not. */
inline charge()
{
	if
	:: true
	:: true ->
		!writeback[A]	/*: at the limit: reclaim waits until A is no longer under writeback */;
		!writeback[B]	/*: at the limit: reclaim waits until B is no longer under writeback */
	fi
}

active proctype faulting_task()
{
	byte round;

	do
	:: round < ROUNDS ->
#ifdef PREALLOCATE
		charge();
#endif
		lock_page(B)	/*: locks page B, to map it */;
#ifndef PREALLOCATE
		charge();
#endif
		dirty[B] = true;
		locked[B] = false	/*: has mapped it, and unlocks it */;
		round++
	:: else -> break
	od
}

inline collect(page)
{
	locked[page] = true;
	if
	:: dirty[page] ->
		dirty[page] = false;
		writeback[page] = true
	:: else
	fi;
	locked[page] = false
}

active proctype flusher()
{
	byte round;

	do
	:: round < ROUNDS ->
		dirty[A] = true;
		atomic { !locked[A] -> collect(A) }	/*: locks A, marks it as under writeback in a bio, unlocks it */;
		atomic { !locked[B] -> collect(B) }	/*: locks B, to put it into the same bio */;
		d_step { writeback[A] = false; writeback[B] = false }	/*: sends the bio, which completes */;
		round++
	:: else -> break
	od
}
