/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This models two scopes that disable interrupts, each only if its own condition holds (seed 001,
 * "writeback: safer lock nesting"). The end of the inner scope enables interrupts whatever was
 * before. An interrupt on the same CPU then takes the lock of the outer scope.
 *
 * caisson's answer is rule S9: the end of a scope restores what its beginning found.
 *
 * #@ packages: spin
 * #@ finds: hazard
 * #@ clean: fixed -DCOOKIE
 */

#define ROUNDS 2

bool irqs_on = true, in_irq;
bool page_lock, tree_lock;	/* lock_page_memcg()'s and the mapping's */
bool moving, switching;		/* the group's charges are being moved; the inode changes its domain */

/* What the task does while no interrupt is being served on its CPU. */
active proctype task() provided (!in_irq)
{
	bool outer, inner, outer_flags, inner_flags;
	byte round;

	do
	:: round < ROUNDS ->
		outer = moving;
		if
		:: outer ->
			d_step { outer_flags = irqs_on; irqs_on = false };
			atomic { !page_lock -> page_lock = true }	/*: outer scope: interrupts off, takes the page's lock */
		:: else
		fi;
		inner = switching;
		if
		:: inner ->
			d_step { inner_flags = irqs_on; irqs_on = false };
			atomic { !tree_lock -> tree_lock = true }	/*: inner scope: interrupts off, takes the tree's lock */;
			tree_lock = false;
#ifdef COOKIE
			irqs_on = inner_flags
#else
			irqs_on = true	/*: inner scope ends: interrupts on, as if they had been before */
#endif
		:: else
		fi;
		if	/*: outer scope ends: gives the page's lock back */
		:: outer ->
			assert(page_lock);
			page_lock = false;
			irqs_on = outer_flags
		:: else
		fi;
		round++
	:: else -> break
	od
}

/* The end of a page's writeback. */
active proctype interrupt()
{
	byte round;

	do
	:: round < ROUNDS ->
		atomic { irqs_on -> in_irq = true }	/*: interrupts the task */;
		if
		:: moving ->
			atomic { !page_lock -> page_lock = true }	/*: spins for the page's lock, which the interrupted task has */;
			page_lock = false
		:: else
		fi;
		in_irq = false;
		round++
	:: else -> break
	od
}

/* Both conditions come and go, with the grace periods that keep them from changing inside a scope. */
active proctype administrator()
{
	if
	:: moving = true	/*: moves a group's charges */
	:: skip
	fi;
	if
	:: switching = true	/*: switches the inode's writeback domain */
	:: skip
	fi
}
