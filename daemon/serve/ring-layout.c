/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/ring-layout.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cpus.h"
#include "base/macro.h"

/*
 * A busy disk needs RING_ENTRIES_BUSY. More entries are for requests that wait, as for a frozen
 * filesystem, because requests that come later must find an entry. If there are few CPUs, each can
 * have many.
 */
#define PER_CPU_MIN RING_ENTRIES_BUSY
#define PER_CPU_MAX 64u
#define ENTRIES	    256u /* of all CPUs together, within these bounds */

int ring_layout_make(struct ring_layout *layout, const struct cpus *cpus, uint32_t queues,
		     uint32_t per_cpu)
{
	uint32_t absent = cpus->possible - cpus->online;
	uint32_t at = 0;

	*layout = (struct ring_layout){
		.queues = queues,
		.per_cpu = MAX(per_cpu, RING_ENTRIES_MIN),
		.online = cpus->online,
		.absent = absent,
	};
	layout->count = cpus->online * layout->per_cpu + absent * RING_ENTRIES_MIN;
	layout->per_queue = (layout->count + queues - 1) / queues;
	layout->entries = calloc((size_t)queues * layout->per_queue, sizeof(*layout->entries));
	if (!layout->entries)
		return -ENOMEM;
	for (uint32_t i = 0; i < cpus->possible; i++) {
		uint32_t wanted = i < cpus->online ? layout->per_cpu : RING_ENTRIES_MIN;

		for (uint32_t dealt = 0; dealt < wanted; dealt++, at++)
			layout->entries[at % queues * layout->per_queue + at / queues] =
				cpus->list[i];
	}
	return 0;
}

uint32_t ring_layout_per_cpu(uint32_t online)
{
	return MAX(MIN(ENTRIES / online, PER_CPU_MAX), PER_CPU_MIN);
}

void ring_layout_destroy(struct ring_layout *layout)
{
	free(layout->entries);
	*layout = (struct ring_layout){ 0 };
}

/* How many of the first COUNT entries queue QID has. */
static uint32_t share_of(const struct ring_layout *layout, uint32_t qid, uint32_t count)
{
	return count / layout->queues + (qid < count % layout->queues);
}

const uint16_t *ring_layout_of(const struct ring_layout *layout, uint32_t qid, uint32_t *ret_count)
{
	*ret_count = 0;
	if (!layout->count)
		return NULL;
	*ret_count = share_of(layout, qid, layout->count);
	return *ret_count ? layout->entries + (size_t)qid * layout->per_queue : NULL;
}

uint32_t ring_layout_online_of(const struct ring_layout *layout, uint32_t qid)
{
	return layout->count ? share_of(layout, qid, layout->online * layout->per_cpu) : 0;
}
