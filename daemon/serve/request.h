/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A request: one FUSE message from the moment that a slot waits for it until its answer is with
 * the kernel. Slots are rows of ARENA_REQUESTS: first those of each queue (data slots, with
 * max_write bytes of payload), then the metadata slots, which are common to all.
 *
 * The message is read so that what follows 80 bytes of headers (fuse_in_header and
 * fuse_write_in) lands on the page-aligned payload: a WRITE's data needs no copy. A message that
 * comes by a ring entry is put together in the same form (transport-uring.c), with as many bytes of
 * headers as it has.
 *
 *	         lead page                           payload
 *	message  [ …              | header 40 | arg 40 ][ data, or the rest … ]
 *	reply    [ header 16 | body …                  ][                     ]
 *	of READ  [ …                       | header 16 ][ data …              ]
 *
 * So a message stays whole until its answer is made, in case the process dies (takeover.h): a short
 * reply overwrites nothing of it, and the header of a READ's reply only fields that nobody uses. A
 * worker's reply stands in the worker's own buffer. The reply to a ring entry always stands at the
 * payload.
 *
 * Transitions between states, with the thread that makes each. "owner" is whatever thread has the
 * request in that state:
 *
 *	FREE	→ FETCH	 [queue]     the slot is offered to the transport
 *	FETCH	→ FREE	 [queue]     the transport had no message for it
 *	FETCH	→ RUN	 [queue]     a message is in it
 *	FREE	→ RUN	 [owner]     a metadata slot gets a copy of a data slot's message
 *	RUN	→ FREE	 [owner]     it was copied to a metadata slot, or gets no answer
 *	RUN	→ GATE	 [owner]     it is parked at its file's gate, or in its sync-group
 *	GATE	→ RUN	 [owner]     it has entered the gate, or the group is complete
 *	RUN	→ IO	 [queue]     its backing I/O is submitted to the queue's engine
 *	IO	→ RUN	 [queue]     the I/O is complete
 *	RUN	→ QUEUED [queue]     it is in the metadata workers' inbox
 *	RUN	→ QUEUED [worker]    it is among the changes, or waits for a lease
 *	QUEUED	→ RUN	 [worker]    a worker has taken it up
 *	QUEUED	→ RUN	 [main]      the main thread has it tried again
 *	RUN	→ REPLY	 [owner]     its answer is made; the transport or the dropper has it
 *	REPLY	→ FREE	 [owner]     the kernel has the answer (see turn() in queue.c)
 *	REPLY	→ FETCH	 [queue]     one command answers a ring entry and offers it again
 *
 * Invariants: FREE: the slot is in its pool, and nothing refers to it. FETCH: the transport may
 * read a message into it. GATE: it is in the list of one gate or sync-group. IO: the engine has its
 * io row. A request passes REPLY exactly once (S10): any transition that isn't listed ends the
 * process.
 */
#ifndef CAISSON_REQUEST_H
#define CAISSON_REQUEST_H

#include <errno.h>
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

/* The processes that a request may make fail. It is answered with EIO then (takeover.h). */
#define REQUEST_DEATHS_MAX 3

/* Lives in the arena: no pointers. */
struct request {
	_Atomic uint32_t turn; /* another number for each message; any thread may read it */
	_Atomic uint8_t state; /* enum request_state; only request_move() writes it */
	uint8_t meta;	       /* this is a metadata slot */
	uint8_t zoned;	       /* a WRITE that zone_write_begin() has allowed */
	uint8_t entry;	       /* the slot is a ring entry (transport-uring.c) */
	uint8_t few;	       /* the entry's CPU has RING_ENTRIES_MIN entries (ring-layout.h) */
	uint8_t around;	       /* a WRITE that goes around the page cache above */
	uint8_t changes;       /* it changes the backing filesystem: dispatch_changes() */
	uint8_t drops;	       /* its answer waits for `drop` */
	uint8_t in_gate;      /* it has entered its gate or is parked there; or in its sync-group */
	uint8_t gate_kind;    /* enum gate_kind */
	uint8_t waits;	      /* it has a place among those that wait for a lease */
	uint8_t inherited;    /* a process has died that had begun with it */
	uint8_t begun;	      /* a thread of this process has begun with it */
	uint8_t deaths;	      /* times that a process has failed after a thread had begun with it */
	uint8_t is_whole;     /* its I/O was done whole, in case it is inherited */
	uint8_t is_recorded;  /* inode_record_error() was called for its sync */
	int32_t sync_error;   /* how its sync has failed, -errno, in case it is inherited; or 0 */
	uint32_t waits_since; /* CLOCK_MONOTONIC, s */
	uint32_t gate;	      /* inode row of its gate (gate.h) */
	uint32_t worker;      /* worker that waits at the gate; POOL_NONE: the queue does */
	uint16_t qid;	      /* queue that it came by and is answered through */
	uint16_t cpu;	      /* of an entry: CPU whose requests it takes */
	uint32_t index;	      /* of this row */
	uint32_t next;	      /* in the list of a gate, the dropper or an outbox */
	uint64_t buf_off;     /* arena offset of the payload, page-aligned */
	uint32_t buf_len;     /* room for the payload, bytes */
	uint32_t lead_len;    /* bytes of the message that lie before the payload */
	uint32_t msg_len;     /* bytes of the message, headers included */
	uint32_t reply_len;   /* bytes of the reply, header included; in state REPLY */
	uint64_t reply_off;   /* arena offset of the reply; in state REPLY */
	uint32_t opcode;
	uint64_t unique;
	struct call_parts parts; /* of the message, once it was parsed */
	uint32_t moved;		 /* of a READ or WRITE: bytes done before its io row's */
	uint64_t fh;		 /* of a data request */
	struct cached_drop drop;
	struct progress progress;
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
 * Clears what REQUEST has of its last message. Call it before state FETCH. The message's header is
 * zero then until one is read, so that a process that takes over sees whether one was.
 */
void request_begin(const struct arena *arena, struct request *request);

/* Has `turn` tell that another message is in REQUEST. Its owner. */
static inline void request_count(struct request *request)
{
	uint32_t turn = atomic_load_explicit(&request->turn, memory_order_relaxed);

	atomic_store_explicit(&request->turn, turn + 1, memory_order_relaxed);
}

/*
 * Sets the state of REQUEST, a row that a process has left that died, to what it is now. Before
 * other threads exist.
 */
void request_inherit(struct request *request, enum request_state state);

/*
 * Moves REQUEST to state TO. A transition that isn't allowed is our own bug. It ends the process
 * before an answer could be lost or given twice.
 */
void request_move(struct request *request, enum request_state to);

static inline enum request_state request_state(const struct request *request)
{
	return (enum request_state)atomic_load_explicit(&request->state, memory_order_acquire);
}

const char *request_state_name(enum request_state state);

/* The first byte of the message; the most bytes that fit there. */
void *request_message(const struct arena *arena, const struct request *request);
uint32_t request_message_cap(const struct request *request);
void *request_payload(const struct arena *arena, const struct request *request);

/* Where the body of a reply is to be made that isn't READ's data: REQUEST_SHORT bytes. */
#define REQUEST_SHORT (PAGE_BYTES - REQUEST_LEAD - sizeof(struct fuse_out_header))
void *request_short_body(const struct arena *arena, const struct request *request);

/*
 * Makes the answer and moves the request to REPLY. It is ERROR (-errno), or a body of BODY_LEN
 * bytes: a READ's stands at the payload, any other at request_short_body(). Returns the reply's
 * first byte. The sign stays: the wire wants it negative.
 */
const void *request_reply(const struct arena *arena, struct request *request, int error,
			  uint32_t body_len);

/*
 * ERROR, 0 or -errno, as /dev/fuse takes it. With one that the kernel has for itself, as some
 * filesystems give, it would refuse the answer (fuse_dev_do_write()), and the client would wait for
 * ever.
 */
static inline int32_t request_error(int error)
{
	if (error == -524) /* ENOTSUPP, for what a filesystem doesn't have */
		return -EOPNOTSUPP;
	return error <= -512 ? -EIO : error;
}

/*
 * Makes OUT, in the arena with its body behind it, the answer of REQUEST, which the caller then
 * moves to REPLY.
 */
void request_set_reply(const struct arena *arena, struct request *request,
		       const struct fuse_out_header *out);

/* The answer of REQUEST, which is in state REPLY. */
const struct fuse_out_header *request_the_reply(const struct arena *arena,
						const struct request *request);

/* Copies the answer of REQUEST to its payload, unless it stands there. */
void request_copy_reply(const struct arena *arena, struct request *request);

#endif
