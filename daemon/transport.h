/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How messages come from the kernel and answers go back: one transport a queue, on that queue's
 * engine. Two kinds fit this interface: the classic /dev/fuse (transport-dev.c), and
 * FUSE-over-io_uring, whose entries also live on the queue's ring.
 *
 * All calls but answer() are the queue thread's.
 */
#ifndef CAISSON_TRANSPORT_H
#define CAISSON_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

struct request;
struct transport;

struct transport_owner {
	void *arg;
	/* A message of request->msg_len bytes is in REQUEST, which is in state RUN now. */
	void (*received)(void *arg, struct request *request);
	/* The transport is through with REQUEST: it is in state FREE, to be put into its pool. */
	void (*released)(void *arg, struct request *request);
	/* No message will come any more: -ENODEV unmounted, -ECONNABORTED aborted, else a fault. */
	void (*ended)(void *arg, int reason);
};

struct transport_ops {
	const char *name; /* as `caisson status` shows it */
	/* Offers REQUEST, which is free, as the next message's buffer. One at a time: see armed. */
	void (*fetch)(struct transport *transport, struct request *request);
	/* Sends the answer that request_reply() has made; released() follows. */
	void (*reply)(struct transport *transport, struct request *request);
	/*
	 * Sends an answer made elsewhere: LEN bytes at DATA, a fuse_out_header first. Any thread.
	 * Doesn't block and keeps nothing of DATA. Returns 0 or -errno (-ENOENT: no longer wanted).
	 */
	int (*answer)(struct transport *transport, const void *data, uint32_t len);
	/*
	 * Takes back the slot on offer: released() follows, and ended() with -ECANCELED; or, where a
	 * message was faster, received() or released() alone.
	 */
	void (*cancel)(struct transport *transport);
	/* A completion of one of this transport's tags. */
	void (*completion)(struct transport *transport, enum engine_tag tag, uint32_t index,
			   int result);
	void (*destroy)(struct transport *transport);
};

struct transport {
	const struct transport_ops *ops;
	struct transport_owner owner;
	struct engine *engine;
	struct request *requests; /* ARENA_REQUESTS */
	struct stats_queue *stats;
	int fd;		  /* this queue's own clone of the session's /dev/fuse */
	uint32_t offered; /* index of the slot on offer, while armed */
	bool armed;	  /* a slot is on offer */
	bool ended;
};

/* Submissions of a transport in flight at most, replies of DEPTH slots included. */
#define TRANSPORT_SUBMISSIONS(depth) ((depth) + 2)

/*
 * Opens a clone of the connection of SESSION_FD for ENGINE's queue. Returns 0 or -errno.
 */
int transport_dev_open(struct transport *transport, struct engine *engine, int session_fd,
		       const struct transport_owner *owner);

#endif
