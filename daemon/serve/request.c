/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/request.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"

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

void request_move(struct request *request, enum request_state to)
{
	/* exchanged, not stored: of two threads that both answer, one finds the other's state */
	enum request_state from = (enum request_state)atomic_exchange_explicit(
		&request->state, (uint8_t)to, memory_order_acq_rel);

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

static struct fuse_out_header *own_reply(const struct arena *arena, const struct request *request)
{
	return arena_at(arena, request->buf_off - sizeof(struct fuse_out_header));
}

const struct fuse_out_header *request_own_reply(const struct arena *arena,
						const struct request *request)
{
	return own_reply(arena, request);
}

const void *request_reply(const struct arena *arena, struct request *request, int error,
			  uint32_t body_len)
{
	struct fuse_out_header *out = own_reply(arena, request);

	assert(error <= 0 && (error == 0 || body_len == 0) && body_len <= request->buf_len);
	request_move(request, REQUEST_REPLY);
	request->reply_len = (uint32_t)sizeof(*out) + body_len;
	*out = (struct fuse_out_header){
		.len = request->reply_len,
		.error = error,
		.unique = request->unique,
	};
	return out;
}

void request_copy_reply(const struct arena *arena, struct request *request,
			const struct fuse_out_header *out)
{
	assert(out->len - sizeof(*out) <= request->buf_len);
	memcpy(own_reply(arena, request), out, out->len);
	request->reply_len = out->len;
}
