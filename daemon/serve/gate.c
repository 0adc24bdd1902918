/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/gate.h"

#include <assert.h>

#include "base/macro.h"
#include "base/pool.h"
#include "serve/request.h"
#include "store/inode.h"

/*
 * A gate is one word: the kind that is under way (bit 63), how many of these there are (bits 32
 * to 62), and the first parked request (its index + 1 in bits 0 to 31; 0: none). 0: nobody is in.
 *
 * While requests of kind K are under way, the list is empty or has at least one of the other
 * kind: the first to be parked is one that K kept out. So when the last of kind K leaves, it
 * always finds somebody of the other kind to let in.
 */
#define COUNT_SHIFT 32
#define KIND_SHIFT  63
#define ONE	    (1ull << COUNT_SHIFT)
#define COUNT_MASK  ((1ull << (KIND_SHIFT - COUNT_SHIFT)) - 1)

static uint64_t make_word(enum gate_kind kind, uint64_t count, uint32_t parked)
{
	return (uint64_t)kind << KIND_SHIFT | count << COUNT_SHIFT | (uint32_t)(parked + 1);
}

static uint64_t count_of(uint64_t word)
{
	return word >> COUNT_SHIFT & COUNT_MASK;
}

static enum gate_kind kind_of(uint64_t word)
{
	return (enum gate_kind)(word >> KIND_SHIFT);
}

static uint32_t parked_of(uint64_t word)
{
	return (uint32_t)word - 1; /* POOL_NONE: none */
}

static _Atomic uint64_t *gate_of(const struct gate_table *table, uint32_t row)
{
	return &inode_at(table->inodes, row)->gate;
}

/* Enters if that is possible at once. *WORD was read from GATE; what it is now is left there. */
static bool enter_now(_Atomic uint64_t *gate, uint64_t *word, enum gate_kind kind)
{
	while (parked_of(*word) == POOL_NONE && (!count_of(*word) || kind_of(*word) == kind)) {
		uint64_t entered = make_word(kind, count_of(*word) + 1, POOL_NONE);

		if (atomic_compare_exchange_weak(gate, word, entered))
			return true;
	}
	return false;
}

/* Puts REQUEST, whose state is GATE, into the list, or enters: whether it did that. */
static bool park_or_enter(_Atomic uint64_t *gate, uint64_t word, struct request *request)
{
	uint64_t parked;

	do {
		if (enter_now(gate, &word, (enum gate_kind)request->gate_kind))
			return true;
		request->next = parked_of(word);
		parked = make_word(kind_of(word), count_of(word), request->index);
	} while (!atomic_compare_exchange_weak(gate, &word, parked));
	return false;
}

bool gate_enter(struct gate_table *table, uint32_t row, enum gate_kind kind,
		struct request *request)
{
	_Atomic uint64_t *gate = gate_of(table, row);
	uint64_t word = atomic_load(gate);

	assert(!request->in_gate);
	request->gate = row;
	request->gate_kind = (uint8_t)kind;
	request->in_gate = true; /* it is when anybody looks at it again */
	if (enter_now(gate, &word, kind))
		return true;
	request_move(request, REQUEST_GATE);
	if (!park_or_enter(gate, word, request))
		return false;
	request_move(request, REQUEST_RUN);
	return true;
}

/*
 * GATE is held by the caller alone, in the name of KIND, whose requests in the list from FIRST on
 * are let in; the others are parked again, behind these.
 */
static void let_in(struct gate_table *table, _Atomic uint64_t *gate, enum gate_kind kind,
		   uint32_t first)
{
	for (uint32_t index = first; index != POOL_NONE;) {
		struct request *request = &table->requests[index];

		index = request->next;
		if (request->gate_kind == kind)
			atomic_fetch_add(gate, ONE);
		else if (!park_or_enter(gate, atomic_load(gate), request))
			continue;
		table->entered(table->arg, request);
	}
}

void gate_leave(struct gate_table *table, struct request *request)
{
	_Atomic uint64_t *gate = gate_of(table, request->gate);
	uint64_t word = atomic_load(gate);

	assert(request->in_gate);
	request->in_gate = false;
	for (;;) {
		uint32_t parked = parked_of(word);
		enum gate_kind other = kind_of(word) == GATE_DIRECT ? GATE_CACHED : GATE_DIRECT;

		assert(count_of(word) > 0);
		if (count_of(word) > 1 || parked == POOL_NONE) {
			if (atomic_compare_exchange_weak(gate, &word, word - ONE))
				return;
			continue;
		}
		/* the last one: what it holds becomes the other kind's until these are in */
		if (!atomic_compare_exchange_weak(gate, &word, make_word(other, 1, POOL_NONE)))
			continue;
		let_in(table, gate, other, parked);
		word = atomic_load(gate);
	}
}
