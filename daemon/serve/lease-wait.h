/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for leases: requests that meet a lease on a backing file (F_SETLEASE of fcntl(2)) wait
 * here without a thread (S7). To open such a file breaks the lease, and an open that blocks waits
 * in the kernel until the holder gives it up, for up to /proc/sys/fs/lease-break-time. So the
 * handlers open without blocking. A request that meets a lease is put aside and tried again until
 * it works. Each LEASE_RETRY_MS there is a round for the LEASE_ROUND requests at most that have
 * waited the longest, because a try isn't cheap.
 *
 * The kernel ends a lease after the break time, and gives no new one while an open waits for that
 * in the kernel. No open waits there for us, so a holder can give the lease up and take it again
 * between two tries, for ever. So a request that has waited longer than the break time is answered
 * with EAGAIN.
 *
 * A request that was put aside keeps its slot. So that slots remain for others, at most half of the
 * metadata slots and half of each CPU's ring entries may wait (none if there is one entry). A
 * request keeps its place until it is answered.
 *
 * Wake-ups: nothing tells of a lease's end, so a timer starts the rounds. A counter of the requests
 * put aside decides who starts the timer: the thread that raises it from 0, or the main thread if
 * it isn't 0 after a round. A request is in the inbox before it is counted. So no request waits
 * without a timer.
 *
 * Interruption: the kernel sends INTERRUPT by /dev/fuse, perhaps before another thread has seen the
 * request itself. So the number of the interrupted request is noted in a table, whatever state the
 * request is in. The table is looked at each time that a request is to be put aside. A note is lost
 * only if another request with the same number modulo LEASE_NOTES is interrupted between two tries.
 * The request then ends with the lease.
 *
 * The end: when the server is to stop, no request waits any more (worker_stop_waiting()). A worker
 * that was just putting a request aside looks at `stopping` once more afterwards, and answers it.
 */
#ifndef CAISSON_LEASE_WAIT_H
#define CAISSON_LEASE_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ring_layout;
struct request;

#define LEASE_RETRY_MS 20
#define LEASE_ROUND    16u
#define LEASE_NOTES    1024u

/* How many slots of one kind wait. */
struct lease_places {
	uint32_t most; /* constant */
	_Atomic uint32_t used;
};

struct lease_wait {
	int timer_fd;		     /* readable: a round is due */
	uint32_t limit_s;	     /* how long a request may wait. Constant */
	_Atomic uint32_t aside;	     /* requests that are put aside now */
	struct lease_places *places; /* for the metadata slots, then for each CPU's entries */
	_Atomic uint64_t interrupted[LEASE_NOTES]; /* newest number for each remainder */
};

/*
 * For METAS metadata slots and the entries of LAYOUT (NULL: none). Allocates: before the seal.
 * Returns 0 or -errno.
 */
int lease_wait_init(struct lease_wait *wait, uint32_t metas, const struct ring_layout *layout);
void lease_wait_destroy(struct lease_wait *wait);

/* Takes a place for REQUEST, a metadata slot or an entry. False: no more of them may wait. */
bool lease_wait_enter(struct lease_wait *wait, struct request *request);

/* Whether REQUEST has waited as long as it may. */
bool lease_wait_is_over(const struct lease_wait *wait, const struct request *request);

/* Gives back the place of REQUEST, if it has one. */
void lease_wait_leave(struct lease_wait *wait, struct request *request);

/* One more has been put aside. Any thread; can't fail, takes no lock. */
void lease_wait_count(struct lease_wait *wait);

/* Begins a round. Returns how many requests it has to take up. The main thread. */
uint32_t lease_wait_begin_round(struct lease_wait *wait);

/* Ends a round that has taken up COUNT requests. */
void lease_wait_end_round(struct lease_wait *wait, uint32_t count);

/* Notes that the request UNIQUE was interrupted; asks whether it was. Any thread, no lock. */
void lease_wait_interrupt(struct lease_wait *wait, uint64_t unique);
bool lease_wait_is_interrupted(const struct lease_wait *wait, uint64_t unique);

#endif
