/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport: it brings messages from the kernel to a queue and takes answers back, on the
 * queue's engine. There are two kinds:
 *
 *   dev    the classic /dev/fuse (transport-dev.c). Each queue has one. With FUSE-over-io_uring,
 *          FORGET, INTERRUPT and messages that were sent before it began still come by it
 *   uring  FUSE-over-io_uring (transport-uring.c): slots of the queue are entries of the kernel's
 *          rings, for good
 *
 * All calls are made by the thread whose engine it is, except transport_dev_answer(), and
 * transport_dev_close() after that thread has ended.
 */
#ifndef CAISSON_TRANSPORT_H
#define CAISSON_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/engine.h"

struct request;
struct transport;

struct transport_owner {
	void *arg;
	/* A message of request->msg_len bytes is in REQUEST, which is in state RUN now. */
	void (*received)(void *arg, struct request *request);
	/* The transport needs REQUEST no more: it is in state FREE, to be put into its pool. */
	void (*released)(void *arg, struct request *request);
	/*
	 * No message will come any more. REASON: -ENODEV unmounted, -ECONNABORTED aborted, or a
	 * fault.
	 */
	void (*ended)(void *arg, int reason);
};

struct transport {
	struct transport_owner owner;
	struct engine *engine;
	struct request *requests; /* ARENA_REQUESTS */
	struct stats_queue *stats;
	int fd;		     /* dev: this queue's own clone of the session's /dev/fuse */
	uint32_t offered;    /* index of the slot on offer, while armed */
	_Atomic bool armed;  /* dev: a slot is on offer. The queue's thread writes, any reads */
	bool ended;	     /* dev: no message will come any more */
	uint32_t replies;    /* dev: sent, not completed */
	_Atomic int refusal; /* uring: -errno with which the kernel refused an entry, or 0 */
};

/* Most submissions of both transports in flight, for a queue of DEPTH slots. */
#define TRANSPORT_SUBMISSIONS(depth) ((depth) + 2)

/*
 * Opens a clone of the connection of SESSION_FD, or takes DEV_FD, a clone that was opened before,
 * unless it is -1. For ENGINE's queue. Returns 0 or -errno.
 */
int transport_dev_open(struct transport *transport, struct engine *engine, int session_fd,
		       int dev_fd, const struct transport_owner *owner);

void transport_dev_close(struct transport *transport);

/* Offers REQUEST, which is free, as the next message's buffer: one at a time, see armed. */
void transport_dev_fetch(struct transport *transport, struct request *request);

/*
 * Takes back the slot on offer: released() follows; or, where a message was faster, received() or
 * released().
 */
void transport_dev_cancel(struct transport *transport);

/* Whether no message waits to be read, in a moment in which nothing is on offer. */
bool transport_dev_is_drained(const struct transport *transport);

/* Sends the answer that request_reply() has made; released() follows. */
void transport_dev_reply(struct transport *transport, struct request *request);

/*
 * Sends an answer made elsewhere: LEN bytes at DATA, a fuse_out_header first. Any thread. Doesn't
 * block and keeps nothing of DATA. Returns 0 or -errno (-ENOENT: no longer wanted).
 */
int transport_dev_answer(struct transport *transport, const void *data, uint32_t len);

/*
 * Whether the kernel has FUSE-over-io_uring and lets this process use it on the mount of
 * SESSION_FD, whose INIT has not been answered yet. Returns 0 or -errno. Any thread.
 */
int transport_uring_probe(int session_fd);

/*
 * Makes TRANSPORT one whose entries are on ENGINE's ring, which was made for commands. SESSION_FD
 * is any descriptor of the connection, and outlives TRANSPORT. Can't fail.
 */
void transport_uring_open(struct transport *transport, struct engine *engine, int session_fd,
			  const struct transport_owner *owner);

/* Registers REQUEST, a free slot with its cpu set, as an entry, until the ring ends. */
void transport_uring_register(struct transport *transport, struct request *request);

/*
 * Sends the answer that stands in REQUEST's buffer and offers the entry again; received() or
 * released() follows.
 */
void transport_uring_reply(struct transport *transport, struct request *request);

/*
 * Shows ThreadSanitizer an order that the kernel keeps: what was done before an answer comes before
 * what is done after a later message. Much shared data relies on it. The kernel sends RELEASE when
 * all requests on the handle have been answered, and FORGET when the look-up has been, and it uses
 * no handle or nodeid before it was told of it.
 */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char transport_kernel;
#define TRANSPORT_ORDER_ANSWER()  __tsan_release(&transport_kernel)
#define TRANSPORT_ORDER_MESSAGE() __tsan_acquire(&transport_kernel)
#else
#define TRANSPORT_ORDER_ANSWER()  ((void)0)
#define TRANSPORT_ORDER_MESSAGE() ((void)0)
#endif

#endif
