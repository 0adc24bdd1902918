/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deal.h"

#include <errno.h>
#include <stdlib.h>

#include "cpus.h"
#include "macro.h"

/*
 * A request waits for an entry of its own CPU: 24 keep a disk as busy as 32 requests under way ask for
 * (measured; what is on its way in or out makes up for the rest).
 */
#define ENTRIES_PER_CPU 24
#define DEPTH_MIN	8u
#define ENTRIES_MAX	256u /* on many CPUs: they cost memory */

int deal_make(struct deal *deal, const struct cpus *cpus, uint32_t queues, uint32_t depth)
{
	uint32_t online = MAX(queues * depth, cpus->online);
	uint32_t count = online + (cpus->possible - cpus->online);

	*deal = (struct deal){ 0 };
	deal->entries = calloc(count, sizeof(*deal->entries));
	if (!deal->entries)
		return -ENOMEM;
	deal->count = count;
	deal->per_cpu = cpus->possible > cpus->online ? 1 : online / cpus->online;
	deal->per_queue = (count + queues - 1) / queues;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = i < online ? i % cpus->online : cpus->online + (i - online);

		deal->entries[i] = cpus->list[at];
	}
	return 0;
}

uint32_t deal_depth(uint32_t online, uint32_t queues)
{
	uint32_t wanted = (online * ENTRIES_PER_CPU + queues - 1) / queues;

	return MAX(MIN(wanted, ENTRIES_MAX / queues), DEPTH_MIN);
}

void deal_destroy(struct deal *deal)
{
	free(deal->entries);
	*deal = (struct deal){ 0 };
}

const uint16_t *deal_of(const struct deal *deal, uint32_t qid, uint32_t *ret_count)
{
	uint32_t first = qid * deal->per_queue;

	*ret_count = first < deal->count ? MIN(deal->per_queue, deal->count - first) : 0;
	return *ret_count ? deal->entries + first : NULL;
}
