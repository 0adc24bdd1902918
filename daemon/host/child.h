/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server as its keeper has it: a child process that shares the keeper's table of descriptors, and
 * a link to it. So the descriptors of a server outlive it, and the link tells neither end of the
 * other's death: pidfds do.
 */
#ifndef CAISSON_CHILD_H
#define CAISSON_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/link.h"

struct child {
	pid_t pid;  /* 0: there is none */
	int pidfd;  /* or -1 */
	int fd;	    /* the keeper's end of the link, or -1 */
	int far_fd; /* the server's end, or -1 */
};

/* No child. */
#define CHILD_NONE                                                                                 \
	(struct child)                                                                             \
	{                                                                                          \
		.pidfd = -1, .fd = -1, .far_fd = -1                                                \
	}

/* What a child is told at its start. */
struct child_config {
	bool daemon; /* as in struct keeper_link */
	enum log_target log;
	int (*serve)(void *arg, const struct keeper_link *link); /* returns an exit code */
	void *arg;
	int keeper_fd;	   /* pidfd of the keeper */
	int arena_fd;	   /* what it is to take over one day, or -1: it is the first server */
	bool is_successor; /* as in struct keeper_link */
	int fds[7];	   /* other descriptors of the keeper, or -1 */
};

/* Starts CHILD, which runs config->serve(). Returns 0 or -errno. */
int child_start(struct child *child, const struct child_config *config);

/* Sends MESSAGE to CHILD. Doesn't block. Returns 0 or -errno. */
int child_tell(const struct child *child, const struct keeper_message *message);

/* Receives a message of CHILD. Doesn't block. Returns whether there was one. */
bool child_hear(const struct child *child, struct keeper_message *ret_message);

/* Closes the descriptors of CHILD, which has been reaped. There is none then. */
void child_forget(struct child *child);

#endif
