/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An orphan: a server whose keeper has died. It serves on, but nobody would take over from it. A
 * caissond that is started for the same BACKING and MOUNTPOINT adopts the mount: its own server
 * takes over, as in an upgrade (upgrade.h), and it is the keeper.
 */
#ifndef CAISSON_ORPHAN_H
#define CAISSON_ORPHAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/mountinfo.h"

/* What an orphan leaves, by the numbers in its table of descriptors. */
struct orphan {
	pid_t pid; /* the server, as the kernel tells */
	struct mountinfo mount;
	int session_fd, root_fd, read_fd, lock_fd, arena_fd;
	char sizes[256]; /* options, which make tables like those of the orphan */
};

/* Writes ORPHAN, without pid and mount, as the answer to "terms". Returns its length or -errno. */
int orphan_render(const struct orphan *orphan, char *text, size_t len);

/*
 * Looks whether an orphan of ours serves the mount at MOUNTPOINT, without touching that. Returns 0;
 * -ENOENT: nothing is mounted there, or not by an orphan of the calling user; or another -errno.
 */
int orphan_find(const char *mountpoint, struct orphan *ret_orphan);

#endif
