/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The classic transport. Each queue has a clone of /dev/fuse, so that the kernel keeps its
 * requests apart (fs/fuse/dev.c, fuse_dev_ioctl_clone()), and waits on it with a one-shot,
 * exclusive poll. When that fires, it reads once, without blocking. The reasons:
 *
 *   - Exclusive: one request wakes one queue. A multishot poll would wake them all.
 *   - One message a wake-up: a queue that drained the device would do all the copying itself while
 *     its siblings sleep. But one poll may take the wake-ups of two requests. Fuse wakes without a
 *     key, and so leaves the entry on the wait queue until the poll's task work removes it
 *     (io_poll_wake(), io_uring/poll.c). See queue.h for what follows from that.
 *   - Without blocking: a sibling may take the request between the poll and the read.
 *   - By read(2) and not by a read linked to the poll: io_uring would make a read that finds
 *     nothing wait again (REQ_F_SUPPORT_NOWAIT of an O_NONBLOCK file, io_arm_poll_handler()).
 *     That wait isn't exclusive, and cancelling the poll doesn't end it.
 */
#include "serve/transport.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/fuse-kernel.h"
#include "base/stats.h"
#include "serve/request.h"

#ifdef __SANITIZE_THREAD__
char transport_kernel;
#endif

void transport_dev_fetch(struct transport *t, struct request *request)
{
	struct io_uring_sqe *sqe;

	assert(!t->armed && !t->ended);
	request_begin(t->engine->arena, request);
	request_move(request, REQUEST_FETCH);
	t->armed = true;
	t->offered = request->index;

	sqe = engine_sqe(t->engine, ENGINE_FETCH, request->index);
	io_uring_prep_poll_add(sqe, t->fd, EPOLLIN | EPOLLEXCLUSIVE);
}

void transport_dev_reply(struct transport *t, struct request *request)
{
	struct io_uring_sqe *sqe = engine_sqe(t->engine, ENGINE_REPLY, request->index);

	assert(request_state(request) == REQUEST_REPLY);
	t->replies++;
	TRANSPORT_ORDER_ANSWER();
	io_uring_prep_write(sqe, t->fd, request_the_reply(t->engine->arena, request),
			    request->reply_len, 0);
}

int transport_dev_answer(struct transport *t, const void *data, uint32_t len)
{
	ssize_t n;

	TRANSPORT_ORDER_ANSWER();
	n = write(t->fd, data, len);
	return n < 0 ? -errno : 0;
}

void transport_dev_cancel(struct transport *t)
{
	struct io_uring_sqe *sqe;

	if (!t->armed)
		return;
	sqe = engine_sqe(t->engine, ENGINE_CANCEL, t->offered);
	/* if the poll has fired already, its completion is on the way */
	io_uring_prep_cancel64(sqe, engine_user_data(ENGINE_FETCH, t->offered), 0);
}

static void end(struct transport *t, int reason)
{
	t->ended = true;
	t->owner.ended(t->owner.arg, reason);
}

/*
 * Reads one message into REQUEST's buffer. Returns its length or -errno. Doesn't block.
 * ECONNABORTED can be about the one message that was being read when the connection was shut down,
 * also by an unmount (fuse_dev_do_read() in fs/fuse/dev.c). The result of a second read is about
 * the connection.
 */
static int read_message(struct transport *t, struct request *request)
{
	void *message = request_message(t->engine->arena, request);
	ssize_t n = read(t->fd, message, request_message_cap(request));

	if (n < 0 && errno == ECONNABORTED)
		n = read(t->fd, message, request_message_cap(request));
	if (n < 0)
		return -errno;
	return n ? (int)n : -EIO; /* the device never gives 0 */
}

/* The poll has fired, or failed with POLLED. */
static void fetched(void *arg, uint32_t index, int polled)
{
	struct transport *t = arg;
	struct request *request = &t->requests[index];
	int result = polled < 0 ? polled : read_message(t, request);

	t->armed = false;
	if (result > 0) {
		TRANSPORT_ORDER_MESSAGE();
		request->msg_len = (uint32_t)result;
		request_move(request, REQUEST_RUN);
		t->owner.received(t->owner.arg, request);
		return;
	}
	request_move(request, REQUEST_FREE);
	switch (result) {
	case -EAGAIN: /* a sibling was faster */
		stat_add(&t->stats->steals, 1);
		break;
	case -ENOENT: /* the client gave its request up between poll and read */
	case -EINTR:
	case -ECANCELED: /* the slot was taken back */
		break;
	default:
		end(t, result);
		break;
	}
	t->owner.released(t->owner.arg, request);
}

static void replied(void *arg, uint32_t index, int result)
{
	struct transport *t = arg;
	struct request *request = &t->requests[index];

	t->replies--;
	/* -ENOENT: interrupted meanwhile; anything else: the connection is gone, and fetch tells */
	stat_add(result == (int)request->reply_len ? &t->stats->replies : &t->stats->lost, 1);
	request_move(request, REQUEST_FREE);
	t->owner.released(t->owner.arg, request);
}

/* Asks the device, which all queues read. */
bool transport_dev_is_drained(const struct transport *t)
{
	struct pollfd device = { .fd = t->fd, .events = POLLIN };

	return poll(&device, 1, 0) == 0;
}

void transport_dev_close(struct transport *t)
{
	close_fd(&t->fd);
}

static int clone_device(int session_fd, int *ret_fd)
{
	uint32_t source = (uint32_t)session_fd;
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, FUSE_DEV_IOC_CLONE, &source) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int transport_dev_open(struct transport *transport, struct engine *engine, int session_fd,
		       int dev_fd, const struct transport_owner *owner)
{
	int r = dev_fd < 0 ? clone_device(session_fd, &dev_fd) : 0;

	if (r < 0)
		return r;
	*transport = (struct transport){
		.owner = *owner,
		.engine = engine,
		.requests = arena_table(engine->arena, ARENA_REQUESTS),
		.stats = engine->stats,
		.fd = dev_fd,
	};
	engine_on(engine, ENGINE_FETCH, &(struct engine_user){ fetched, transport });
	engine_on(engine, ENGINE_REPLY, &(struct engine_user){ replied, transport });
	return 0;
}
