/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper's part in an upgrade (upgrade.h). While one is under way, the keeper does all that it
 * does otherwise. The server may die: then the upgrade is over, and an heir takes over.
 *
 * A server that fails within GO_BACK_MS after an upgrade has the version before take over, which is
 * an upgrade as well. There is no server meanwhile, and clients wait. If that version fails, too,
 * an heir takes over, as after any death.
 */
#define FUSE_USE_VERSION 312

#include "host/keeper-state.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/exit-code.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/procfs.h"
#include "host/notify.h"
#include "host/orphan.h"
#include "host/stop.h"
#include "host/succession.h"

/* Longest time for a successor to be prepared, ms; and while nobody serves. */
#define PREPARE_MS	   30000
#define PREPARE_TO_GO_BACK 5000

/* For so long the previous version may take over again, ms. */
#define GO_BACK_MS 60000

void keeper_tell_of_upgrades(const struct keeper *keeper)
{
	const struct keeper_message message = {
		.word = KEEPER_LINK_UPGRADE,
		.fd = (int32_t)keeper->upgrade.attempts,
		.outcome = keeper->upgrade.outcome,
	};

	if (keeper->upgrade.attempts)
		(void)child_tell(&keeper->server, &message);
}

/* An upgrade could not be begun, or has failed. */
static void note_failure(struct keeper *keeper, enum upgrade_outcome outcome)
{
	keeper->upgrade.outcome = outcome;
	log_fail("%s: upgrade: %s; version %s goes on", keeper->config->mountpoint,
		 upgrade_outcome_text(outcome), keeper->config->version);
	keeper_tell_of_upgrades(keeper);
}

void keeper_end_upgrade(struct keeper *keeper, enum upgrade_outcome outcome)
{
	upgrade_cancel(&keeper->upgrade);
	note_failure(keeper, outcome);
}

/*
 * Starts PROGRAM as the successor, by PROGRAM_FD if it is the previous version. Returns the outcome
 * if it can't be started, otherwise UPGRADE_NONE.
 */
static enum upgrade_outcome start_successor(struct keeper *keeper, const char *program,
					    int program_fd)
{
	const struct keeper_config *config = keeper->config;
	struct upgrade *upgrade = &keeper->upgrade;
	struct upgrade_terms terms = {
		.version = UPGRADE_TERMS,
		.keeper = getpid(),
		.server = program_fd >= 0 ? 0 : keeper->server.pid,
		.session_fd = fuse_session_fd(keeper->mount.se),
		.root_fd = config->root_fd,
		.read_fd = config->read_fd,
		.lock_fd = config->lock_fd,
		.arena_fd = keeper->arena_fd,
		.abort_fd = keeper->abort_fd,
		.mount_id = keeper->mount.info.id,
		.mount_major = keeper->mount.info.major,
		.mount_minor = keeper->mount.info.minor,
		.mount_unique_id = keeper->mount.unique_id,
		.attempts = upgrade->attempts,
		.goes_back = program_fd >= 0,
	};
	int r;

	if (strlen(upgrade->program) >= sizeof(terms.program))
		return UPGRADE_NOT_STARTED;
	memcpy(terms.program, upgrade->program, strlen(upgrade->program) + 1);
	upgrade->own_fd = program_fd >= 0 ? -1 : open("/proc/self/exe", O_PATH | O_CLOEXEC);
	terms.previous_fd = upgrade->own_fd;
	r = upgrade_start(upgrade, program, program_fd, &terms);
	if (r < 0) {
		log_fail("%s: execute for an upgrade: %s", program, strerror(-r));
		return UPGRADE_NOT_STARTED;
	}
	upgrade->deadline_ms =
		clock_us() / 1000 + (program_fd >= 0 ? PREPARE_TO_GO_BACK : PREPARE_MS);
	return UPGRADE_NONE;
}

void keeper_begin_upgrade(struct keeper *keeper)
{
	enum upgrade_outcome outcome;

	if (keeper->upgrade.successor.pid) {
		log_info("%s: upgrade: asked for again: one is under way",
			 keeper->config->mountpoint);
		return;
	}
	keeper->upgrade.attempts++;
	if (!keeper->config->recovery || !keeper->upgrade.program)
		outcome = UPGRADE_NO_RECOVERY;
	else if (keeper->state != SERVING || keeper->arena_fd < 0 || keeper->is_recovering ||
		 keeper->is_sweeping)
		outcome = UPGRADE_NOT_NOW;
	else
		outcome = start_successor(keeper, keeper->upgrade.program, -1);
	if (outcome != UPGRADE_NONE)
		note_failure(keeper, outcome);
}

bool keeper_goes_back(struct keeper *keeper, int status)
{
	bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	char path[PROCFS_FD_PATH_LEN];

	if (keeper->previous_fd < 0 || keeper->arena_fd < 0 || was_killed ||
	    !keeper_leaves_an_estate(keeper, status) || keeper->state != SERVING ||
	    clock_us() / 1000 > keeper->previous_ms)
		return false;
	log_fail("%s: server %d has failed soon after an upgrade: going back to the version before",
		 keeper->config->mountpoint, (int)keeper->server.pid);
	procfs_fd_path(keeper->previous_fd, path);
	if (start_successor(keeper, path, keeper->previous_fd) != UPGRADE_NONE)
		return false;
	child_forget(&keeper->server);
	keeper->is_sweeping = false; /* it may have died while it did that */
	return true;
}

/* The manager watches the successor from now on. */
static void tell_manager_of(pid_t successor)
{
	char state[32];

	(void)snprintf(state, sizeof(state), "MAINPID=%d", (int)successor); /* fits */
	(void)notify(state); /* there is nobody to tell of a failure */
}

/* Has the successor take over from the server, which is stopped or dead. */
static enum upgrade_answer pass_on(struct keeper *keeper)
{
	struct upgrade *upgrade = &keeper->upgrade;
	struct upgrade_message inherit = { .word = UPGRADE_INHERIT, .died_us = keeper->died_us };

	if (!upgrade_fetch(upgrade))
		return UPGRADE_ENDED;
	if (keeper->server.pid) {
		keeper_end(&keeper->server);
		keeper->death = SIGKILL;
	}
	inherit.failed = keeper->death != SIGKILL;
	return upgrade_inherit(upgrade, &inherit);
}

/* The successor is prepared: it gets everything. */
static void hand_over(struct keeper *keeper)
{
	pid_t server = keeper->server.pid;

	if (server)
		keeper->died_us = clock_us();
	if (server && !stop_process(server, keeper->server.pidfd)) {
		keeper_end_upgrade(keeper, UPGRADE_BUSY);
		return;
	}
	switch (pass_on(keeper)) {
	case UPGRADE_HAS_TAKEN:
		keeper->has_handed_over = true;
		tell_manager_of(keeper->upgrade.successor.pid);
		return;
	case UPGRADE_SILENT:
		keeper->arena_fd = -1; /* two must never take over: the mount ends */
		break;
	case UPGRADE_ENDED:
		break;
	}
	/* if the server is dead by now, an heir takes over */
	keeper_end_upgrade(keeper, UPGRADE_FAILED);
	if (keeper->server.pid)
		stop_undo(keeper->server.pidfd);
}

void keeper_hear_successor(struct keeper *keeper)
{
	struct upgrade_message message;

	if (!upgrade_receive(keeper->upgrade.successor.fd, &message))
		return; /* it has ended, which its pidfd tells */
	if (message.word == UPGRADE_PREPARED)
		hand_over(keeper);
	else if (message.word == UPGRADE_GAVE_UP)
		keeper_end_upgrade(keeper, message.outcome);
}

void keeper_look_at_successor(struct keeper *keeper, bool has_ended)
{
	if (has_ended && !keeper->has_handed_over)
		keeper_end_upgrade(keeper, UPGRADE_FAILED);
	else if (clock_us() / 1000 > keeper->upgrade.deadline_ms && !keeper->has_handed_over)
		keeper_end_upgrade(keeper, UPGRADE_LATE);
}

void keeper_forget_previous(struct keeper *keeper)
{
	if (keeper->previous_fd >= 0 && !keeper->is_recovering &&
	    clock_us() / 1000 > keeper->previous_ms)
		close_fd(&keeper->previous_fd);
}

void keeper_pass_on_signals(const struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		(void)pidfd_send_signal(keeper->upgrade.successor.pidfd, (int)info.ssi_signo, NULL,
					0);
}

/* The server has ended too early. Tells the old keeper why. Returns the exit code. */
static int give_up(struct keeper *keeper, const struct succession *succession)
{
	int status = 0;

	if (waitpid(keeper->server.pid, &status, 0) == keeper->server.pid)
		child_forget(&keeper->server);
	if (WIFEXITED(status) && WEXITSTATUS(status) == UPGRADE_EXIT_LAYOUT)
		succession_give_up(succession, UPGRADE_LAYOUT);
	return EXIT_CANNOT_SERVE;
}

/* Starts the server that is to take over from another keeper's. Returns 0 or an exit code. */
static int start_inheriting(struct keeper *keeper, struct succession *succession)
{
	int r;

	keeper->succession = succession;
	r = keeper_start(keeper, &keeper->server);
	if (r == 0)
		return 0;
	log_fail("server: start: %s", strerror(-r));
	return EXIT_CANNOT_SERVE;
}

/*
 * Tells the server, which is prepared, to take over from one that has died. It says TAKEN to FD,
 * the link to the old keeper, unless that is -1.
 */
static void let_inherit(struct keeper *keeper, uint64_t died_us, bool failed, int fd)
{
	const struct keeper_message death = {
		.word = KEEPER_LINK_INHERIT,
		.fd = fd,
		.died_us = died_us,
		.failed = failed,
	};

	keeper->is_inherited = true;
	keeper->is_recovering = keeper->is_sweeping = true;
	keeper->sweep_ms = clock_us() / 1000;
	(void)child_tell(&keeper->server, &death); /* if it has died, it has an heir */
	(void)kill(keeper->server.pid, SIGCONT);   /* as for any heir */
}

void keeper_end_succession(struct keeper *keeper)
{
	const struct upgrade_message taken = { .word = UPGRADE_TAKEN };

	if (!keeper->succession)
		return;
	/* our server may have died before it could say so; twice does no harm */
	(void)upgrade_send(keeper->succession->fd, &taken);
	succession_end(keeper->succession);
	keeper->succession = NULL;
}

/* This version takes over from the one before. */
static void note_success(struct keeper *keeper, const struct upgrade_terms *terms)
{
	keeper->previous_ms = clock_us() / 1000 + GO_BACK_MS;
	keeper->upgrade.outcome = terms->goes_back ? UPGRADE_WENT_BACK : UPGRADE_DONE;
	log_info("%s: upgrade: version %s takes over", keeper->config->mountpoint,
		 keeper->config->version);
}

/* As let_inherit(), from the server of the old keeper, which has sent MESSAGE or has died. */
static void succeed(struct keeper *keeper, const struct upgrade_message *message)
{
	const struct succession *succession = keeper->succession;

	note_success(keeper, &succession->terms);
	let_inherit(keeper, message->died_us, message->failed, succession->fd);
}

/* Whether the server, which was just started, has become ready to take over. */
static bool hear_prepared(const struct keeper *keeper)
{
	struct keeper_message message;

	return child_hear(&keeper->server, &message) && message.word == KEEPER_LINK_PREPARED;
}

/* Waits until the server is prepared to take over from an orphan. Returns success. */
static bool await_prepared(const struct keeper *keeper)
{
	struct pollfd fds[] = {
		{ .fd = keeper->server.fd, .events = POLLIN },
		{ .fd = keeper->server.pidfd, .events = POLLIN },
	};

	return poll(fds, ARRAY_SIZE(fds), PREPARE_MS) > 0 && hear_prepared(keeper);
}

/* Kills a server that isn't ours. Returns whether it has ended. */
static bool end_server(const struct keeper *keeper, int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	return poll(&end, 1, (int)keeper->config->recovery_timeout_ms) == 1;
}

/*
 * Has our server, which is prepared, take over from server PID, which has lost its keeper. Returns
 * 0, or an exit code; then that server goes on, unless it can't.
 */
static int take_from(struct keeper *keeper, struct succession *succession, pid_t pid)
{
	const char *mountpoint = keeper->config->mountpoint;
	int pidfd = succession->keeper_fd, r;
	uint64_t died_us = clock_us();

	if (!stop_process(pid, pidfd)) {
		log_fail("%s: take over: a thread of server %d waits in the kernel (is BACKING "
			 "frozen?)",
			 mountpoint, (int)pid);
		return EXIT_CANNOT_SERVE;
	}
	r = succession_fetch(succession);
	if (r < 0) {
		log_fail("%s: take over: copy the descriptors of server %d: %s", mountpoint,
			 (int)pid, strerror(-r));
		stop_undo(pidfd);
		return EXIT_CANNOT_SERVE;
	}
	if (!end_server(keeper, pidfd)) {
		log_fail("%s: take over: server %d doesn't end", mountpoint, (int)pid);
		return EXIT_CANNOT_SERVE;
	}
	log_info("%s: take over: from server %d, whose keeper has died", mountpoint, (int)pid);
	let_inherit(keeper, died_us, false, -1);
	return 0;
}

/* The old keeper has died and has passed on nothing, and our server is prepared. */
static int take_alone(struct keeper *keeper, struct succession *succession)
{
	int code = EXIT_CANNOT_SERVE;

	if (succession_follow(succession) == 0)
		code = take_from(keeper, succession, succession->terms.server);
	if (!code)
		note_success(keeper, &succession->terms);
	return code;
}

/* The old keeper has died since all was copied and its server was killed. */
static int inherit_alone(struct keeper *keeper, const struct succession *succession,
			 const struct upgrade_message *message)
{
	if (succession->server_fd >= 0 && !end_server(keeper, succession->server_fd)) {
		log_fail("%s: take over: server %d doesn't end", keeper->config->mountpoint,
			 (int)succession->terms.server);
		return EXIT_CANNOT_SERVE;
	}
	succeed(keeper, message);
	return 0;
}

/*
 * Copies the descriptors of the old keeper, whose server is stopped or dead, and kills that server.
 * Tells the old keeper, and waits for INHERIT or its end, whatever has become of our server.
 * Returns 0 or an exit code.
 */
static int fetch(struct keeper *keeper, struct succession *succession)
{
	const struct upgrade_message fetched = { .word = UPGRADE_FETCHED };
	struct upgrade_message message = { .word = UPGRADE_INHERIT, .died_us = clock_us() };
	struct pollfd fds[] = {
		{ .fd = succession->fd, .events = POLLIN },
		{ .fd = succession->keeper_fd, .events = POLLIN },
	};
	int r = succession_fetch(succession);

	if (r == -ESRCH) /* its server goes on, and is copied from the beginning */
		return take_alone(keeper, succession);
	if (r < 0) {
		log_fail("upgrade: copy descriptors: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	r = succession_seal(succession);
	if (r < 0) {
		log_fail("upgrade: kill server %d: %s: its keeper died at that moment, and it may "
			 "have opened files since they were copied",
			 (int)succession->terms.server, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	(void)upgrade_send(succession->fd, &fetched); /* or the old keeper has died */
	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (!upgrade_receive(succession->fd, &message))
		return inherit_alone(keeper, succession, &message);
	succeed(keeper, &message); /* it can only be INHERIT */
	return 0;
}

int keeper_inherit(struct keeper *keeper, struct succession *succession)
{
	const struct upgrade_message prepared = { .word = UPGRADE_PREPARED };
	struct upgrade_message message = { 0 };
	int code = start_inheriting(keeper, succession);
	bool is_prepared = false;

	while (!code) {
		struct pollfd fds[] = {
			{ .fd = succession->keeper_fd, .events = POLLIN },
			{ .fd = succession->fd, .events = POLLIN },
			{ .fd = keeper->server.fd, .events = POLLIN },
			{ .fd = keeper->server.pidfd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return EXIT_CANNOT_SERVE;
		if (fds[2].revents && hear_prepared(keeper)) {
			is_prepared = true;
			(void)upgrade_send(succession->fd, &prepared); /* or it has died */
		}
		if (fds[3].revents)
			return give_up(keeper, succession);
		if (fds[1].revents && upgrade_receive(succession->fd, &message) &&
		    message.word == UPGRADE_FETCH)
			return fetch(keeper, succession);
		if (fds[0].revents && is_prepared)
			return take_alone(keeper, succession);
		if (fds[0].revents)
			return EXIT_CANNOT_SERVE; /* the old keeper has died */
	}
	return code;
}

int keeper_take_orphan(struct keeper *keeper, struct succession *succession,
		       const struct orphan *orphan)
{
	int code = start_inheriting(keeper, succession);

	if (code)
		return code;
	if (!await_prepared(keeper)) {
		log_fail("%s: take over: the server could not be prepared",
			 keeper->config->mountpoint);
		return EXIT_CANNOT_SERVE;
	}
	return take_from(keeper, succession, orphan->pid);
}
