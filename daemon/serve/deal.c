/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/deal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cpus.h"
#include "base/macro.h"

/*
 * More than a busy disk asks for are for requests that wait, as for a frozen filesystem: whoever
 * comes after these must find an entry. Few CPUs can have many each.
 */
#define PER_CPU_MIN DEAL_BUSY
#define PER_CPU_MAX 64u
#define ENTRIES	    256u /* between the two, so many in all */

int deal_make(struct deal *deal, const struct cpus *cpus, uint32_t queues, uint32_t per_cpu)
{
	uint32_t absent = cpus->possible - cpus->online;
	uint32_t at = 0;

	*deal = (struct deal){
		.queues = queues,
		.per_cpu = MAX(per_cpu, DEAL_FEWEST),
		.online = cpus->online,
		.absent = absent,
	};
	deal->count = cpus->online * deal->per_cpu + absent * DEAL_FEWEST;
	deal->per_queue = (deal->count + queues - 1) / queues;
	deal->entries = calloc((size_t)queues * deal->per_queue, sizeof(*deal->entries));
	if (!deal->entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < cpus->possible; i++) {
		uint32_t wanted = i < cpus->online ? deal->per_cpu : DEAL_FEWEST;

		for (uint32_t dealt = 0; dealt < wanted; dealt++, at++)
			deal->entries[at % queues * deal->per_queue + at / queues] = cpus->list[i];
	}
	return 0;
}

uint32_t deal_per_cpu(uint32_t online)
{
	return MAX(MIN(ENTRIES / online, PER_CPU_MAX), PER_CPU_MIN);
}

void deal_destroy(struct deal *deal)
{
	free(deal->entries);
	*deal = (struct deal){ 0 };
}

/* Of the first COUNT that were dealt, how many went to queue QID. */
static uint32_t share_of(const struct deal *deal, uint32_t qid, uint32_t count)
{
	return count / deal->queues + (qid < count % deal->queues);
}

const uint16_t *deal_of(const struct deal *deal, uint32_t qid, uint32_t *ret_count)
{
	*ret_count = 0;
	if (!deal->count)
		return NULL;
	*ret_count = share_of(deal, qid, deal->count);
	return *ret_count ? deal->entries + (size_t)qid * deal->per_queue : NULL;
}

uint32_t deal_online_of(const struct deal *deal, uint32_t qid)
{
	return deal->count ? share_of(deal, qid, deal->online * deal->per_cpu) : 0;
}
