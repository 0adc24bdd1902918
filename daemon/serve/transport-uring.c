/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FUSE-over-io_uring (Linux 6.14, fs/fuse/dev_uring.c). The kernel has a queue of requests for each
 * possible CPU. An entry is a slot of ours that was registered with one of these, by the ring that
 * it is then served on: a request made on that CPU is copied into it by this thread, as it enters
 * the kernel to wait. One command gives the answer and takes the next request, which may be in the
 * entry at once.
 *
 * An entry belongs to the ring that it was registered by, and not to one thread a CPU: several
 * queues have some on every CPU, so that the requests of one busy CPU are copied by several
 * threads. Of those on offer the kernel fills the one that was committed last
 * (fuse_uring_ent_avail()).
 *
 * An entry is in use from its request to the answer. Unlike a slot of /dev/fuse it can't be freed
 * before, as only the entry can be answered.
 *
 *	    lead page					    payload
 *	[ header 288 | iovec | … | in_header 40 | arg ][ names, data; the reply's body … ]
 *
 * The message is put together before the payload from the parts in the header, 168 bytes at most.
 * The data of a WRITE stays in the payload.
 */
#include "serve/transport.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "base/fuse-kernel.h"
#include "base/stats.h"
#include "serve/request.h"

enum { ENTRY_HEADER, ENTRY_PAYLOAD, ENTRY_PARTS };

/* The beginning of a slot's lead page. */
struct entry {
	struct caisson_fuse_uring_req_header header;
	struct iovec parts[ENTRY_PARTS]; /* read by the kernel while it registers the entry */
};

static struct entry *entry_of(const struct transport *t, const struct request *request)
{
	return arena_at(t->engine->arena, request->buf_off - PAGE_BYTES);
}

static struct io_uring_sqe *command(struct transport *t, const struct request *request,
				    enum caisson_fuse_uring_cmd op)
{
	const struct caisson_fuse_uring_cmd_req arg = {
		.commit_id = request->unique,
		.qid = request->cpu,
	};
	struct io_uring_sqe *sqe = engine_sqe(t->engine, ENGINE_ENTRY, request->index);

	engine_prep_command(sqe, t->fd, op, &arg, sizeof(arg));
	return sqe;
}

void transport_uring_register(struct transport *t, struct request *request)
{
	struct entry *entry = entry_of(t, request);
	struct io_uring_sqe *sqe;

	request_begin(t->engine->arena, request);
	request_move(request, REQUEST_FETCH);
	request->entry = true;
	request->unique = 0;
	*entry = (struct entry){
		.parts[ENTRY_HEADER] = { &entry->header, sizeof(entry->header) },
		.parts[ENTRY_PAYLOAD] = { request_payload(t->engine->arena, request),
					  request->buf_len },
	};
	sqe = command(t, request, CAISSON_FUSE_URING_REGISTER);
	sqe->addr = (uintptr_t)entry->parts;
	sqe->len = ENTRY_PARTS;
}

void transport_uring_reply(struct transport *t, struct request *request)
{
	struct entry *entry = entry_of(t, request);
	const struct fuse_out_header *out = request_the_reply(t->engine->arena, request);

	memcpy(entry->header.in_out, out, sizeof(*out));
	entry->header.ent_in_out.payload_sz = request->reply_len - (uint32_t)sizeof(*out);
	request_begin(t->engine->arena, request);
	request_move(request, REQUEST_FETCH);
	TRANSPORT_ORDER_ANSWER();
	(void)command(t, request, CAISSON_FUSE_URING_COMMIT_AND_FETCH);
	stat_add(&t->stats->replies, 1);
}

/*
 * Puts the message together in front of the payload. Returns its length, or 0 if the lengths in the
 * header contradict each other.
 */
static uint32_t assemble(const struct transport *t, struct request *request)
{
	const struct entry *entry = entry_of(t, request);
	uint32_t payload_len = entry->header.ent_in_out.payload_sz;
	struct fuse_in_header in;
	uint32_t arg_len;
	uint8_t *message;

	memcpy(&in, entry->header.in_out, sizeof(in));
	if (payload_len > request->buf_len || in.len < sizeof(in) + payload_len)
		return 0;
	arg_len = in.len - (uint32_t)sizeof(in) - payload_len;
	if (arg_len > sizeof(entry->header.op_in) || !is_aligned(arg_len, sizeof(uint64_t)))
		return 0;
	request->lead_len = (uint32_t)sizeof(in) + arg_len;
	message = request_message(t->engine->arena, request);
	memcpy(message, &in, sizeof(in));
	memcpy(message + sizeof(in), entry->header.op_in, arg_len);
	return in.len;
}

_Static_assert(sizeof(struct entry) + sizeof(struct fuse_in_header) +
			       sizeof(((struct caisson_fuse_uring_req_header *)0)->op_in) <=
		       PAGE_BYTES,
	       "a lead page holds an entry and the longest message's headers");

static void completed(void *arg, uint32_t index, int result)
{
	struct transport *t = arg;
	struct request *request = &t->requests[index];

	if (result < 0) {
		/*
		 * the connection has ended, as /dev/fuse tells, too; or it couldn't be registered
		 */
		request->entry = false;
		request->lead_len = REQUEST_LEAD;
		request_move(request, REQUEST_FREE);
		if (result != -ENOTCONN && result != -ECONNABORTED)
			atomic_store(&t->refusal, result);
		t->owner.released(t->owner.arg, request);
		return;
	}
	TRANSPORT_ORDER_MESSAGE();
	request->msg_len = assemble(t, request);
	request_move(request, REQUEST_RUN);
	t->owner.received(t->owner.arg, request);
}

struct probe {
	int session_fd, result;
};

static void *probe_main(void *arg)
{
	const struct caisson_fuse_uring_cmd_req command = { 0 };
	struct probe *probe = arg;

	probe->result = engine_probe_command(probe->session_fd, CAISSON_FUSE_URING_REGISTER,
					     &command, sizeof(command));
	return NULL;
}

int transport_uring_probe(int session_fd)
{
	struct probe probe = { .session_fd = session_fd };
	pthread_t thread;
	int r;

	/* on a thread of its own, so that the io_uring worker that may run it ends, too */
	r = pthread_create(&thread, NULL, probe_main, &probe);
	if (r)
		return -r;
	(void)pthread_join(thread, NULL); /* ours, once */

	/* EAGAIN means "not before INIT", and is the last check of fuse_uring_cmd() */
	if (probe.result == -EAGAIN)
		return 0;
	return probe.result < 0 ? probe.result : -EPROTO;
}

void transport_uring_open(struct transport *transport, struct engine *engine, int session_fd,
			  const struct transport_owner *owner)
{
	*transport = (struct transport){
		.owner = *owner,
		.engine = engine,
		.requests = arena_table(engine->arena, ARENA_REQUESTS),
		.stats = engine->stats,
		.fd = session_fd,
	};
	engine_on(engine, ENGINE_ENTRY, &(struct engine_user){ completed, transport });
}
