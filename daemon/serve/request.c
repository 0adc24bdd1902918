/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/request.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/arena.h"
#include "base/macro.h"

/* Servers of other versions take over: a row of another layout takes another ARENA_VERSION. */
_Static_assert(sizeof(struct request) == 232 && offsetof(struct request, state) == 4 &&
		       offsetof(struct request, deaths) == 17 &&
		       offsetof(struct request, sync_error) == 20 &&
		       offsetof(struct request, buf_off) == 48 &&
		       offsetof(struct request, parts) == 96 &&
		       offsetof(struct request, progress) == 168,
	       "the layout of requests has changed");

#define TO(state) (1u << REQUEST_##state)

static const uint8_t allowed[REQUEST_STATES] = {
	[REQUEST_FREE] = TO(FETCH) | TO(RUN),
	[REQUEST_FETCH] = TO(FREE) | TO(RUN),
	[REQUEST_RUN] = TO(FREE) | TO(GATE) | TO(IO) | TO(QUEUED) | TO(REPLY),
	[REQUEST_GATE] = TO(RUN),
	[REQUEST_IO] = TO(RUN),
	[REQUEST_QUEUED] = TO(RUN),
	[REQUEST_REPLY] = TO(FREE) | TO(FETCH),
};

void request_init(struct request *request, uint32_t index, uint16_t qid, uint64_t buffer,
		  uint32_t payload_len)
{
	*request = (struct request){
		.index = index,
		.qid = qid,
		.buf_off = buffer + PAGE_BYTES,
		.buf_len = payload_len,
		.lead_len = REQUEST_LEAD,
	};
	atomic_init(&request->state, REQUEST_FREE);
	assert(is_aligned(request->buf_off, PAGE_BYTES));
}

void request_begin(const struct arena *arena, struct request *request)
{
	memset(request_message(arena, request), 0, sizeof(struct fuse_in_header));
	request_count(request);
	request->zoned = false;
	request->begun = false;
	request->deaths = 0;
	request->is_whole = false;
	request->is_recorded = false;
	request->sync_error = 0;
	request->progress = (struct progress){ 0 };
	KILL_FENCE();
}

void request_inherit(struct request *request, enum request_state state)
{
	atomic_store(&request->state, (uint8_t)state);
}

void request_move(struct request *request, enum request_state to)
{
	enum request_state from;

	if (to == REQUEST_FREE)
		request->inherited = false;
	KILL_FENCE();
	/* exchanged, not stored: of two threads that both answer, one finds the other's state */
	from = (enum request_state)atomic_exchange_explicit(&request->state, (uint8_t)to,
							    memory_order_acq_rel);
	assert(allowed[from] & 1u << to);
}

const char *request_state_name(enum request_state state)
{
	switch (state) {
	case REQUEST_FREE:
		return "free";
	case REQUEST_FETCH:
		return "fetch";
	case REQUEST_RUN:
		return "run";
	case REQUEST_GATE:
		return "gate";
	case REQUEST_IO:
		return "io";
	case REQUEST_QUEUED:
		return "queued";
	case REQUEST_REPLY:
		return "reply";
	case REQUEST_STATES:
		break;
	}
	return "?";
}

void *request_message(const struct arena *arena, const struct request *request)
{
	return arena_at(arena, request->buf_off - request->lead_len);
}

uint32_t request_message_cap(const struct request *request)
{
	return (uint32_t)REQUEST_LEAD + request->buf_len;
}

void *request_payload(const struct arena *arena, const struct request *request)
{
	return arena_at(arena, request->buf_off);
}

void *request_short_body(const struct arena *arena, const struct request *request)
{
	uint64_t lead_page = request->buf_off - PAGE_BYTES;

	/* that of an entry isn't free (transport-uring.c) */
	return arena_at(arena, request->entry ? request->buf_off
					      : lead_page + sizeof(struct fuse_out_header));
}

static struct fuse_out_header *header_before(void *body)
{
	return (struct fuse_out_header *)body - 1;
}

const void *request_reply(const struct arena *arena, struct request *request, int error,
			  uint32_t body_len)
{
	bool has_data = request->opcode == FUSE_READ && body_len;
	void *body = has_data ? request_payload(arena, request)
			      : request_short_body(arena, request);
	struct fuse_out_header *out = header_before(body);

	assert(error <= 0 && (error == 0 || body_len == 0));
	assert(body_len <= (has_data ? request->buf_len : REQUEST_SHORT));
	*out = (struct fuse_out_header){
		.len = (uint32_t)sizeof(*out) + body_len,
		.error = request_error(error),
		.unique = request->unique,
	};
	request_set_reply(arena, request, out);
	request_move(request, REQUEST_REPLY);
	return out;
}

void request_set_reply(const struct arena *arena, struct request *request,
		       const struct fuse_out_header *out)
{
	request->reply_off = arena_off(arena, out);
	request->reply_len = out->len;
	KILL_FENCE();
}

const struct fuse_out_header *request_the_reply(const struct arena *arena,
						const struct request *request)
{
	return arena_at(arena, request->reply_off);
}

void request_copy_reply(const struct arena *arena, struct request *request)
{
	struct fuse_out_header *own = header_before(request_payload(arena, request));
	const struct fuse_out_header *out = request_the_reply(arena, request);

	if (out == own)
		return;
	memcpy(own, out, request->reply_len);
	KILL_FENCE();
	request->reply_off = arena_off(arena, own);
}
