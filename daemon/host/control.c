/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control server. It serves one client at a time and never waits for it: the socket doesn't
 * block, request and answer have buffers of fixed size, and the client is cut off after CLIENT_MS.
 * Other clients wait in the kernel's backlog. So a client that stalls delays other `caisson
 * status`, and nothing else.
 */
#include "host/control.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/macro.h"
#include "host/control-path.h"
#include "host/status.h"

#define CLIENT_MS                                                                                  \
	1000 /* less than control_ask() waits, so a silent client doesn't make others fail */
#define REQUEST_LEN 64

struct control_client {
	int fd; /* -1: none */
	int64_t deadline_ms;
	char request[REQUEST_LEN];
	uint32_t request_len;
	bool answering;
	uint32_t answer_at, answer_len;
	char answer[CONTROL_ANSWER_LEN];
	struct status status; /* too large for the stack */
};

/* -- The socket -- */

/* The name that a socket has before control_publish(), with SUFFIX. */
static int name_before(const struct control *control, const char *suffix,
		       struct sockaddr_un *ret_address)
{
	size_t room = sizeof(ret_address->sun_path);
	int n;

	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret_address->sun_path, room, "%s%s", control->address.sun_path, suffix);
	return n < 0 || (size_t)n >= room ? -ENAMETOOLONG : 0;
}

static int bind_socket(struct control *control)
{
	struct sockaddr_un address;
	struct stat st;
	mode_t saved;
	int r = name_before(control, control->suffix, &address);

	if (r < 0)
		return r;
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return -errno;
	saved = umask(0177); /* nobody else may connect, from the start */
	if (bind(control->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	(void)umask(saved); /* can't fail */
	if (r < 0)
		return r;
	if (listen(control->listen_fd, 8) < 0 || stat(address.sun_path, &st) < 0) {
		r = -errno;
		(void)unlink(address.sun_path); /* the first error counts */
		return r;
	}
	control->dev = st.st_dev;
	control->ino = st.st_ino;
	return 0;
}

int control_publish(struct control *control)
{
	struct sockaddr_un address;
	int r = name_before(control, control->suffix, &address);

	if (r == 0 && rename(address.sun_path, control->address.sun_path) < 0)
		r = -errno;
	return r;
}

static int make_timer(int *ret_fd)
{
	struct itimerspec each = {
		.it_interval.tv_nsec = CONTROL_TICK_MS * 1000000L,
		.it_value.tv_nsec = CONTROL_TICK_MS * 1000000L,
	};
	autoclose int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &each, NULL) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int control_open(struct control *control, uint32_t major, uint32_t minor, const char *suffix)
{
	int r;

	*control = (struct control){
		.listen_fd = -1,
		.timer_fd = -1,
		.suffix = suffix,
		.address.sun_family = AF_UNIX,
	};
	r = make_timer(&control->timer_fd);
	if (r < 0)
		return r;
	control->client = calloc(1, sizeof(*control->client));
	if (!control->client)
		return -ENOMEM;
	control->client->fd = -1;

	r = control_path_make(&control->address, major, minor);
	if (r < 0)
		return r;
	control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listen_fd < 0)
		return -errno;
	r = bind_socket(control);
	if (r < 0)
		close_fd(&control->listen_fd);
	return r;
}

void control_close(struct control *control)
{
	static const char *const suffixes[] = { CONTROL_NEXT, CONTROL_UPGRADE };
	struct sockaddr_un other;
	struct stat st;

	/* a later daemon of the same number may have its socket there */
	if (control->ino && lstat(control->address.sun_path, &st) == 0 &&
	    st.st_dev == control->dev && st.st_ino == control->ino)
		/* If it fails, the next daemon replaces the socket. */
		(void)unlink(control->address.sun_path);
	/* those of a spare, which ends with this server, and of an upgrade that has failed */
	for (size_t i = 0; control->ino && i < ARRAY_SIZE(suffixes); i++) {
		if (name_before(control, suffixes[i], &other) == 0)
			(void)unlink(other.sun_path);
	}
	control->ino = 0;
	if (control->client)
		close_fd(&control->client->fd);
	free(control->client);
	control->client = NULL;
	close_fd(&control->listen_fd);
	close_fd(&control->timer_fd);
}

/* -- A client -- */

static void client_end(struct control_client *client)
{
	close_fd(&client->fd);
}

static void client_accept(struct control *control)
{
	struct control_client *client = control->client;
	struct ucred peer;
	socklen_t len = sizeof(peer);

	assert(client->fd < 0);
	client->fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client->fd < 0)
		return; /* the client has gone */
	client->deadline_ms = clock_ms() + CLIENT_MS;
	client->request_len = client->answer_at = client->answer_len = 0;
	client->answering = false;
	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    (peer.uid != 0 && peer.uid != geteuid()))
		client_end(client);
}

/* Makes the answer to the request, which is a string by now. */
static void client_answer(struct control_client *client, const struct control_loop *loop)
{
	struct status *status = &client->status;
	int n;

	memset(status, 0, sizeof(*status));
	loop->fill(loop->arg, status);
	if (strcmp(client->request, "status") == 0)
		n = status_render(status, client->answer, sizeof(client->answer));
	else if (strcmp(client->request, "terms") == 0)
		n = loop->terms(loop->arg, client->answer, sizeof(client->answer));
	else
		n = snprintf(client->answer, sizeof(client->answer), "error: unknown request\n");
	if (n < 0)
		n = snprintf(client->answer, sizeof(client->answer), "error: %s\n", strerror(-n));
	client->answer_len = (uint32_t)n;
	client->answering = true;
}

static void client_read(struct control_client *client, const struct control_loop *loop)
{
	char *newline;
	ssize_t n;

	n = recv(client->fd, client->request + client->request_len,
		 sizeof(client->request) - client->request_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_end(client);
		return;
	}
	client->request_len += (uint32_t)n;
	newline = memchr(client->request, '\n', client->request_len);
	if (newline) {
		*newline = '\0';
		client_answer(client, loop);
	} else if (client->request_len == sizeof(client->request)) {
		client_end(client); /* too long for any request */
	}
}

static void client_write(struct control_client *client)
{
	ssize_t n = send(client->fd, client->answer + client->answer_at,
			 client->answer_len - client->answer_at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n >= 0)
		client->answer_at += (uint32_t)n;
	if (n < 0 || client->answer_at == client->answer_len)
		client_end(client);
}

/* -- The loop -- */

enum { POLL_TIMER, POLL_SOCKET, POLL_WATCHES };

/* The descriptor to poll: the client that is being served, or else the listening socket. */
static struct pollfd socket_pollfd(const struct control *control)
{
	const struct control_client *client = control->client;

	if (client->fd < 0)
		return (struct pollfd){ .fd = control->listen_fd, .events = POLLIN };
	return (struct pollfd){
		.fd = client->fd,
		.events = client->answering ? POLLOUT : POLLIN,
	};
}

static void serve_socket(struct control *control, const struct control_loop *loop)
{
	struct control_client *client = control->client;

	if (client->fd < 0) {
		client_accept(control);
		return;
	}
	if (!client->answering)
		client_read(client, loop);
	if (client->fd >= 0 && client->answering)
		client_write(client);
}

static void serve_timer(struct control *control, const struct control_loop *loop)
{
	struct control_client *client = control->client;
	uint64_t missed;

	/* missed ticks are skipped */
	if (read(control->timer_fd, &missed, sizeof(missed)) != (ssize_t)sizeof(missed))
		return;
	if (client->fd >= 0 && clock_ms() >= client->deadline_ms)
		client_end(client);
	loop->tick(loop->arg);
}

int control_run(struct control *control, struct control_loop *loop)
{
	assert(loop->watch_count <= CONTROL_WATCHES);
	if (control->timer_fd < 0 || !control->client)
		return -EBADF; /* control_open() has failed early */
	for (;;) {
		struct pollfd fds[POLL_WATCHES + CONTROL_WATCHES];

		fds[POLL_TIMER] = (struct pollfd){ .fd = control->timer_fd, .events = POLLIN };
		fds[POLL_SOCKET] = socket_pollfd(control);
		for (uint32_t i = 0; i < loop->watch_count; i++)
			fds[POLL_WATCHES + i] =
				(struct pollfd){ .fd = loop->watch_fd[i], .events = POLLIN };
		if (poll(fds, POLL_WATCHES + loop->watch_count, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		for (uint32_t i = 0; i < loop->watch_count; i++) {
			if (fds[POLL_WATCHES + i].revents && !loop->ready(loop->arg, i))
				return 0;
		}
		if (fds[POLL_SOCKET].revents)
			serve_socket(control, loop);
		if (fds[POLL_TIMER].revents)
			serve_timer(control, loop);
	}
}
