/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket of a mount, and the server's main loop around it. A client sends one line,
 * gets one answer, and the connection is closed. The answer to "status" has the form of status.h,
 * that to "terms" the form of orphan.h. The answer to anything else is "error: …\n". Only root
 * and the daemon's own user may connect.
 */
#ifndef CAISSON_CONTROL_H
#define CAISSON_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

struct mountinfo;
struct status;

#define CONTROL_TICK_MS 500
#define CONTROL_WATCHES 4

struct control {
	int listen_fd, timer_fd;
	struct sockaddr_un address;
	const char *suffix; /* of the name that it has before control_publish() */
	uint64_t dev, ino;  /* of the socket's name, so that no other daemon's is removed */
	struct control_client *client;
};

/* Functions that control_run() calls on its thread. */
struct control_loop {
	void (*fill)(void *arg, struct status *ret_status);
	/* Writes the answer to "terms" into TEXT. Returns its length or -errno. */
	int (*terms)(void *arg, char *text, size_t len);
	void (*tick)(void *arg); /* called each CONTROL_TICK_MS */
	/* WATCH_FD[I] is readable or at its end. Returns false to end the loop. */
	bool (*ready)(void *arg, uint32_t i);
	void *arg;
	int watch_fd[CONTROL_WATCHES]; /* -1: none; the functions may change it */
	uint32_t watch_count;
};

/*
 * Makes the socket of the mount with st_dev MAJOR:MINOR, where clients don't look yet. Needs the
 * right to write in the runtime directory. Until control_publish() its name ends with SUFFIX, one
 * of the two, as a spare and a successor's server may wait at the same time. Allocates. Returns 0
 * or -errno, with control->address.sun_path set for the message. The path is empty with -ENOENT, if
 * an ordinary user has no place for it.
 */
#define CONTROL_NEXT	".next"
#define CONTROL_UPGRADE ".upgrade"
int control_open(struct control *control, uint32_t major, uint32_t minor, const char *suffix);

/*
 * Gives the socket its name. Replaces a socket that exists, because no other mount has this number
 * now: it is of a server that has died. Returns 0 or -errno.
 */
int control_publish(struct control *control);

/* Serves clients, ticks and watches until loop->ready() returns false. Returns 0 or -errno. */
int control_run(struct control *control, struct control_loop *loop);

/* Removes the socket's name if it is still ours. May follow a failed control_open(). */
void control_close(struct control *control);

/*
 * Client: sends REQUEST, a line without its newline, to the daemon of MOUNT and reads the answer
 * into TEXT, NUL-terminated. *RET_SERVER is the process that listens, as the kernel tells, or 0 if
 * it is in another PID namespace. Waits for at most five seconds. Returns the length; -ENOENT or
 * -ECONNREFUSED if no daemon listens; -EPERM if the listener isn't MOUNT's owner; -ETIMEDOUT;
 * -ENOSPC; or another
 * -errno. The owner may be any user, so the answer must be filtered before it is shown.
 */
int control_ask(const struct mountinfo *mount, const char *request, char *text, uint32_t len,
		pid_t *ret_server);

/* As control_ask(), but sends no request, so the daemon needn't answer. Returns 0 or -errno. */
int control_find_server(const struct mountinfo *mount, pid_t *ret_server);

/* Enough for any answer, also of a later version with a few more keys. */
#define CONTROL_ANSWER_LEN (96u << 10)

#endif
