/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper: the small process that mounts, keeps /dev/fuse and the right to unmount, and waits
 * for the server, its child. keeper.c says which process ends which.
 */
#ifndef CAISSON_KEEPER_H
#define CAISSON_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

struct fuse_session;

/* The messages of the link, one byte each. */
#define KEEPER_LINK_READY 'R' /* server to keeper */
#define KEEPER_LINK_STOP  'S' /* keeper to server */

/* The server's side of the link to its keeper. */
struct keeper_link {
	int fd; /* when it is readable, keeper_listen() is due */
	pid_t keeper;
	bool daemon; /* a launcher waits for keeper_ready() */
	enum log_target log;
};

struct keeper_config {
	const char *mountpoint; /* absolute */
	const char *status;	/* for the service manager: "serving … at …", one line */
	bool foreground;
	bool require_mlock;
	enum log_target log;
	/*
	 * Runs the server, in a child process with SIGTERM, SIGINT and SIGHUP blocked. It starts
	 * its log with LOG_TARGET_STDERR, and keeper_ready() redirects it when the terminal isn't
	 * needed any more. Returns an exit code.
	 */
	int (*serve)(void *arg, const struct keeper_link *link);
	/* Called in the keeper when the server has started: closes what only the server uses. */
	void (*let_go)(void *arg);
	void *arg;
};

/*
 * Takes over after SE was mounted, while there is one thread. Becomes a daemon unless
 * config->foreground, starts the server, and stays until it has ended and nothing is left mounted.
 * Logs. Returns the exit code of the program. In daemon mode it also returns in the launcher, as
 * soon as the server is ready or has failed.
 */
int keeper_run(const struct keeper_config *config, struct fuse_session *se);

/*
 * Server: calls keeper_become_quiet(), and tells the keeper that the mount is ready. Messages
 * logged before reach the terminal. Returns 0 or -errno.
 */
int keeper_ready(const struct keeper_link *link);

enum keeper_word {
	KEEPER_NOTHING,
	KEEPER_STOP, /* finish all requests and return from serve() */
	KEEPER_GONE, /* the keeper has died: stop polling the fd, log it, go on serving */
};

/* Server: reads link->fd. Doesn't block. */
enum keeper_word keeper_listen(const struct keeper_link *link);

/*
 * Called by keeper and server when the mount is ready, after log_start(). The log goes to LOG from
 * now on. If DAEMON, lets go of the launcher's terminal: standard input and output become
 * /dev/null, and so does standard error unless the log goes there. Returns 0 or -errno.
 */
int keeper_become_quiet(enum log_target log, bool daemon);

#endif
