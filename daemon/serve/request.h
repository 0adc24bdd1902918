/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request: one FUSE message from the moment that a slot waits for it until its answer is with
 * the kernel. Slots are rows of ARENA_REQUESTS: first those of each queue (data slots, with
 * max_write bytes of payload), then the metadata slots, which are common to all.
 *
 * The message is read so that what follows 80 bytes of headers (fuse_in_header and
 * fuse_write_in) lands on the page-aligned payload: a WRITE's data needs no copy. The answer's
 * header goes into the 16 bytes before the payload: a READ's reply is one contiguous piece.
 * A message that comes by a ring entry is put together in the same form (transport-uring.c), with
 * as many bytes of headers as it has.
 *
 *	    lead page			    payload
 *	[ … | in_header 40 | arg 40 ][ data, or the message's rest … ]
 *	[ …	   | out_header 16 ][ reply's body …		      ]
 *
 * States, and who moves a request on:
 *
 *	FREE	→ FETCH	 [queue]     a slot is offered to the transport
 *	FETCH	→ FREE	 [queue]     … which had nothing for it (a sibling was faster)
 *	FETCH	→ RUN	 [queue]     a message is in it
 *	FREE	→ RUN	 [queue]     a metadata slot takes a message over from a data slot
 *	RUN	→ FREE	 [owner]     moved to a metadata slot, or of a kind without answer
 *	RUN	→ GATE	 [owner]     waits until it may change its file (gate.h)
 *	GATE	→ RUN	 [owner]     it may, or could at once
 *	RUN	→ IO	 [queue]     backing I/O is under way on the queue's engine
 *	IO	→ RUN	 [queue]     it is complete
 *	RUN	→ QUEUED [queue]     in the metadata workers' inbox
 *	RUN	→ QUEUED [worker]    … in another one: a change, or put aside (lease-wait.h)
 *	QUEUED	→ RUN	 [worker]    taken up by one
 *	QUEUED	→ RUN	 [main]      is to be tried again
 *	RUN	→ REPLY	 [owner]     the answer is on its way, or with the dropper
 *	REPLY	→ FREE	 [owner]     the kernel has it
 *	REPLY	→ FETCH	 [queue]     of a ring entry: answered and on offer by one command
 *
 * Invariants: FREE: in its pool, nothing refers to it. FETCH: on offer to the transport, which
 * reads into it. GATE: the list of one gate has it. IO: its io row is with the engine. A request
 * passes REPLY exactly once (S10): what isn't in the list above ends the process.
 */
#ifndef CAISSON_REQUEST_H
#define CAISSON_REQUEST_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "handlers/call.h"
#include "store/cached-open.h"

struct arena;

enum request_state {
	REQUEST_FREE,
	REQUEST_FETCH,
	REQUEST_RUN,
	REQUEST_GATE,
	REQUEST_IO,
	REQUEST_QUEUED,
	REQUEST_REPLY,
	REQUEST_STATES
};

/* Lives in the arena: no pointers. */
struct request {
	_Atomic uint8_t state; /* enum request_state; request_move() is its only writer */
	uint8_t meta;	       /* a metadata slot */
	uint8_t zoned;	       /* a WRITE that zone_write_begin() has allowed */
	uint8_t entry;	       /* the slot is an entry of the kernel's ring (transport-uring.c) */
	uint8_t few;	       /* … of a CPU that has RING_ENTRIES_MIN (ring-layout.h) */
	uint8_t around;	       /* a WRITE that goes around the page cache above */
	uint8_t changes;       /* of a worker's: dispatch_changes() */
	uint8_t drops;	       /* its answer waits for … */
	uint8_t in_gate;       /* gate_leave() is due, or it is parked there */
	uint8_t gate_kind;     /* enum gate_kind */
	uint8_t waits;	       /* it has a place among those who wait for a lease (lease-wait.h) */
	uint32_t waits_since;  /* CLOCK_MONOTONIC, s */
	uint32_t gate;	       /* the row of its gate; see gate.h */
	uint32_t worker;       /* the worker that waits at the gate, or POOL_NONE: its queue does */
	uint16_t qid;	       /* whose transport it came by and is answered through */
	uint16_t cpu;	       /* of an entry: the CPU whose requests it takes */
	uint32_t index;	       /* of this row */
	uint32_t
		next; /* of a gate's list, the dropper's, or of those that come back to the queue */
	uint64_t buf_off;   /* arena offset of the payload, page-aligned */
	uint32_t buf_len;   /* payload room, bytes */
	uint32_t lead_len;  /* bytes of the message that lie before the payload */
	uint32_t msg_len;   /* bytes of the message, headers included */
	uint32_t reply_len; /* bytes of the reply, header included */
	uint32_t opcode;
	uint64_t unique;
	struct call_parts parts; /* of the message, once it was parsed */
	uint32_t moved;		 /* of a READ or WRITE: bytes done before its io row's */
	uint64_t fh;		 /* of a data request */
	struct cached_drop drop;
};

/* Bytes of a message that lie before the payload, as it is read from /dev/fuse. */
#define REQUEST_LEAD (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
_Static_assert(REQUEST_LEAD == 80, "WRITE's data follows 80 bytes of headers");

/* A slot's buffer: a page that ends in the lead, then the payload. */
static inline uint64_t request_stride(uint32_t payload_len)
{
	return PAGE_BYTES + round_up(payload_len, PAGE_BYTES);
}

/* Sets up row INDEX as a free slot whose buffer begins at arena offset BUFFER. */
void request_init(struct request *request, uint32_t index, uint16_t qid, uint64_t buffer,
		  uint32_t payload_len);

/*
 * Moves REQUEST to state TO, which must be allowed from where it is: anything else is our own bug
 * and ends the process before an answer could be lost or given twice.
 */
void request_move(struct request *request, enum request_state to);

static inline enum request_state request_state(const struct request *request)
{
	return (enum request_state)atomic_load_explicit(&request->state, memory_order_acquire);
}

const char *request_state_name(enum request_state state);

/* Where the message is read to, and the most that fits. */
void *request_message(const struct arena *arena, const struct request *request);
uint32_t request_message_cap(const struct request *request);
void *request_payload(const struct arena *arena, const struct request *request);

/*
 * Makes the answer: BODY_LEN bytes that stand at the payload, or ERROR (-errno, then no body), and
 * moves the request to REPLY. Returns the reply's first byte; it has request->reply_len bytes. The
 * sign stays: the wire wants it negative.
 */
const void *request_reply(const struct arena *arena, struct request *request, int error,
			  uint32_t body_len);

/* The answer that stands in REQUEST's buffer. */
const struct fuse_out_header *request_own_reply(const struct arena *arena,
						const struct request *request);

/* The same of an answer made elsewhere: OUT and the body behind it. REQUEST is in state REPLY. */
void request_copy_reply(const struct arena *arena, struct request *request,
			const struct fuse_out_header *out);

#endif
