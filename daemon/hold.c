/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hold.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "arena.h"
#include "cleanup.h"
#include "queue.h"
#include "request.h"

/* The entry's command, and the poll of stop_fd. */
#define SUBMISSIONS 2

int hold_shared_init(struct hold_shared *shared)
{
	shared->stop_fd = eventfd(0, EFD_CLOEXEC);
	return shared->stop_fd < 0 ? -errno : 0;
}

void hold_shared_destroy(struct hold_shared *shared)
{
	close_fd(&shared->stop_fd);
}

/* Nothing is held from here on. */
static void drop(struct hold *hold)
{
	hold->request = NULL;
	hold->arrived = false;
	if (hold->counted)
		atomic_fetch_sub(&hold->shared->held, 1);
	hold->counted = false;
}

static struct queue *home(const struct hold *hold, const struct request *request)
{
	return &hold->shared->queues[request->qid];
}

static void received(void *arg, struct request *request)
{
	struct hold *hold = arg;

	(void)request; /* there is one */
	hold->arrived = true;
}

static void released(void *arg, struct request *request)
{
	struct hold *hold = arg;

	drop(hold);
	queue_release(home(hold, request), request);
}

/* No backing I/O comes from here. */
static void done(void *arg, uint32_t index, int64_t result)
{
	(void)arg, (void)index, (void)result;
}

static void completion(void *arg, enum engine_tag tag, uint32_t index, int result)
{
	struct hold *hold = arg;

	if (tag == ENGINE_WAKE)
		hold->stopping = true;
	else
		hold->uring.ops->completion(&hold->uring, tag, index, result);
}

int hold_open(struct hold *hold, struct hold_shared *shared)
{
	const struct engine_config config = {
		.arena = shared->arena,
		.stats = &hold->stats,
		.owner = { .arg = hold, .done = done, .other = completion },
		.shared = shared->engines,
		.poll_ns = shared->poll_ns,
		.others = SUBMISSIONS,
		.commands = true,
	};
	const struct transport_owner owner = {
		.arg = hold,
		.received = received,
		.released = released,
	};
	int r;

	*hold = (struct hold){ .shared = shared };
	r = follow_init(&hold->follow);
	if (!r)
		r = engine_init(&hold->engine, &config);
	if (r < 0)
		return r;
	transport_uring_open(&hold->uring, &hold->engine, shared->session_fd, &owner);
	return 0;
}

int hold_start(struct hold *hold)
{
	return engine_start(&hold->engine);
}

void hold_destroy(struct hold *hold)
{
	engine_destroy(&hold->engine);
	*hold = (struct hold){ 0 };
}

bool hold_take(struct hold *hold, const struct request *request)
{
	if (hold->request != request) {
		if (!hold->shared || hold->stopping)
			return false;
		if (atomic_fetch_add(&hold->shared->held, 1) >= hold->shared->max) {
			atomic_fetch_sub(&hold->shared->held, 1);
			return false;
		}
		hold->counted = true;
	}
	follow_to(&hold->follow, request->cpu);
	return true;
}

void hold_answer(struct hold *hold, struct request *request, const struct fuse_out_header *out)
{
	request_copy_reply(hold->shared->arena, request, out);
	hold->request = request;
	hold->uring.ops->reply(&hold->uring, request);
}

/* A ring that can't be waited for: the entry is lost, and with it a client's request. The mount ends. */
static void fail(struct hold *hold, int error)
{
	struct hold_shared *shared = hold->shared;

	atomic_store(&shared->fault, error);
	for (uint32_t qid = 0; qid < shared->queue_count; qid++)
		queue_stop(&shared->queues[qid]);
	drop(hold);
}

/* Listens for hold_stop(), which comes once. */
static void arm_stop(struct hold *hold)
{
	struct io_uring_sqe *sqe = engine_sqe(&hold->engine, ENGINE_WAKE, 0);

	io_uring_prep_poll_add(sqe, hold->shared->stop_fd, POLLIN);
	hold->stop_armed = true;
}

struct request *hold_wait(struct hold *hold)
{
	if (hold->request && !hold->stop_armed)
		arm_stop(hold);
	while (hold->request && !hold->arrived) {
		int r = engine_turn(&hold->engine);

		if (r < 0)
			fail(hold, r);
		else if (hold->stopping)
			drop(hold);
	}
	if (!hold->request)
		return NULL;
	hold->arrived = false;
	return hold->request;
}

void hold_give_back(struct hold *hold)
{
	struct request *request = hold->request;

	drop(hold);
	queue_return(home(hold, request), request);
}

void hold_stop(struct hold_shared *shared)
{
	uint64_t one = 1;

	(void)!write(shared->stop_fd, &one, sizeof(one)); /* far from its end */
}
