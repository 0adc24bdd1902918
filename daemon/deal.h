/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the entries of FUSE-over-io_uring are dealt out. The kernel has a queue for each possible CPU
 * and uses none of them before each has an entry. Here each queue thread has some of the CPUs', and
 * each CPU has some of several threads', so that one busy CPU keeps more than one thread busy: the
 * slots that /dev/fuse would use, dealt like cards; and one more for each CPU that isn't there yet.
 */
#ifndef CAISSON_DEAL_H
#define CAISSON_DEAL_H

#include <stdint.h>

struct cpus;

struct deal {
	uint16_t *entries;  /* the CPU of each: those of queue 0, of queue 1, … */
	uint32_t per_queue; /* entries of a queue at most; the last queue may have fewer */
	uint32_t count;
	uint32_t per_cpu; /* entries that each CPU has at least */
};

/*
 * Deals DEPTH entries to each of QUEUES queues, or as many more as the CPUs need. Allocates: before
 * the seal. Returns 0 or -ENOMEM.
 */
int deal_make(struct deal *deal, const struct cpus *cpus, uint32_t queues, uint32_t depth);

/* How many each of QUEUES queues should have with so many CPUs online, where nobody has said. */
uint32_t deal_depth(uint32_t online, uint32_t queues);
void deal_destroy(struct deal *deal);

/* The entries of queue QID: the first one's CPU, and how many there are. */
const uint16_t *deal_of(const struct deal *deal, uint32_t qid, uint32_t *ret_count);

#endif
