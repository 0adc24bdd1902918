/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests: every transition that is allowed, none that isn't, and where bytes lie. */
#include "serve/request.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "test.h"

enum { SLOTS = 2, PAYLOAD = 3 * PAGE_BYTES };

static struct arena arena;
static struct request *requests;

static void open_arena(void)
{
	uint64_t buffers;

	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), SLOTS, 64) == 0);
	CHECK(arena_plan(&arena, ARENA_DATA_BUFFERS, request_stride(PAYLOAD), SLOTS, PAGE_BYTES) ==
	      0);
	CHECK(arena_create(&arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
	buffers = arena_off(&arena, arena_table(&arena, ARENA_DATA_BUFFERS));
	for (uint32_t i = 0; i < SLOTS; i++)
		request_init(&requests[i], i, 3, buffers + i * request_stride(PAYLOAD), PAYLOAD);
}

/* The header's list of transitions, written down a second time. */
static bool is_allowed(enum request_state from, enum request_state to)
{
	static const enum request_state pairs[][2] = {
		{ REQUEST_FREE, REQUEST_FETCH }, { REQUEST_FETCH, REQUEST_FREE },
		{ REQUEST_FETCH, REQUEST_RUN },	 { REQUEST_FREE, REQUEST_RUN },
		{ REQUEST_RUN, REQUEST_FREE },	 { REQUEST_RUN, REQUEST_IO },
		{ REQUEST_RUN, REQUEST_GATE },	 { REQUEST_GATE, REQUEST_RUN },
		{ REQUEST_IO, REQUEST_RUN },	 { REQUEST_RUN, REQUEST_QUEUED },
		{ REQUEST_QUEUED, REQUEST_RUN }, { REQUEST_RUN, REQUEST_REPLY },
		{ REQUEST_REPLY, REQUEST_FREE }, { REQUEST_REPLY, REQUEST_FETCH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (pairs[i][0] == from && pairs[i][1] == to)
			return true;
	}
	return false;
}

/* Whether request_move() lets it pass: tried in a child, which dies where it doesn't. */
static bool passes(enum request_state from, enum request_state to)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct request request = { 0 }; /* the arena's are shared with the parent */

		(void)!freopen("/dev/null", "w", stderr);
		atomic_store(&request.state, (uint8_t)from);
		request_move(&request, to);
		_exit(request_state(&request) == to ? 0 : 1);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void moves_only_as_the_header_says(void)
{
	for (int from = 0; from < REQUEST_STATES; from++) {
		for (int to = 0; to < REQUEST_STATES; to++) {
			bool want = is_allowed((enum request_state)from, (enum request_state)to);

			if (passes((enum request_state)from, (enum request_state)to) != want) {
				fprintf(stderr, "%s -> %s should %sbe allowed\n",
					request_state_name((enum request_state)from),
					request_state_name((enum request_state)to),
					want ? "" : "not ");
				CHECK(false);
			}
		}
	}
}

/* S10: a second answer doesn't go out, it ends the process. */
static void is_answered_once(void)
{
	CHECK(!passes(REQUEST_REPLY, REQUEST_REPLY));
	CHECK(!passes(REQUEST_FREE, REQUEST_REPLY));
}

static void write_data_lands_on_a_page(void)
{
	struct request *request = &requests[1];
	uint8_t *message = request_message(&arena, request);
	uint8_t *payload = request_payload(&arena, request);

	CHECK(message + 80 == payload);
	CHECK(is_aligned((uintptr_t)payload, PAGE_BYTES));
	CHECK(request_message_cap(request) == 80 + PAYLOAD);
	/* no slot's message or payload reaches into another's */
	CHECK(payload + PAYLOAD <= arena.base + arena_len(&arena));
	CHECK((uint8_t *)request_payload(&arena, &requests[0]) + PAYLOAD <=
	      (uint8_t *)request_message(&arena, &requests[1]) - (PAGE_BYTES - 80));
}

static void reply_is_one_piece(void)
{
	struct request *request = &requests[0];
	const struct fuse_out_header *out;

	request->unique = 0x123456789;
	request->opcode = FUSE_READ;
	request_move(request, REQUEST_RUN);
	memcpy(request_payload(&arena, request), "body", 4);
	out = request_reply(&arena, request, 0, 4);
	CHECK(out == request_the_reply(&arena, request));
	CHECK(out->len == 20 && out->error == 0 && out->unique == 0x123456789);
	CHECK(memcmp(out + 1, "body", 4) == 0);
	CHECK(request->reply_len == 20 && request_state(request) == REQUEST_REPLY);
	request_move(request, REQUEST_FREE);

	request_move(request, REQUEST_RUN);
	out = request_reply(&arena, request, -28, 0);
	CHECK(out->len == 16 && out->error == -28);
	request_move(request, REQUEST_FREE);

	request_move(request, REQUEST_RUN);
	out = request_reply(&arena, request, -512, 0); /* which the kernel would refuse */
	CHECK(out->len == 16 && out->error == -EIO);
	request_move(request, REQUEST_FREE);
}

/* What a process that takes over needs of the message is there until the answer is complete. */
static void reply_leaves_the_message_alone(void)
{
	struct request *request = &requests[0];
	uint8_t *message = request_message(&arena, request);
	const struct fuse_out_header *out;

	for (int data = 0; data <= 1; data++) {
		request->opcode = data ? FUSE_READ : FUSE_GETATTR;
		memset(message, 'm', REQUEST_LEAD + PAYLOAD);
		request_move(request, REQUEST_RUN);
		if (!data)
			memset(request_short_body(&arena, request), 'b', REQUEST_SHORT);
		out = request_reply(&arena, request, 0, data ? PAYLOAD : REQUEST_SHORT);
		/* of a fuse_read_in, what comes behind read_flags isn't used */
		for (size_t i = 0; i < (data ? 64 : REQUEST_LEAD + PAYLOAD); i++)
			CHECK(message[i] == 'm');
		CHECK((const uint8_t *)(out + 1) >=
		      (uint8_t *)request_payload(&arena, request) - PAGE_BYTES);
		request_move(request, REQUEST_FREE);
	}
}

/* An answer that was made elsewhere is copied when the message isn't needed any more. */
static void reply_from_elsewhere_is_copied(void)
{
	struct request *request = &requests[0];
	struct fuse_out_header *out = request_payload(&arena, &requests[1]);

	*out = (struct fuse_out_header){ .len = sizeof(*out) + 4, .unique = 5 };
	memcpy(out + 1, "body", 4);
	request_move(request, REQUEST_RUN);
	request_set_reply(&arena, request, out);
	request_move(request, REQUEST_REPLY);
	CHECK(request_the_reply(&arena, request) == out);
	request_copy_reply(&arena, request);
	CHECK(request_the_reply(&arena, request) + 1 == request_payload(&arena, request));
	memset(out, 0, sizeof(*out) + 4);
	request_copy_reply(&arena, request);
	CHECK(request_the_reply(&arena, request)->unique == 5);
	CHECK(memcmp(request_payload(&arena, request), "body", 4) == 0);
	request_move(request, REQUEST_FREE);
}

int main(void)
{
	open_arena();
	RUN(moves_only_as_the_header_says);
	RUN(is_answered_once);
	RUN(write_data_lands_on_a_page);
	RUN(reply_is_one_piece);
	RUN(reply_leaves_the_message_alone);
	RUN(reply_from_elsewhere_is_copied);
	arena_destroy(&arena);
	return test_result();
}
