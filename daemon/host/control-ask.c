/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client's side of the control socket. */
#include "host/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mountinfo.h"
#include "host/control-path.h"

#define ASK_MS 5000

/* Limits the next call on FD to DEADLINE_MS. */
static int set_timeout(int fd, int option, int64_t deadline_ms)
{
	int64_t left_ms = deadline_ms - clock_ms();
	struct timeval left = {
		.tv_sec = left_ms / 1000,
		.tv_usec = left_ms % 1000 * 1000,
	};

	if (left_ms <= 0)
		return -ETIMEDOUT;
	return setsockopt(fd, SOL_SOCKET, option, &left, sizeof(left)) < 0 ? -errno : 0;
}

/* A socket's time-out gives EAGAIN. */
static int last_error(void)
{
	return errno == EAGAIN || errno == EINPROGRESS ? -ETIMEDOUT : -errno;
}

/* Connects to the socket of MOUNT's daemon. SO_PEERCRED tells which process made it listen. */
static int open_place(const struct mountinfo *mount, uint32_t place, int64_t deadline_ms,
		      int *ret_fd, pid_t *ret_server)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	autoclose int fd = -1;
	int r;

	r = control_path_find(&address, mount->major, mount->minor, mount->owner, place);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = set_timeout(fd, SO_SNDTIMEO, deadline_ms); /* it limits connect(), too */
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return last_error();
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	/* not even root's, as a user could have linked to the socket of root's mount */
	if (peer.uid != mount->owner)
		return -EPERM;
	*ret_server = peer.pid;
	*ret_fd = steal_fd(&fd);
	return 0;
}

/* Connects to the first place that has a listener. Otherwise returns the first place's error. */
static int open_any(const struct mountinfo *mount, int64_t deadline_ms, int *ret_fd,
		    pid_t *ret_server)
{
	int error = -ENOENT;

	for (uint32_t place = 0; place < CONTROL_PATHS; place++) {
		int r = open_place(mount, place, deadline_ms, ret_fd, ret_server);

		if (r == 0)
			return 0;
		if (error == -ENOENT)
			error = r;
	}
	return error;
}

static int send_request(int fd, const char *request)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s\n", request);

	if (n < 0 || (size_t)n >= sizeof(line))
		return -EINVAL;
	/* an empty socket buffer takes such a short line at once */
	return send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 0 : last_error();
}

static int read_answer(int fd, int64_t deadline_ms, char *text, uint32_t len)
{
	uint32_t at = 0;

	for (;;) {
		ssize_t n;
		int r = set_timeout(fd, SO_RCVTIMEO, deadline_ms);

		if (r < 0)
			return r;
		if (at + 1 >= len)
			return -ENOSPC;
		n = recv(fd, text + at, len - 1 - at, 0);
		if (n < 0 && errno != EINTR)
			return last_error();
		if (n == 0)
			break;
		if (n > 0)
			at += (uint32_t)n;
	}
	text[at] = '\0';
	/* without an answer: it doesn't let us in, or it has ended */
	return at ? (int)at : -ECONNRESET;
}

int control_find_server(const struct mountinfo *mount, pid_t *ret_server)
{
	autoclose int fd = -1;

	return open_any(mount, clock_ms() + ASK_MS, &fd, ret_server);
}

int control_ask(const struct mountinfo *mount, const char *request, char *text, uint32_t len,
		pid_t *ret_server)
{
	int64_t deadline_ms = clock_ms() + ASK_MS;
	autoclose int fd = -1;
	int r;

	r = open_any(mount, deadline_ms, &fd, ret_server);
	if (r == 0)
		r = send_request(fd, request);
	return r < 0 ? r : read_answer(fd, deadline_ms, text, len);
}
