/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring layout: which queue thread has which entries of FUSE-over-io_uring, and of which CPU
 * each is. The kernel has a queue for each possible CPU and uses none of them before each has an
 * entry. A request waits for an entry of the CPU that it was made on, whatever entries the others
 * have free (fuse_uring_queue_fuse_req(), fs/fuse/dev_uring.c). So the number of entries a CPU
 * matters; each costs a buffer of max_write (fuse_uring_create_ring_ent()).
 *
 * Each CPU's entries go to the queue threads in turn, so that one busy CPU keeps several threads
 * busy. A CPU that isn't online has the fewest that it can be served with when it comes.
 */
#ifndef CAISSON_RING_LAYOUT_H
#define CAISSON_RING_LAYOUT_H

#include <stdint.h>

struct cpus;

/* The fewest that a CPU can have: nothing of it may wait for anything else of it then. */
#define RING_ENTRIES_MIN 1u

/*
 * So many keep a disk as busy as 32 requests under way ask for (measured; what is on its way in or
 * out makes up for the rest).
 */
#define RING_ENTRIES_BUSY 24u

struct ring_layout {
	uint16_t *entries;  /* the CPU of each, per_queue for queue 0, for queue 1, … */
	uint32_t per_queue; /* entries of a queue at most; some have one fewer */
	uint32_t queues;
	uint32_t count;
	uint32_t per_cpu;	 /* entries of a CPU that is online */
	uint32_t online, absent; /* CPUs; an absent one has RING_ENTRIES_MIN */
};

/*
 * Deals PER_CPU entries for each CPU that is online (at least RING_ENTRIES_MIN) to QUEUES queues.
 * Allocates: before the seal. Returns 0 or -ENOMEM.
 */
int ring_layout_make(struct ring_layout *layout, const struct cpus *cpus, uint32_t queues,
		     uint32_t per_cpu);

/* How many a CPU should have where so many are ONLINE, nobody has said, and memory allows it. */
uint32_t ring_layout_per_cpu(uint32_t online);
void ring_layout_destroy(struct ring_layout *layout);

/* The entries of queue QID: the first one's CPU, and how many there are. */
const uint16_t *ring_layout_of(const struct ring_layout *layout, uint32_t qid, uint32_t *ret_count);

/* How many of these, from the first on, are of CPUs that are online. */
uint32_t ring_layout_online_of(const struct ring_layout *layout, uint32_t qid);

#endif
