/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the keeper share: keeper.c has its life, keeper-heirs.c the servers that follow
 * one that has died, keeper-upgrade.c the keeper and server of another version.
 */
#ifndef CAISSON_KEEPER_STATE_H
#define CAISSON_KEEPER_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "host/child.h"
#include "host/keeper.h"
#include "host/own-mount.h"
#include "host/upgrade.h"

/* Interval of looks whether the server has died without ending, ms. */
#define LOOK_MS		 1000
#define LOOK_RECOVERY_MS 200 /* with recovery=on, when clients wait for an heir */

/*
 * STARTING → SERVING [hear_server], LEAVING [hear_signal]
 * SERVING  → LEAVING [hear_signal]
 * LEAVING  → STOPPING [hear_signal]
 * The end of the server ends the keeper in every state.
 */
enum keeper_state {
	STARTING, /* the server isn't ready; the launcher waits */
	SERVING,
	LEAVING, /* it has unmounted lazily, or tried to; the server serves the remaining clients */
	STOPPING, /* the server has been told to stop */
	STATES
};

struct orphan;
struct succession;

struct keeper {
	const struct keeper_config *config;
	struct own_mount mount;
	enum keeper_state state;
	int self_fd; /* pidfd of the keeper, for servers */
	int signal_fd;
	int abort_fd;	   /* the connection's, or -1 */
	int launcher_fd;   /* pipe to the launcher; -1 after it was told the exit code */
	bool has_terminal; /* SIGHUP from a shell is the terminal's end */
	bool is_front;	   /* its exit code is waited for (front.h) */

	/* keeper-heirs.c */
	struct child server;
	struct child spare;   /* an heir for when the server dies, or none */
	uint64_t spare_ms;    /* before that, no spare is started; clock_ms() */
	uint32_t spares_lost; /* since the last takeover */
	int arena_fd;	      /* what an heir takes over, as the last server has said; or -1 */
	int death;	      /* wait status of the last server's end */
	uint64_t died_us;     /* when we noticed that, clock_us() */
	bool is_recovering;   /* the server is an heir that isn't ready */
	bool is_sweeping;  /* it closes descriptors that it doesn't know, so none may be opened */
	uint64_t sweep_ms; /* when that began, clock_ms() */
	uint32_t failures; /* heirs in a row that failed before they were ready */
	pid_t unreaped;	   /* a server that has an heir, but can't be reaped yet; or 0 */
	int64_t minute_ms; /* when the minute began in which the recoveries are counted */
	uint32_t recoveries;

	/* keeper-upgrade.c */
	struct upgrade upgrade;
	bool has_handed_over;	       /* a successor has everything now */
	struct succession *succession; /* until our first server has taken over; or NULL */
	bool is_inherited;	       /* the mount was another keeper's, and is ours now */
	int previous_fd;      /* the program of the previous version, to go back to; or -1 */
	uint64_t previous_ms; /* until when we would, clock_ms() */
};

/* Starts CHILD: the first server, or an heir if there is something to take over. */
int keeper_start(struct keeper *keeper, struct child *child);

/* Kills CHILD and reaps it, if there is one. There is none then. */
void keeper_end(struct child *child);

/* Tells the server, for its status: of the spare, and of upgrades. */
void keeper_tell_of_spare(const struct keeper *keeper, pid_t pid);
void keeper_tell_of_upgrades(const struct keeper *keeper);

/* Starts a spare if there is to be one and there is none; hears it; notes that it has died. */
void keeper_start_spare(struct keeper *keeper);
void keeper_hear_spare(struct keeper *keeper);
void keeper_forget_spare(struct keeper *keeper);

/* Whether a server that has ended with STATUS leaves something to take over. */
bool keeper_leaves_an_estate(const struct keeper *keeper, int status);

/*
 * Has an heir take over from the server, which has ended with the wait status STATUS. Returns false
 * if there can be none. Then there is none any more: what was left of the server ends with the
 * keeper.
 */
bool keeper_recover(struct keeper *keeper, int status);

/* Looks at a server that hasn't ended: whether it has died, and can't end. Counts such LOOKS. */
void keeper_look(struct keeper *keeper, unsigned *looks);

/* Gives up an heir that takes too long to close what it doesn't know. */
void keeper_give_up_heir(struct keeper *keeper);

/* Starts an upgrade to the installed program, if that can be. */
void keeper_begin_upgrade(struct keeper *keeper);

/* Ends the upgrade that is under way, with OUTCOME. Nothing has changed. */
void keeper_end_upgrade(struct keeper *keeper, enum upgrade_outcome outcome);

/* After a time, there is no way back. */
void keeper_forget_previous(struct keeper *keeper);

/* What a signal has asked us for, which nobody has read, goes to the successor. */
void keeper_pass_on_signals(const struct keeper *keeper);

/* The successor has sent something, or has ended, or it is late. */
void keeper_hear_successor(struct keeper *keeper);
void keeper_look_at_successor(struct keeper *keeper, bool has_ended);

/* Our first server has taken over, or has died: there is no old keeper any more. */
void keeper_end_succession(struct keeper *keeper);

/* The server has failed with STATUS. Returns whether the previous version is to take over. */
bool keeper_goes_back(struct keeper *keeper, int status);

/*
 * Successor: takes everything over from SUCCESSION's keeper, whose server serves meanwhile. Returns
 * 0, or an exit code; then that server goes on.
 */
int keeper_inherit(struct keeper *keeper, struct succession *succession);

/* The same for an orphan, which then is dead. */
int keeper_take_orphan(struct keeper *keeper, struct succession *succession,
		       const struct orphan *orphan);

#endif
