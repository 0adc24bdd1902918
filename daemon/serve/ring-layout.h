/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring layout: how many entries of FUSE-over-io_uring each CPU has, and which queue has which
 * of them. The kernel has a queue for each possible CPU, and uses none of these before each has an
 * entry. A request waits for an entry of the CPU that it was made on, even if other CPUs have free
 * ones (fuse_uring_queue_fuse_req(), fs/fuse/dev_uring.c). So each CPU needs enough entries. Each
 * entry costs a buffer of max_write bytes (fuse_uring_create_ring_ent()).
 *
 * Each CPU's entries go to the queues in turn, so that one busy CPU keeps several threads busy. A
 * CPU that isn't online gets RING_ENTRIES_MIN, with which it can be served when it comes online.
 */
#ifndef CAISSON_RING_LAYOUT_H
#define CAISSON_RING_LAYOUT_H

#include <stdint.h>

struct cpus;

/*
 * The fewest entries of a CPU. With one entry, no request of the CPU may wait for another of its.
 */
#define RING_ENTRIES_MIN 1u

/*
 * Entries that keep a disk as busy as 32 requests in flight do (measured). Requests that are on
 * their way in or out of the kernel make up for the difference.
 */
#define RING_ENTRIES_BUSY 24u

struct ring_layout {
	uint16_t *entries;  /* CPU of each entry: per_queue of them for each queue in turn */
	uint32_t per_queue; /* most entries of a queue; some have one fewer */
	uint32_t queues;
	uint32_t count;
	uint32_t per_cpu;	 /* entries of a CPU that is online */
	uint32_t online, absent; /* CPUs that are online, and that are possible but not online */
};

/*
 * Deals PER_CPU entries for each CPU that is online (at least RING_ENTRIES_MIN) to QUEUES queues.
 * Allocates: before the seal. Returns 0 or -ENOMEM.
 */
int ring_layout_make(struct ring_layout *layout, const struct cpus *cpus, uint32_t queues,
		     uint32_t per_cpu);

/* Entries for each of ONLINE CPUs, if no option says how many and memory allows them. */
uint32_t ring_layout_per_cpu(uint32_t online);
void ring_layout_destroy(struct ring_layout *layout);

/* The CPUs of queue QID's entries, *RET_COUNT of them. */
const uint16_t *ring_layout_of(const struct ring_layout *layout, uint32_t qid, uint32_t *ret_count);

/* How many of these, from the first on, are entries of CPUs that are online. */
uint32_t ring_layout_online_of(const struct ring_layout *layout, uint32_t qid);

#endif
