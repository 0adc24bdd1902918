/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket of a mount, and the server's main loop around it. A client sends one line and
 * gets one answer; then the connection is closed. To "status" the answer is the lines of status.h;
 * to anything else it is "error: …\n". Only root and the user that the daemon runs as are let in.
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
	uint64_t dev, ino; /* of the socket's name, so that only our own is removed */
	struct control_client *client;
};

/* All called by control_run(), on its thread. */
struct control_loop {
	void (*fill)(void *arg, struct status *ret_status);
	void (*tick)(void *arg); /* each CONTROL_TICK_MS */
	/* WATCH_FD[I] is readable or at its end. Returns false to end the loop. */
	bool (*ready)(void *arg, uint32_t i);
	void *arg;
	int watch_fd[CONTROL_WATCHES]; /* -1: none; may be changed by callbacks */
	uint32_t watch_count;
};

/*
 * Makes the socket of the mount with st_dev MAJOR:MINOR, with the privileges to write in
 * /run/caisson or $XDG_RUNTIME_DIR/caisson. A socket that is there already is replaced: while the
 * mount lives the kernel gives its number to nobody else. Allocates. Returns 0 or -errno, with
 * control->address.sun_path set for the message; -ENOENT with an empty one where an ordinary user
 * has no XDG_RUNTIME_DIR.
 */
int control_open(struct control *control, uint32_t major, uint32_t minor);

/* Serves clients, ticks and watches until loop->ready says to end. Returns 0 or -errno. */
int control_run(struct control *control, struct control_loop *loop);

/* Removes the socket's name if it is still ours. Also after a failed control_open(). */
void control_close(struct control *control);

/*
 * Client: sends REQUEST, a line without its newline, to the daemon of MOUNT and reads the answer
 * into TEXT, NUL-terminated; RET_SERVER is the process that listens, as the kernel has it, 0 where
 * it isn't of our PID namespace. Waits for five seconds at most in all. Returns the length; -ENOENT
 * or -ECONNREFUSED where no daemon listens; -EPERM where who listens isn't MOUNT's owner;
 * -ETIMEDOUT; -ENOSPC; or -errno. The answer is the owner's word: filter what is shown of it.
 */
int control_ask(const struct mountinfo *mount, const char *request, char *text, uint32_t len,
		pid_t *ret_server);

/* As control_ask(), but asks nothing: the daemon need not answer. Returns 0 or -errno. */
int control_find_server(const struct mountinfo *mount, pid_t *ret_server);

/* Enough for any answer, and for that of a later version with a few more keys. */
#define CONTROL_ANSWER_LEN (96u << 10)

#endif
