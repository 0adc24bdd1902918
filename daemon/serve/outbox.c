/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/outbox.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "serve/request.h"
#include "serve/transport.h"

int outbox_init(struct outbox *outbox, const struct arena *arena, struct transport *dev,
		uint32_t first_slot, uint32_t depth)
{
	int r;

	*outbox = (struct outbox){
		.arena = arena,
		.requests = arena_table(arena, ARENA_REQUESTS),
		.dev = dev,
		.wake_fd = eventfd(0, EFD_CLOEXEC),
	};
	atomic_init(&outbox->returned, POOL_NONE);
	if (outbox->wake_fd < 0)
		return -errno;
	r = pool_init_in_use(&outbox->slots, first_slot, depth);
	if (r < 0)
		close_fd(&outbox->wake_fd);
	return r;
}

void outbox_destroy(struct outbox *outbox)
{
	if (!outbox->arena)
		return; /* it was never made */
	close_fd(&outbox->wake_fd);
	pool_destroy(&outbox->slots);
	outbox->arena = NULL;
}

void outbox_wake(struct outbox *outbox)
{
	uint64_t one = 1;

	/* can only fail by overflow, and then the queue has wake-ups enough */
	(void)!write(outbox->wake_fd, &one, sizeof(one));
}

int outbox_answer(struct outbox *outbox, struct request *request)
{
	int r;

	if (request->entry) {
		request_copy_reply(outbox->arena, request);
		outbox_return(outbox, request);
		return 0;
	}
	r = transport_dev_answer(outbox->dev, request_the_reply(outbox->arena, request),
				 request->reply_len);
	if (!request->meta)
		outbox_drop(outbox, request);
	return r;
}

void outbox_drop(struct outbox *outbox, struct request *request)
{
	assert(!request->entry);
	request_move(request, REQUEST_FREE);
	pool_put(&outbox->slots, request->index);
	if (atomic_load(&outbox->starved))
		outbox_wake(outbox);
}

void outbox_return(struct outbox *outbox, struct request *request)
{
	uint32_t head = atomic_load(&outbox->returned);

	do {
		request->next = head;
	} while (!atomic_compare_exchange_weak(&outbox->returned, &head, request->index));
	if (head == POOL_NONE)
		outbox_wake(outbox); /* whoever put the first one there has woken the queue */
}
