/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper: the small process that mounted, holds /dev/fuse and the right to unmount, and waits
 * for the server, its child. keeper.c says who ends whom.
 */
#ifndef CAISSON_KEEPER_H
#define CAISSON_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

struct fuse_session;

/* What goes over the link, one byte each. */
#define KEEPER_LINK_READY 'R' /* server to keeper */
#define KEEPER_LINK_STOP  'S' /* keeper to server */

/* What the server has of its keeper. */
struct keeper_link {
	int fd;	      /* poll it for POLLIN, then keeper_listen() */
	pid_t keeper; /* its pid */
	bool daemon;  /* there is a launcher that waits for keeper_ready() */
	enum log_target log;
};

struct keeper_config {
	const char *mountpoint; /* absolute */
	const char *status;	/* one line for the service manager, "serving … at …" */
	bool foreground;
	bool require_mlock;
	enum log_target log;
	/*
	 * The server, in a child of its own, with SIGTERM, SIGINT and SIGHUP blocked. Starts its
	 * log with LOG_TARGET_STDERR: keeper_ready() sends it elsewhere, when the terminal isn't
	 * needed any more. Returns an exit code.
	 */
	int (*serve)(void *arg, const struct keeper_link *link);
	/* In the keeper, when the server has been started: closes what is the server's alone. */
	void (*let_go)(void *arg);
	void *arg;
};

/*
 * Takes over after SE was mounted, while there is one thread: becomes a daemon unless
 * config->foreground, starts the server, and stays until it has ended and nothing is left mounted.
 * Logs. Returns the exit code of the program: in the launcher (daemon mode) as soon as the server
 * is ready or has failed.
 */
int keeper_run(const struct keeper_config *config, struct fuse_session *se);

/*
 * Server: tells that the mount is ready, after keeper_become_quiet(). What is logged before reaches
 * the terminal. Returns 0 or -errno.
 */
int keeper_ready(const struct keeper_link *link);

enum keeper_word {
	KEEPER_NOTHING, /* a false alarm */
	KEEPER_STOP,	/* finish what was taken in and return from serve() */
	KEEPER_GONE,	/* it has died; stop polling the fd, log it, go on serving */
};

/* Server: what there is to read on link->fd. Doesn't block. */
enum keeper_word keeper_listen(const struct keeper_link *link);

/*
 * The mount is ready: from here on the log goes to LOG. In daemon mode lets go of the launcher's
 * terminal: standard input and output become /dev/null, and standard error too unless the log goes
 * there. Each of the two processes for itself, after log_start(). Returns 0 or -errno.
 */
int keeper_become_quiet(enum log_target log, bool daemon);

#endif
