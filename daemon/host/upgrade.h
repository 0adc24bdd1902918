/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Live upgrade: another version of caissond goes on with the mount. The old keeper starts its
 * successor, the installed program, which prepares everything while the old server serves:
 *
 *   old keeper                         successor
 *   starts it, sends its terms      →  copies the table of descriptors, starts its server, which
 *                                      attaches the arena and makes its rings (like a spare)
 *                                   ←  PREPARED
 *   stops its server
 *   FETCH                           →  copies the descriptors again, kills the old server
 *                                   ←  FETCHED
 *   waits for its server's end
 *   INHERIT                         →
 *                                   ←  TAKEN, by its server, which takes over (takeover.h)
 *   exits
 *
 * Who can die, and what follows:
 *
 *   the successor before INHERIT    the old server goes on; or if that was killed already, the old
 *                                   keeper's spare takes over
 *   the successor after it          its server says TAKEN if it was told to take over, and goes on
 *                                   without a keeper; otherwise it ends, and the old keeper's spare
 *                                   takes over
 *   its server before FETCH         the successor gives up
 *   its server after FETCH          the successor says TAKEN, and an heir follows its server, as
 *                                   after any death
 *   the old server                  the upgrade is over, and the old keeper's spare takes over
 *   the old keeper                  before PREPARED, the successor ends. Later it takes over from
 *                                   the old server, as from any that has lost its keeper
 *                                   (orphan.h). The kernel has sent that one SIGCONT. After
 *                                   FETCHED, it takes over what it has copied
 *
 * The successor kills the old server as soon as it has the copy. If that were left to the old
 * keeper, its death before that would let the server go on and open files that aren't in the copy.
 * If it dies at the moment of the kill (succession_seal()), the copy may be of before, and the
 * mount ends.
 *
 * A table of descriptors can't be shared across exec. So the successor has one of its own, with the
 * same files under the same numbers, which the arena refers to. Its own descriptors, and those of
 * its server, are in a region of numbers that the old table doesn't use. Where the old table has
 * nothing, it has a dummy until its server sweeps (fd_marks_sweep()).
 */
#ifndef CAISSON_UPGRADE_H
#define CAISSON_UPGRADE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/child.h"

/* The first argument of a successor, followed by the number of its link. */
#define UPGRADE_WORD	    "--take-over="
#define UPGRADE_WORD_SYSLOG "--take-over,syslog=" /* the same if that is where messages go */

/* How an upgrade has ended. The values are told from keeper to server, also of another version. */
enum upgrade_outcome {
	UPGRADE_NONE,
	UPGRADE_DONE,
	UPGRADE_WENT_BACK,   /* the new server has failed: the version before serves again */
	UPGRADE_NO_RECOVERY, /* there is nothing that a successor could take over */
	UPGRADE_NOT_NOW,     /* the mount starts, recovers, ends or is being upgraded */
	UPGRADE_NOT_STARTED, /* the program can't be executed */
	UPGRADE_REFUSED,     /* the successor doesn't know an option of the mount */
	UPGRADE_LAYOUT,	     /* its tables are laid out in another way */
	UPGRADE_FAILED,	     /* it has ended before it was ready */
	UPGRADE_LATE,	     /* it wasn't ready in time */
	UPGRADE_BUSY,	     /* the old server could not be stopped: it waits in the kernel */
	UPGRADE_LOST,	     /* the old server has died meanwhile */
	UPGRADE_OUTCOMES
};

/* What users are told of OUTCOME, such as "the installed program wasn't ready in time". */
const char *upgrade_outcome_text(uint32_t outcome);

/* Exit code of a successor's server that can't attach the arena. */
#define UPGRADE_EXIT_LAYOUT 65

/* The two are of different versions: what they tell each other has a version of its own. */
#define UPGRADE_TERMS 1u

#define UPGRADE_PREPARED 'P' /* successor: its server is ready to take over */
#define UPGRADE_GAVE_UP	 'G' /* successor, which ends; outcome */
#define UPGRADE_FETCH	 'F' /* old keeper: its server stands still, copy again */
#define UPGRADE_FETCHED	 'D' /* successor */
#define UPGRADE_INHERIT	 'I' /* old keeper; failed, died_us */
#define UPGRADE_TAKEN	 'T' /* successor or its server */

struct upgrade_message {
	int32_t word;
	uint32_t outcome; /* enum upgrade_outcome */
	uint32_t failed;  /* as in struct keeper_message */
	uint64_t died_us; /* the same */
};

/* What a successor is told first. Numbers of descriptors are those of the old keeper's table. */
struct upgrade_terms {
	uint32_t version; /* UPGRADE_TERMS */
	int32_t keeper;	  /* PID of the old keeper */
	int32_t server;	  /* PID of its server, or 0: that is dead */
	int32_t session_fd, root_fd, read_fd, lock_fd, arena_fd, abort_fd;
	int32_t previous_fd; /* the program that the old keeper runs, O_PATH */
	uint32_t mount_id, mount_major, mount_minor;
	uint64_t mount_unique_id;
	uint32_t attempts;	/* upgrades since the mount, with this one */
	uint32_t goes_back;	/* it is the previous version, as the last one has failed */
	char program[PATH_MAX]; /* that is installed, for the next upgrade */
};

struct upgrade {
	const char *program; /* path of the installed program */
	char **argv;	     /* of a successor; argv[1] is free for UPGRADE_WORD */
	bool to_syslog;	     /* as the old keeper's messages go */
	struct child successor;
	pid_t unreaped; /* a successor that was killed, and may still have to be reaped; or 0 */
	uint64_t deadline_ms;	      /* CLOCK_MONOTONIC, by which it has to be prepared */
	int own_fd;		      /* the program that we run, for a way back; or -1 */
	uint32_t attempts;	      /* since the mount */
	enum upgrade_outcome outcome; /* of the last one */
};

/*
 * Starts PROGRAM as the successor, and sends it TERMS. PROGRAM_FD is a descriptor that its path
 * leads to, or -1. Doesn't wait for its execution, which may need the storage that we serve.
 * Returns 0 or -errno. The old keeper then polls upgrade->successor, as it does other children.
 */
int upgrade_start(struct upgrade *upgrade, const char *program, int program_fd,
		  const struct upgrade_terms *terms);

/* Ends the successor, if there is one, and closes what belongs to the attempt. */
void upgrade_cancel(struct upgrade *upgrade);

/* Has the successor copy the descriptors again, and waits for that. Returns success. */
bool upgrade_fetch(const struct upgrade *upgrade);

enum upgrade_answer {
	UPGRADE_HAS_TAKEN, /* the old keeper has nothing to do any more */
	UPGRADE_ENDED,	   /* the successor and its server have ended; nobody takes over */
	UPGRADE_SILENT,	   /* it isn't known */
};

/* Sends INHERIT, and waits for TAKEN, or for the end of the successor and its server. */
enum upgrade_answer upgrade_inherit(const struct upgrade *upgrade,
				    const struct upgrade_message *inherit);

/* Sends MESSAGE to the other half. Doesn't block. Returns 0 or -errno. */
int upgrade_send(int fd, const struct upgrade_message *message);

/* Receives a message of the other half. Doesn't block. Returns whether there was one. */
bool upgrade_receive(int fd, struct upgrade_message *ret_message);

#endif
