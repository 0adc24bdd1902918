/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models tasks that wait for memory while they hold locks (seed 002, "mm: memcg: do not trap
 * chargers with full callstack on OOM"). The OOM killer's victim needs such a lock to exit. A
 * handler in user space needs one to choose a victim.
 *
 * caisson's answers are rule S6, no task holds a lock while it waits, and rule S12.
 *
 * #@ packages: spin
 * #@ finds: hazard
 * #@ finds: hazard-user-handler -DUSER_HANDLER
 * #@ clean: fixed -DUNWIND
 * #@ clean: fixed-user-handler -DUNWIND -DUSER_HANDLER
 */

bool inode_lock;	/* i_mutex of the file that both write to */
bool mmap_lock;		/* of the writer, as brk() takes it */
bool short_of_memory = true; /* the group is at its limit */
bool killed;		/* the truncating task has been chosen */
bool asked;		/* for somebody to end the shortage */

#define take(lock) atomic { !lock -> lock = true }

/* Charges a page: returns with GOT false only where the caller is to unwind. */
inline charge(got)
{
	if
	:: !short_of_memory -> got = true
	:: else ->
		asked = true;
#ifdef UNWIND
		got = false
#else
		!short_of_memory	/*: waits for the shortage to end, in the middle of the charge, with its lock */;
		got = true
#endif
	fi
}

active proctype writer()
{
	bool charged;

	do
	:: !charged ->
		if
		:: take(inode_lock)	/*: write(): takes the file's lock */;
			charge(charged)	/*: charges a page */;
			inode_lock = false
		:: take(mmap_lock)	/*: brk(): takes its address space's lock */;
			charge(charged)	/*: charges a page */;
			mmap_lock = false
		fi;
		if
		:: !charged -> !short_of_memory	/*: waits for the shortage to end, at the end of the fault, without a lock */
		:: else
		fi
	:: else -> break
	od
}

/* Its memory is free when it has exited, and it doesn't before it has done what it is about. */
active proctype truncating_task()
{
	take(inode_lock)	/*: truncate(): takes the file's lock, without which it can't exit */;
	inode_lock = false;
	if
	:: killed -> short_of_memory = false	/*: exits, and its memory is free */
	:: else ->
		killed;
		short_of_memory = false
	fi
}

#ifdef USER_HANDLER
active proctype oom_handler()
{
	asked;
	take(mmap_lock)	/*: reads /proc/PID/cmdline to choose a victim: takes the lock of the writer's address space */;
	mmap_lock = false;
	killed = true	/*: kills the truncating task */
}
#else
active proctype oom_killer()
{
	asked;
	killed = true	/*: kills the truncating task */
}
#endif
