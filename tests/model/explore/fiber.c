/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdlib.h>
#include <ucontext.h>

#include "base/macro.h"
#include "explore.h"

#define STACK_BYTES (256u << 10)

struct fiber {
	const char *name;
	void (*main)(void *arg, uint32_t number);
	void *arg;
	uint32_t number;
	bool ended;
	bool (*can)(void *arg); /* NULL: it can go on */
	void *can_arg;
	bool at_top; /* waits where all that it knows is in the world */
	const char *waits_for;
	ucontext_t context;
	uint8_t *stack; /* kept for the next run */
};

static struct fiber fibers[FIBERS];
static uint32_t count;
static struct fiber *current;
static ucontext_t scheduler;
static uint32_t preemptions_left;

static bool can_run(struct fiber *fiber)
{
	return !fiber->ended && (!fiber->can || fiber->can(fiber->can_arg));
}

static void enter(void)
{
	current->main(current->arg, current->number);
	current->ended = true;
	explore_trace("ends", 0);
	(void)swapcontext(&current->context, &scheduler);
}

void fiber_start(const char *name, void (*main)(void *arg, uint32_t number), void *arg,
		 uint32_t number)
{
	struct fiber *fiber = &fibers[count++];
	uint8_t *stack = fiber->stack;

	assert(count <= FIBERS);
	*fiber = (struct fiber){
		.name = name,
		.main = main,
		.arg = arg,
		.number = number,
		.at_top = true,
		.waits_for = "has not begun",
		.stack = stack ? stack : malloc(STACK_BYTES),
	};
	assert(fiber->stack);
	(void)getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&fiber->context, enter, 0);
}

void fiber_reset(void)
{
	count = 0;
	current = NULL;
}

const char *fiber_name(void)
{
	return current ? current->name : NULL;
}

/* Of all that can happen now: FIRST, if it isn't NULL, then fibers, then the kernel's events. */
static bool do_one(struct fiber *first)
{
	struct fiber *can[FIBERS];
	uint32_t events = kernel_events(), fiber_count = 0, which = 0;

	if (first)
		can[fiber_count++] = first;
	for (uint32_t i = 0; i < count; i++) {
		if (&fibers[i] != first && can_run(&fibers[i]))
			can[fiber_count++] = &fibers[i];
	}
	if (fiber_count + events == 0)
		return false;
	if (kernel_may_die() && choose(2)) {
		kernel_die();
		return true;
	}
	if (!first || preemptions_left)
		which = choose(fiber_count + events);
	if (first && which)
		preemptions_left--;
	if (which >= fiber_count) {
		current = NULL;
		kernel_happen(which - fiber_count);
		return true;
	}
	current = can[which];
	current->can = NULL;
	current->at_top = false;
	(void)swapcontext(&scheduler, &current->context);
	return true;
}

void fiber_may_stop(void)
{
	if (!current || !(preemptions_left || kernel_may_die()))
		return;
	(void)swapcontext(&current->context, &scheduler);
}

void fiber_wait(bool (*can)(void *arg), void *arg, bool at_top, const char *what)
{
	assert(current);
	current->can = can;
	current->can_arg = arg;
	current->at_top = at_top;
	current->waits_for = what;
	(void)swapcontext(&current->context, &scheduler);
}

/*
 * Where FIBER is in the middle of something: what it is about is on its stack and in the registers
 * that a call keeps. What lies on the stack beside that may make two of what is one state; never
 * one of two. False: not on this architecture.
 */
static bool hash_stack(uint64_t *hash, const struct fiber *fiber)
{
#ifdef __x86_64__
	static const int kept[] = { REG_RBX, REG_RBP, REG_R12, REG_R13,
				    REG_R14, REG_R15, REG_RIP, REG_RSP };
	const greg_t *registers = fiber->context.uc_mcontext.gregs;
	const uint8_t *top = fiber->stack + STACK_BYTES, *at = (const uint8_t *)registers[REG_RSP];

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		*hash = hash_bytes(*hash, &registers[kept[i]], sizeof(registers[0]));
	*hash = hash_bytes(*hash, at, (size_t)(top - at));
	return true;
#else
	(void)hash, (void)fiber;
	return false;
#endif
}

/*
 * Whether the state that the run is in was there before, with as many preemptions to come or more.
 */
static bool was_here(void)
{
	uint64_t hash;

	if (choice_is_known())
		return false;
	hash = world_hash();
	for (uint32_t i = 0; i < count; i++) {
		hash = hash_bytes(hash, &fibers[i].ended, sizeof(fibers[i].ended));
		hash = hash_bytes(hash, &fibers[i].waits_for, sizeof(fibers[i].waits_for));
		if (!fibers[i].ended && !fibers[i].at_top && !hash_stack(&hash, &fibers[i]))
			return false;
	}
	return seen_before(hash, preemptions_left);
}

enum run_end fiber_run_all(uint32_t preemptions)
{
	struct fiber *stopped;
	uint32_t ended = 0;

	preemptions_left = preemptions;
	current = NULL;
	do {
		/* one that was only stopped at a call is there to go on, first and for free */
		stopped = current && can_run(current) ? current : NULL;
		if (!stopped && was_here())
			return RUN_KNOWN;
	} while (do_one(stopped));
	current = NULL;
	for (uint32_t i = 0; i < count; i++) {
		ended += fibers[i].ended;
		if (!fibers[i].ended)
			explore_trace(fibers[i].waits_for, i);
	}
	return ended == count ? RUN_ENDED : RUN_STUCK;
}
