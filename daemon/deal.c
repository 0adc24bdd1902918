/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "deal.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cpus.h"
#include "macro.h"
#include "queue.h"

int deal_make(struct deal *deal, const struct cpus *cpus, uint32_t queues, uint32_t depth)
{
	uint32_t online = MAX(queues * depth, cpus->online);
	uint32_t count = online + (cpus->possible - cpus->online);

	*deal = (struct deal){ 0 };
	deal->entries = calloc(count, sizeof(*deal->entries));
	deal->cpus = calloc(cpus->possible, sizeof(*deal->cpus));
	if (!deal->entries || !deal->cpus) {
		deal_destroy(deal);
		return -ENOMEM;
	}
	deal->cpu_count = cpus->possible;
	deal->count = count;
	deal->per_queue = (count + queues - 1) / queues;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = i < online ? i % cpus->online : cpus->online + (i - online);

		deal->entries[i] = cpus->list[at];
		deal->cpus[cpus->list[at]].entries++;
	}
	return 0;
}

int deal_make_here(struct deal *deal, uint32_t queues, uint32_t depth)
{
	autofree struct cpus *cpus = malloc(sizeof(*cpus));
	int r;

	*deal = (struct deal){ 0 };
	if (!cpus)
		return -ENOMEM;
	r = cpus_read(cpus);
	return r < 0 ? r : deal_make(deal, cpus, queues, depth);
}

void deal_destroy(struct deal *deal)
{
	free(deal->entries);
	free(deal->cpus);
	*deal = (struct deal){ 0 };
}

const uint16_t *deal_of(const struct deal *deal, uint32_t qid, uint32_t *ret_count)
{
	uint32_t first = qid * deal->per_queue;

	*ret_count = first < deal->count ? MIN(deal->per_queue, deal->count - first) : 0;
	return *ret_count ? deal->entries + first : NULL;
}
