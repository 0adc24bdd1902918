/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the entries of FUSE-over-io_uring are dealt out. The kernel has a queue for each possible
 * CPU, uses none of them before each has an entry, and lets a request wait for an entry of the
 * CPU that it was made on, whatever the others have free (fuse_uring_queue_fuse_req(),
 * fs/fuse/dev_uring.c). So what counts is how many entries a CPU has; and each costs a buffer of
 * max_write, whatever it is used for (fuse_uring_create_ring_ent()).
 *
 * Each CPU's entries are dealt out to the queue threads in turn, so that one busy CPU keeps several
 * of them busy. A CPU that isn't online has the fewest that it can be served with when it comes.
 */
#ifndef CAISSON_DEAL_H
#define CAISSON_DEAL_H

#include <stdint.h>

struct cpus;

/* The fewest that a CPU can have: nothing of it may wait for anything else of it then. */
#define DEAL_FEWEST 1u

/*
 * So many keep a disk as busy as 32 requests under way ask for (measured; what is on its way in or
 * out makes up for the rest).
 */
#define DEAL_BUSY 24u

struct deal {
	uint16_t *entries;  /* the CPU of each, per_queue for queue 0, for queue 1, … */
	uint32_t per_queue; /* entries of a queue at most; some have one fewer */
	uint32_t queues;
	uint32_t count;
	uint32_t per_cpu;	 /* entries of a CPU that is online */
	uint32_t online, absent; /* CPUs; an absent one has DEAL_FEWEST */
};

/*
 * Deals PER_CPU entries for each CPU that is online (at least DEAL_FEWEST) to QUEUES queues.
 * Allocates: before the seal. Returns 0 or -ENOMEM.
 */
int deal_make(struct deal *deal, const struct cpus *cpus, uint32_t queues, uint32_t per_cpu);

/* How many a CPU should have where so many are ONLINE, nobody has said, and memory allows it. */
uint32_t deal_per_cpu(uint32_t online);
void deal_destroy(struct deal *deal);

/* The entries of queue QID: the first one's CPU, and how many there are. */
const uint16_t *deal_of(const struct deal *deal, uint32_t qid, uint32_t *ret_count);

/* How many of these, from the first on, are of CPUs that are online. */
uint32_t deal_online_of(const struct deal *deal, uint32_t qid);

#endif
