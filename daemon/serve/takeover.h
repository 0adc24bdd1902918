/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over from a server that has died (recovery=on). The arena and all descriptors outlive a
 * server: the keeper, which shares its table of descriptors with every server, starts another one.
 * The clients see a pause. The heir goes through these steps:
 *
 *   1. It closes the dead server's rings (takeover_close_rings()), the first thing that it does.
 *   2. It takes over the tables of inodes and open files (inode_table_attach() and others), and
 *      closes every descriptor that it doesn't know (fd_marks_sweep()).
 *   3. It waits until all I/O on these rings is over. A process that is gone may still have writes
 *      under way, which could overwrite newer data, or read from a slot that has been used again.
 *      Each ring has a sentinel, a pipe that hangs up when the ring's last request is complete.
 *   4. It goes through all requests (takeover_requests()). What has an answer gets it once more,
 *      and the kernel refuses one that it has had (ENOENT). All others are done from their
 *      beginning, with what was noted in their progress (progress.h).
 *
 * So no request is lost, and none is answered twice (S10): the message of a request is whole until
 * it is in state REPLY, and its answer is from then on (request.h).
 *
 * A request that has made three servers fail is answered with EIO. A server fails if it ends
 * itself, or by a signal that its own code has caused; SIGKILL comes from others.
 */
#ifndef CAISSON_TAKEOVER_H
#define CAISSON_TAKEOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/config.h"
#include "serve/session.h"

struct arena;
struct dropper;
struct outbox;
struct worker_set;

/* Of one queue. */
struct handover_queue {
	int32_t dev_fd;	     /* its clone of /dev/fuse */
	int32_t ring_fd;     /* of the last server that served, or -1 */
	int32_t sentinel_fd; /* hangs up when that ring has gone */
};

/* What a server leaves to the next one, besides the tables. Lives in the arena, one row. */
struct handover {
	struct session session;
	bool posix_acl, parallel_direct_writes, killpriv_v2, dont_mask; /* as in struct fs */
	bool setxattr_ext, passthrough;
	struct handover_queue queue[SERVE_QUEUES_MAX];

	/* since the mount, for status */
	uint64_t takeovers;
	uint64_t redone, resent, refused; /* requests */
	uint64_t pause_us, worst_pause_us;
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
 * Closes the rings of the server that has left the arena behind ARENA_FD. The kernel needs some
 * time to be rid of them, and an heir to start. Returns 0, or -EBADMSG or another -errno.
 */
int takeover_close_rings(int arena_fd);

/*
 * Waits until each of the COUNT descriptors in SENTINELS hangs up, for MS milliseconds at most.
 * Returns 0, -ETIMEDOUT or another -errno.
 */
int takeover_await(const int *sentinels, uint32_t count, int ms);

/*
 * Step 4, before the queues' and the workers' threads run. Slots that are free go to their pools. A
 * request in a data slot is left for its queue, marked as inherited.
 */
void takeover_requests(struct takeover *takeover);

#endif
