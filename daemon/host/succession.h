/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The successor's half of an upgrade (upgrade.h): its table of descriptors, and its link. */
#ifndef CAISSON_SUCCESSION_H
#define CAISSON_SUCCESSION_H

#include <stdint.h>
#include <sys/types.h>

#include "host/upgrade.h"

struct succession {
	int fd;		/* the link to the old keeper, for upgrade_send() and upgrade_receive() */
	pid_t keeper;	/* the old keeper */
	int keeper_fd;	/* its pidfd */
	int server_fd;	/* that of its server, or -1: that was dead */
	uint32_t first; /* the numbers of our own descriptors, and of our server's */
	uint32_t count;
	struct upgrade_terms terms;
};

/* Begins with the link FD, or -1. */
void succession_init(struct succession *succession, int fd);

/*
 * Reads the terms from the link, and makes a table of descriptors like the old keeper's, with
 * COUNT numbers or more for our own. To be called when only the standard descriptors and the link
 * are open. Returns 0 or -errno.
 */
int succession_begin(struct succession *succession, uint32_t count);

/* The same without a link and terms: from process PID, which may be an orphan (orphan.h). */
int succession_copy(struct succession *succession, pid_t pid, uint32_t count);

/*
 * Copies the old keeper's descriptors again. Its server stands still. Returns 0; -ESRCH if the
 * process they are copied from has ended, and perhaps not all was copied; or -errno.
 */
int succession_fetch(const struct succession *succession);

/*
 * Kills the old server after succession_fetch(), for which it stood still. Returns 0 if the old
 * keeper lived until then: its end would have let the server go on, after the copy. -ESRCH if it
 * is ending.
 */
int succession_seal(const struct succession *succession);

/*
 * The old keeper has died: makes its server the process whose descriptors succession_fetch()
 * copies. Returns 0 or -ESRCH: that is dead, too.
 */
int succession_follow(struct succession *succession);

/* Tells the old keeper why there can be no upgrade. We are about to end. */
void succession_give_up(const struct succession *succession, enum upgrade_outcome outcome);

/* Lets go of the old keeper. */
void succession_end(struct succession *succession);

#endif
