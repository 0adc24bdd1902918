/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over from a server that has died (recovery=on). The arena and all descriptors outlive a
 * server: the keeper, which shares its table of descriptors with every server, starts another one.
 * The clients see a pause. The heir goes through these steps:
 *
 *   1. It takes over the tables of inodes and open files (inode_table_attach() and others), and
 *      closes every descriptor that it doesn't know (fd_marks_sweep()).
 *   2. It waits until all I/O of the dead server is over (takeover_await()). A process that is gone
 *      may still have writes under way, which could overwrite newer data, or read from a slot that
 *      has been used again. Their results are in the dead server's rings, which the heir has mapped
 *      before (takeover_map()). If one doesn't come, the heir lets go of that ring, and waits for
 *      its sentinel, a pipe that hangs up when the ring's last request is complete.
 *   3. It goes through all requests (takeover_requests()). What has an answer gets it once more,
 *      unless its ring shows that the kernel has taken it; else the kernel refuses one that it has
 *      had (ENOENT). What the ring shows to be done is only answered: otherwise a sync that takes
 *      longer than a server lives would never end. All others are done from their beginning, with
 *      what was noted in their progress (progress.h).
 *   4. It cancels what is left on the rings, and lets go of them. A ring that it couldn't harvest,
 *      and before Linux 6.0 any ring, keeps its poll of /dev/fuse until the kernel is rid of it,
 *      some tens of milliseconds later, and that poll may swallow a wake-up. So one of the heir's
 *      queues has to look each 2 ms (server_settle()).
 *
 * So no request is lost, and none is answered twice (S10): the message of a request is whole until
 * it is in state REPLY, and its answer is from then on (request.h). The kernel tells the error of a
 * sync once, and may have told it to the dead server: it is looked for in the rings, too. A sync of
 * which no result is found counts as failed (S11).
 *
 * A request that has made three servers fail is answered with EIO. A server fails if it ends
 * itself, or by a signal that its own code has caused; SIGKILL comes from others.
 */
#ifndef CAISSON_TAKEOVER_H
#define CAISSON_TAKEOVER_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "serve/config.h"
#include "serve/session.h"

struct arena;
struct dropper;
struct outbox;
struct worker_set;

/* There is no ring: its I/O is over; or it was closed, and only the sentinel tells. */
#define HANDOVER_OVER	(-1)
#define HANDOVER_CLOSED (-2)

/* Of one queue. */
struct handover_queue {
	int32_t dev_fd;		       /* its clone of /dev/fuse */
	int32_t ring_fd;	       /* of the last server that served, or one of HANDOVER_… */
	int32_t sentinel_fd;	       /* hangs up when that ring has gone; or -1 */
	struct io_uring_params params; /* of the ring */
};

/* What a server leaves to the next one, besides the tables. Lives in the arena, one row. */
struct handover {
	struct session session;
	bool posix_acl, parallel_direct_writes, killpriv_v2, dont_mask; /* as in struct fs */
	bool setxattr_ext, passthrough, default_permissions;
	struct handover_queue queue[SERVE_QUEUES_MAX];

	/* since the mount, for status */
	uint64_t takeovers;
	uint64_t redone, refused; /* requests */
	uint64_t resent;	  /* requests that the dead server had answered, or done whole */
	uint64_t pause_us, worst_pause_us;
};

/* The rings of the server that an heir may take over from, by queue, as it has mapped them. */
struct takeover_rings {
	struct io_uring ring[SERVE_QUEUES_MAX];
	bool is_mapped[SERVE_QUEUES_MAX];
};

struct takeover {
	const struct arena *arena;
	struct outbox *outboxes; /* one a queue */
	struct worker_set *workers;
	struct dropper *dropper;
	struct handover *handover;
	uint32_t queue_slots; /* of all queues; the rows behind them are metadata slots */
	uint32_t meta_slots;
	bool failed; /* the dead server has failed, and was not killed by somebody */
};

/*
 * Maps the rings of the COUNT queues of HANDOVER, before its server has died or after. They are
 * locked memory, of which there may be too little. What isn't mapped has no results.
 */
void takeover_map(struct takeover_rings *rings, const struct handover *handover, uint32_t count);

/*
 * Step 2: waits until all I/O of queue QID is over, which has COUNT slots from FIRST on, or until
 * END_MS (clock_ms()). Unmaps and closes its ring. Returns 0, -ETIMEDOUT or another -errno.
 */
int takeover_await(const struct arena *arena, struct handover *handover,
		   struct takeover_rings *rings, uint32_t qid, uint32_t first, uint32_t count,
		   int64_t end_ms);

/*
 * Step 3, before the queues' and the workers' threads run. Slots that are free go to their pools. A
 * request in a data slot is left for its queue, marked as inherited.
 */
void takeover_requests(struct takeover *takeover);

#endif
