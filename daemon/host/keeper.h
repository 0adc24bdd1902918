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
#include "host/link.h"

struct fuse_session;
struct orphan;
struct succession;

struct keeper_config {
	const char *version;
	const char *mountpoint; /* absolute */
	const char *status;	/* for the service manager: "serving … at …", one line */
	bool foreground;
	bool require_mlock;
	bool recovery;		      /* start an heir if the server dies */
	bool spare;		      /* start it before */
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
	/* for an upgrade (upgrade.h) */
	const char *program; /* path of the installed program, or NULL: there is none */
	char **argv;	     /* of a successor, as in struct upgrade */
	int root_fd, read_fd, lock_fd;
};

/*
 * Takes over after SE was mounted, while there is one thread. Becomes a daemon unless
 * config->foreground, starts the server, and stays until it has ended and nothing is left mounted.
 * Logs. Returns the exit code of the program. In daemon mode it also returns in the launcher, as
 * soon as the server is ready or has failed.
 */
int keeper_run(const struct keeper_config *config, struct fuse_session *se);

/*
 * The same for the successor of another keeper: takes over what SUCCESSION's terms say. SE was made
 * by fuse_mount_adopt(). Returns an exit code; if it could not take over, the old keeper goes on.
 */
int keeper_succeed(const struct keeper_config *config, struct fuse_session *se,
		   struct succession *succession);

/*
 * The same for the mount of ORPHAN, from which SUCCESSION has copied. Becomes a daemon unless
 * config->foreground. If it could not take over, the orphan goes on.
 */
int keeper_adopt(const struct keeper_config *config, struct fuse_session *se,
		 struct succession *succession, const struct orphan *orphan);

#endif
