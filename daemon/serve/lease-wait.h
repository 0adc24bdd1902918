/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests that wait for a lease on a backing file (F_SETLEASE of fcntl(2)). Whoever opens such a
 * file has the lease broken, and waits in the kernel until its holder gives it up, or for
 * /proc/sys/fs/lease-break-time. So the handlers open without blocking, and a request that meets a
 * lease is put aside, without a thread, and tried again until it works (S7): there is a round each
 * LEASE_RETRY_MS, of those who have waited the longest, LEASE_ROUND at most, as a try isn't cheap.
 *
 * The kernel ends a lease after the break time, and while somebody waits for that in the kernel it
 * gives no new one. Here whoever holds it may give it up and take it again, before each try, for
 * ever. So a request that has waited for longer than that time is answered with EAGAIN.
 *
 * What has been put aside keeps its slot. So that slots remain for others, no more than half of
 * the metadata slots wait, and half of each CPU's ring entries (of a single one, none). A
 * request has its place until it is answered.
 *
 * Wake-ups: nothing tells of a lease's end, so a timer does. The word that counts those who were
 * put aside decides who starts it: whoever raises it from 0, or the main thread where it isn't 0
 * after a round. Whoever is counted is in the inbox already. So none can wait without a timer.
 *
 * Interruption: the kernel sends INTERRUPT by /dev/fuse, maybe before another thread has seen the
 * request itself. So the number of the interrupted request is noted in a table, whatever state the
 * request is in, and looked for whenever it is to be put aside: before the first time and after
 * each try. A note can be lost only where, between two tries, another request is interrupted whose
 * number is the same modulo LEASE_NOTES. Then the request ends with the lease.
 *
 * The end: once the server is to stop nobody waits any more (worker_stop_waiting()). Whoever was
 * just putting a request aside looks at that once more afterwards, and answers it itself.
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

/* Slots of one kind. */
struct lease_places {
	uint32_t most; /* that may wait. Constant */
	_Atomic uint32_t used;
};

struct lease_wait {
	int timer_fd;		     /* readable: a round is due */
	uint32_t limit_s;	     /* for which a request may wait. Constant */
	_Atomic uint32_t aside;	     /* put aside since a round has taken them up */
	struct lease_places *places; /* of the metadata slots, then of each CPU's entries */
	_Atomic uint64_t
		interrupted[LEASE_NOTES]; /* the newest request of each number modulo that */
};

/*
 * For METAS metadata slots, and the entries of DEAL (NULL: none). Allocates: before the seal.
 * Returns 0 or -errno.
 */
int lease_wait_init(struct lease_wait *wait, uint32_t metas, const struct ring_layout *layout);
void lease_wait_destroy(struct lease_wait *wait);

/* Takes a place for REQUEST, a metadata slot or an entry: false where no more of them may wait. */
bool lease_wait_enter(struct lease_wait *wait, struct request *request);

/* Whether REQUEST has waited for as long as it may. */
bool lease_wait_is_over(const struct lease_wait *wait, const struct request *request);

/* Gives back the place of REQUEST, if it has one. */
void lease_wait_leave(struct lease_wait *wait, struct request *request);

/* One more has been put aside. Any thread; can't fail, takes no lock. */
void lease_wait_count(struct lease_wait *wait);

/* How many a round, which begins now, has to take up. The main thread. */
uint32_t lease_wait_begin_round(struct lease_wait *wait);

/* These COUNT have been taken up. */
void lease_wait_end_round(struct lease_wait *wait, uint32_t count);

/* The request of that number is to be interrupted; whether it is. Any thread, no lock. */
void lease_wait_interrupt(struct lease_wait *wait, uint64_t unique);
bool lease_wait_is_interrupted(const struct lease_wait *wait, uint64_t unique);

#endif
