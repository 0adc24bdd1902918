/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keeper's servers: the first one, a spare, and the heir of one that has died. */
#include "host/keeper-state.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/procfs.h"
#include "caisson/reclaim.h"
#include "host/fuse-abort.h"
#include "host/succession.h"

/*
 * Time from a spare's death to the next one, ms; each time sixteen times as long. After
 * SPARES_LOST_MAX deaths there is none any more until a server dies: what a spare had open stays
 * open until then.
 */
#define SPARE_MS	1000
#define SPARES_LOST_MAX 4u

/*
 * Heirs in a row that may fail before they are ready. A request that kills servers is refused at
 * its third death (REQUEST_DEATHS_MAX), and there may be a few of these.
 */
#define FAILURES_MAX 10

/* Looks in a row that have to find it so: a process of many threads takes some time to end. */
#define STUCK_LOOKS 3

int keeper_start(struct keeper *keeper, struct child *child)
{
	const struct succession *succession = keeper->succession;
	const struct child_config config = {
		.daemon = !keeper->config->foreground,
		.log = keeper->config->log,
		.serve = keeper->config->serve,
		.arg = keeper->config->arg,
		.keeper_fd = keeper->self_fd,
		.arena_fd = keeper->arena_fd,
		.is_successor = succession,
		.fds = { keeper->signal_fd, keeper->abort_fd, keeper->launcher_fd,
			 keeper->previous_fd, succession ? succession->fd : -1,
			 succession ? succession->keeper_fd : -1,
			 succession ? succession->server_fd : -1 },
	};

	return child_start(child, &config);
}

/* The last spare was lost. The cause may be a lack of something, and pass. */
static void put_off_spare(struct keeper *keeper)
{
	keeper->spare_ms = clock_us() / 1000 + ((uint64_t)SPARE_MS << 4 * keeper->spares_lost);
	if (++keeper->spares_lost == SPARES_LOST_MAX)
		log_warn("%s: start a spare server: %u have died: none is started any more until "
			 "the server dies",
			 keeper->config->mountpoint, SPARES_LOST_MAX);
}

void keeper_start_spare(struct keeper *keeper)
{
	int r;

	if (!keeper->config->spare || keeper->arena_fd < 0 || keeper->spare.pid ||
	    keeper->is_recovering || keeper->state != SERVING ||
	    keeper->spares_lost >= SPARES_LOST_MAX || clock_us() / 1000 < keeper->spare_ms)
		return;
	r = keeper_start(keeper, &keeper->spare);
	if (r < 0) {
		log_warn("%s: start a spare server: %s", keeper->config->mountpoint, strerror(-r));
		put_off_spare(keeper);
	}
}

void keeper_end(struct child *child)
{
	if (!child->pid)
		return;
	(void)kill(child->pid, SIGKILL); /* our child, not reaped yet */
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
	child_forget(child);
}

void keeper_tell_of_spare(const struct keeper *keeper, pid_t pid)
{
	/* if it doesn't read, its status is old */
	(void)child_tell(&keeper->server,
			 &(struct keeper_message){ .word = KEEPER_LINK_SPARE, .fd = pid });
}

void keeper_hear_spare(struct keeper *keeper)
{
	struct keeper_message message;

	if (child_hear(&keeper->spare, &message) && message.word == KEEPER_LINK_PREPARED)
		keeper_tell_of_spare(keeper, keeper->spare.pid);
}

void keeper_forget_spare(struct keeper *keeper)
{
	log_warn("%s: spare server %d: died", keeper->config->mountpoint, (int)keeper->spare.pid);
	keeper_end(&keeper->spare);
	put_off_spare(keeper);
	keeper_tell_of_spare(keeper, 0);
}

/*
 * Whether the server has died but one of its threads can't end: its leader is a zombie that can't
 * be reaped. The pidfd doesn't tell.
 */
static bool server_is_stuck(const struct keeper *keeper)
{
	siginfo_t info = { 0 };
	char path[32], state[16];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)keeper->server.pid); /* fits */
	if (procfs_read_value(path, "State", state, sizeof(state)) < 0 || state[0] != 'Z')
		return false;
	return waitid(P_PID, (id_t)keeper->server.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

static void abort_connection(struct keeper *keeper)
{
	int r = fuse_abort(keeper->abort_fd);

	close_fd(&keeper->abort_fd);
	if (r < 0)
		log_fail("%s: abort its connection: %s", keeper->config->mountpoint, strerror(-r));
	else
		log_fail("server %d: end after its death: a thread of it is still in the kernel: "
			 "connection aborted",
			 (int)keeper->server.pid);
}

bool keeper_leaves_an_estate(const struct keeper *keeper, int status)
{
	return (WIFSIGNALED(status) ||
		(WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_TAKE_OVER)) &&
	       !own_mount_is_severed(&keeper->mount);
}

/* Counts a recovery. Returns whether it is one too many. */
static bool is_too_often(struct keeper *keeper)
{
	int64_t now = (int64_t)(clock_us() / 1000);

	if (now - keeper->minute_ms >= 60000) {
		keeper->minute_ms = now;
		keeper->recoveries = 0;
	}
	return keeper->recoveries++ >= keeper->config->recoveries;
}

/* Makes the server's heir its successor. STATUS is that of the server's end. */
static bool start_heir(struct keeper *keeper, int status)
{
	bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	const char *mountpoint = keeper->config->mountpoint;
	const struct keeper_message death = {
		.word = KEEPER_LINK_INHERIT,
		.fd = -1,
		.died_us = keeper->died_us,
		.failed = !was_killed,
	};
	int r = 0;

	if (!keeper_leaves_an_estate(keeper, status) ||
	    (keeper->state != SERVING && keeper->state != LEAVING))
		return false;
	if (keeper->is_recovering && !was_killed && ++keeper->failures >= FAILURES_MAX) {
		log_fail("%s: recover: %u servers in a row have failed at their start", mountpoint,
			 keeper->failures);
		return false;
	}
	if (is_too_often(keeper)) {
		log_fail("%s: recover: %u times within a minute (recoveries=)", mountpoint,
			 keeper->config->recoveries);
		return false;
	}
	if (!keeper->spare.pid)
		r = keeper_start(keeper, &keeper->spare);
	if (r < 0) {
		log_fail("%s: recover: start another server: %s", mountpoint, strerror(-r));
		return false;
	}
	/* in this order: the heir closes the descriptors of the old server if they are left */
	child_forget(&keeper->server);
	keeper->server = keeper->spare;
	keeper->spare = CHILD_NONE;
	keeper->is_recovering = keeper->is_sweeping = true;
	keeper->sweep_ms = death.died_us / 1000;
	r = child_tell(&keeper->server, &death);
	/* somebody may have stopped it while it was idle */
	(void)kill(keeper->server.pid, SIGCONT);
	if (r < 0)
		log_fail("server %d: tell it to take over: %s", (int)keeper->server.pid,
			 strerror(-r));
	return r == 0;
}

/* Whether TASK isn't a thread of the server that sends notifications. */
static int is_other(const struct caisson_task *task, void *arg)
{
	(void)arg;
	return strcmp(task->comm, "drop-0") != 0 && strcmp(task->comm, "prune-0") != 0;
}

/*
 * Whether only those threads are left of the server, which has died, that send notifications. The
 * kernel may have them wait for a client, and that client may wait for an answer, which only an
 * heir can give. They use nothing but the mount. Every other thread has to end first: what it does
 * in the backing filesystem could undo what the heir does.
 */
static bool only_waits_for_clients(const struct keeper *keeper)
{
	struct caisson_audit_summary summary;

	return caisson_audit(keeper->server.pid, is_other, NULL, &summary) == 0 && summary.tasks;
}

bool keeper_recover(struct keeper *keeper, int status)
{
	/* its copies would keep the rings of the dead server from ending */
	if (keeper->upgrade.successor.pid)
		keeper_end_upgrade(keeper, UPGRADE_LOST);
	if (keeper->arena_fd >= 0 && start_heir(keeper, status))
		return true;
	keeper->arena_fd = -1;
	return false;
}

void keeper_look(struct keeper *keeper, unsigned *looks)
{
	const struct keeper_config *config = keeper->config;
	unsigned most = config->recovery ? config->recovery_timeout_ms / LOOK_RECOVERY_MS
					 : STUCK_LOOKS;
	pid_t server = keeper->server.pid;

	if (keeper->unreaped && waitpid(keeper->unreaped, NULL, WNOHANG) == keeper->unreaped)
		keeper->unreaped = 0;
	*looks = server_is_stuck(keeper) ? *looks + 1 : 0;
	if (!*looks)
		return;
	keeper->died_us = clock_us();
	/* why it died isn't known before it is reaped: no request is blamed */
	if (keeper->arena_fd >= 0 && only_waits_for_clients(keeper) &&
	    keeper_recover(keeper, SIGKILL)) {
		keeper->unreaped = server; /* until a later look: the heir has to answer first */
		*looks = 0;
		return;
	}
	if (keeper->abort_fd >= 0 && *looks >= most)
		abort_connection(keeper);
}

void keeper_give_up_heir(struct keeper *keeper)
{
	log_fail("server %d: take over: not done in time", (int)keeper->server.pid);
	keeper->is_sweeping = false;
	keeper->arena_fd = -1;
	assert(keeper->server.pid > 0);
	(void)kill(keeper->server.pid, SIGKILL); /* our child, not reaped yet */
	abort_connection(keeper);
}
