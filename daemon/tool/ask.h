/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking the daemon of a mount. What returns an exit code prints a message if it fails. */
#ifndef CAISSON_ASK_H
#define CAISSON_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/mountinfo.h"

struct json_object;

/* The answer of a mount's daemon. */
struct answer {
	struct mountinfo mount;
	pid_t server;		    /* as the kernel tells; 0: of another PID namespace */
	struct json_object *status; /* as the daemon tells, whose owner may be any user */
};

/* Asks the daemon of MOUNTPOINT. Returns an exit code; with EXIT_FINE, the status is to be put. */
int ask(const char *mountpoint, struct answer *answer);

/* Asks the same daemon again, or the one that serves its mount now. Returns success, silently. */
bool ask_again(struct answer *answer);

/* The keeper, as the kernel tells, or 0 if it has died or is of another PID namespace. */
pid_t ask_keeper(const struct answer *answer);

/* Whether process PID belongs to the owner of the mount. */
bool ask_is_owners(const struct answer *answer, pid_t pid);

/*
 * Finds the processes of MOUNTPOINT's daemon: the server, the keeper unless it has died, and the
 * spare if there is one. The daemon is only asked whether it has them, and for the spare's PID. The
 * kernel tells which processes these are: the server made the socket listen, the keeper is its
 * parent and the spare's, and all belong to the mount's owner. Returns an exit code.
 */
int ask_for_processes(const char *mountpoint, pid_t pids[static 3], size_t *ret_count);

#endif
