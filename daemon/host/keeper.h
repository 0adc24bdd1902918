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
#define KEEPER_LINK_SWEPT 'C' /* heir to keeper: it has closed what it doesn't know */
#define KEEPER_LINK_STOP  'S' /* keeper to server */
#define KEEPER_LINK_BEGIN 'B' /* keeper to server: the first word */

struct keeper_message {
	int32_t word;
	int32_t fd; /* READY: the arena, which an heir takes over, or -1. BEGIN: keeper's pidfd */
};

/* Descriptors of the keeper, which every server shares. */
#define KEEPER_FDS 16

/* The server's side of the link to its keeper. */
struct keeper_link {
	int fd;	       /* when it is readable, keeper_listen() is due */
	int keeper_fd; /* pidfd of the keeper; the same */
	pid_t keeper;
	bool daemon; /* a launcher waits for keeper_ready() */
	enum log_target log;

	/* this server takes over from one that has died */
	bool is_heir;
	bool failed;	  /* that one has ended itself, or its own code has caused its end */
	int arena_fd;	  /* as that one had passed it to keeper_ready() */
	uint64_t died_us; /* CLOCK_MONOTONIC, when the keeper noticed */
	int fds[KEEPER_FDS];
};

/*
 * Exit code of a server that can't go on, but whose requests an heir can take over. The keeper
 * never exits with it.
 */
#define KEEPER_TAKE_OVER 64

struct keeper_config {
	const char *mountpoint; /* absolute */
	const char *status;	/* for the service manager: "serving … at …", one line */
	bool foreground;
	bool require_mlock;
	bool recovery;		      /* start an heir if the server dies */
	uint32_t recoveries;	      /* at most, within a minute */
	uint32_t recovery_timeout_ms; /* how long a server may take to end after its death */
	enum log_target log;
	/*
	 * Runs the server, in a child process with SIGTERM, SIGINT and SIGHUP blocked. It starts
	 * its log with LOG_TARGET_STDERR, and keeper_ready() redirects it when the terminal isn't
	 * needed any more. Returns an exit code.
	 */
	int (*serve)(void *arg, const struct keeper_link *link);
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
 * Server: calls keeper_become_quiet(), and tells the keeper that the mount is ready, and that an
 * heir can take over ARENA_FD unless it is -1. Messages logged before reach the terminal. Returns 0
 * or -errno.
 */
int keeper_ready(const struct keeper_link *link, int arena_fd);

/* Heir: tells the keeper that it may open descriptors again. */
void keeper_swept(const struct keeper_link *link);

enum keeper_word {
	KEEPER_NOTHING,
	KEEPER_STOP, /* finish all requests and return from serve() */
	KEEPER_GONE, /* the keeper has died: stop polling, log it, go on serving */
};

/* Server: reads link->fd and looks at link->keeper_fd. Doesn't block. */
enum keeper_word keeper_listen(const struct keeper_link *link);

/*
 * Called by keeper and server when the mount is ready, after log_start(). The log goes to LOG from
 * now on. If DAEMON, lets go of the launcher's terminal: standard input and output become
 * /dev/null, and so does standard error unless the log goes there. Returns 0 or -errno.
 */
int keeper_become_quiet(enum log_target log, bool daemon);

#endif
