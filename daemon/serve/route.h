/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The route of a request: which thread does its work. route_choose() chooses it, once, when the
 * message has been parsed.
 *
 *	route	 its message is in	  who does the work	    who answers
 *	ANSWER	 its slot or entry	  nobody: there is none	    the queue's thread
 *	RING	 its slot or entry	  the queue's ring	    the queue's thread
 *	INLINE	 its slot or entry	  the queue's thread	    the queue's thread
 *	WORKER	 a metadata slot, or its  a metadata worker	    the worker, by outbox.h
 *		 own slot or entry
 *
 * Afterwards the queue has its slot or entry again by each route. A metadata slot goes back to the
 * common pool.
 *
 * The queue's thread never waits for the backing filesystem (S7). RING hands the work to io_uring.
 * INLINE runs a handler that returns CALL_WAITS with nothing done if it would have to wait, and
 * then the request takes the route WORKER. A RING request also does so if it turns out to need a
 * worker (OP_IO_WORKER of op-io.h). A request on the route WORKER stays on it.
 *
 * A worker may take as long as the backing filesystem does. So that data finds free slots meanwhile
 * (S7), the message is copied to a metadata slot. It stays in its own slot if it doesn't fit, if no
 * metadata slot is free, or if it came from RING. It stays in a ring entry, because only the entry
 * can be answered.
 */
#ifndef CAISSON_ROUTE_H
#define CAISSON_ROUTE_H

#include <stdbool.h>

struct dispatch_entry;

enum route { ROUTE_ANSWER, ROUTE_RING, ROUTE_INLINE, ROUTE_WORKER };

/* The route for a message of ENTRY's opcode; BACKOFF: not INLINE now, as it failed lately. */
enum route route_choose(const struct dispatch_entry *entry, bool backoff);

#endif
