/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The link between the keeper and a server, and the server's end of it. */
#ifndef CAISSON_LINK_H
#define CAISSON_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

/* The messages of the link, with the fields that each uses. */
#define KEEPER_LINK_BEGIN    'B' /* keeper to server, the first one; fd: the server's pidfd */
#define KEEPER_LINK_PREPARED 'P' /* heir to keeper: it has made all that it can before a death */
#define KEEPER_LINK_INHERIT  'I' /* keeper to heir; failed, died_us; fd: to say TAKEN, or -1 */
#define KEEPER_LINK_SWEPT    'C' /* heir to keeper: it has closed what it doesn't know */
#define KEEPER_LINK_READY    'R' /* server to keeper; fd: the arena, for an heir, or -1 */
#define KEEPER_LINK_SPARE    'N' /* keeper to server; fd: the PID of a spare, or 0: none */
#define KEEPER_LINK_UPGRADE  'U' /* keeper to server; fd: number of upgrades; outcome */
#define KEEPER_LINK_STOP     'S' /* keeper to server */

struct keeper_message {
	int32_t word;
	int32_t fd;
	uint64_t died_us; /* CLOCK_MONOTONIC, when the keeper noticed the death */
	bool failed;	  /* that server has ended itself, or its own code has caused its end */
	uint32_t outcome; /* enum upgrade_outcome */
};

/* The most descriptors of the keeper that a server has to know. */
#define KEEPER_FDS 20

/* The server's side of the link to its keeper. */
struct keeper_link {
	int fd;	       /* when it is readable, keeper_listen() is due */
	int keeper_fd; /* pidfd of the keeper; the same */
	pid_t keeper;
	bool daemon; /* a launcher waits for keeper_ready() */
	enum log_target log;
	bool is_heir;	     /* this server is to take over from one that has died, or will */
	bool is_successor;   /* and that one is of another keeper (upgrade.h) */
	int arena_fd;	     /* an heir's: as the last server had passed it to keeper_ready() */
	int fds[KEEPER_FDS]; /* of the keeper, which every server shares; or -1 */
};

/*
 * Exit code of a server that can't go on, but whose requests an heir can take over. The keeper
 * never exits with it.
 */
#define KEEPER_TAKE_OVER 64

/*
 * Server: calls keeper_become_quiet(), and tells the keeper that the mount is ready, and that an
 * heir can take over ARENA_FD unless it is -1. Messages logged before reach the terminal. Returns 0
 * or -errno.
 */
int keeper_ready(const struct keeper_link *link, int arena_fd);

/* Waits for a message with WORD. Returns false if the keeper has died. */
bool keeper_wait(const struct keeper_link *link, int32_t word, struct keeper_message *ret_message);

/*
 * Heir: tells the keeper that it is prepared, and waits until the server has died. Returns false if
 * the keeper has.
 */
bool keeper_wait_for_death(const struct keeper_link *link, struct keeper_message *ret_death);

/* Heir: tells the keeper that it may open descriptors again. */
void keeper_swept(const struct keeper_link *link);

enum keeper_word {
	KEEPER_NOTHING,
	KEEPER_STOP,	/* finish all requests and return from serve() */
	KEEPER_SPARE,	/* there is a spare, or none any more */
	KEEPER_UPGRADE, /* an upgrade has ended */
	KEEPER_GONE,	/* the keeper has died: stop polling, log it, go on serving */
};

/* Server: reads link->fd into MESSAGE, and looks at link->keeper_fd. Doesn't block. */
enum keeper_word keeper_listen(const struct keeper_link *link, struct keeper_message *message);

/*
 * Called by keeper and server when the mount is ready, after log_start(). The log goes to LOG from
 * now on. If DAEMON, lets go of the launcher's terminal: standard input and output become
 * /dev/null, and so does standard error unless the log goes there. Returns 0 or -errno.
 */
int keeper_become_quiet(enum log_target log, bool daemon);

#endif
