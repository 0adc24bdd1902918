/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper. A mount has these processes:
 *
 *   launcher   the process that the user started, in daemon mode. It waits for the exit code
 *              (launcher.h) and ends when the mount is ready.
 *   keeper     waits for the server and for signals. It unmounts lazily, so that clients that use
 *              the mount can go on, and the server goes on serving them.
 *   server     serves until the kernel tells that the mount has gone, or the keeper says stop.
 *   spare      with recovery=on: a server that is prepared, and takes over when the server dies.
 *
 * How they end each other:
 *
 *   first SIGTERM, SIGINT or SIGHUP    the keeper unmounts lazily and goes on waiting: the stack
 *                                      above must not lose its storage when a service is stopped
 *   second                             the keeper says stop: the server finishes its requests and
 *                                      exits; clients that still use the mount get errors
 *   the server dies                    with recovery=on, the keeper has the spare take over, or
 *                                      starts an heir if there is no spare (takeover.h). Otherwise
 *                                      it aborts the connection, so that waiting clients get
 *                                      ECONNABORTED, unmounts lazily and exits. If a thread of the
 *                                      server is stuck in the kernel, waiting for a client that
 *                                      waits for an answer, the server can't end. So the keeper
 *                                      looks from time to time whether that is so
 *   the spare dies                     the keeper starts another one, later each time
 *   the keeper dies                    the server sees that by a pidfd and goes on serving until
 *                                      umount(8) ends it. So PR_SET_PDEATHSIG isn't set
 *
 * The server has these signals blocked: a terminal's ^C and a service manager's SIGTERM go to all
 * processes of the group, and the keeper decides.
 *
 * Core dumps are off: a dump to the stack above would wait for the server that is being dumped
 * (S8). The limit is 1 and not 0, because a core_pattern that is a pipe ignores 0 and honours 1
 * (do_coredump() in fs/coredump.c). PR_SET_DUMPABLE stays as it is. If it were cleared, a user
 * other than root could not use /proc/self/fd, through which the server reopens files.
 */
#define FUSE_USE_VERSION 312

#include "host/keeper.h"

#include <assert.h>
#include <errno.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "base/printable.h"
#include "base/procfs.h"
#include "caisson/reclaim.h"
#include "host/child.h"
#include "host/fuse-abort.h"
#include "host/launcher.h"
#include "host/notify.h"
#include "host/own-mount.h"
#include "store/privdrop.h"

/* Interval of looks whether the server has died without ending, ms. */
#define LOOK_MS		 1000
#define LOOK_RECOVERY_MS 200 /* with recovery=on, when clients wait for an heir */

/*
 * Time from a spare's death to the next one, ms; each time sixteen times as long. After
 * SPARES_LOST_MAX deaths there is none any more until a server dies: what a spare had open stays
 * open until then.
 */
#define SPARE_MS	1000
#define SPARES_LOST_MAX 4u

/* Heirs in a row that may fail before they are ready. */
#define FAILURES_MAX 3

/* Looks in a row that have to find it so: a process of many threads takes some time to end. */
#define STUCK_LOOKS 3

/*
 * STARTING → SERVING [hear_server], LEAVING [hear_signal]
 * SERVING  → LEAVING [hear_signal]
 * LEAVING  → STOPPING [hear_signal]
 * The end of the server ends the keeper in every state.
 */
enum state {
	STARTING, /* the server isn't ready; the launcher waits */
	SERVING,
	LEAVING, /* it has unmounted lazily, or tried to; the server serves the remaining clients */
	STOPPING, /* the server has been told to stop */
	STATES
};

struct keeper {
	const struct keeper_config *config;
	struct own_mount mount;
	enum state state;
	struct child server;
	struct child spare;   /* an heir for when the server dies, or none */
	uint64_t spare_ms;    /* before that, no spare is started; CLOCK_MONOTONIC */
	uint32_t spares_lost; /* since the last takeover */
	int self_fd;	      /* pidfd of the keeper, for servers */
	int signal_fd;
	int arena_fd;	    /* what an heir takes over, as the last server has said; or -1 */
	bool is_recovering; /* the server is an heir that isn't ready */
	bool is_sweeping;   /* it closes descriptors that it doesn't know, so none may be opened */
	uint64_t sweep_ms;  /* when that began, CLOCK_MONOTONIC */
	uint32_t failures;  /* heirs in a row that failed before they were ready */
	pid_t unreaped;	    /* a server that has an heir, but can't be reaped yet; or 0 */
	int64_t minute_ms;  /* when the minute began in which the recoveries are counted */
	uint32_t recoveries;
	int abort_fd;	 /* the connection's, or -1 */
	int launcher_fd; /* pipe to the launcher; -1 after it was told the exit code */
};

static void set_state(struct keeper *keeper, enum state state)
{
	static const bool allowed[STATES][STATES] = {
		[STARTING] = { [SERVING] = true, [LEAVING] = true },
		[SERVING] = { [LEAVING] = true },
		[LEAVING] = { [STOPPING] = true },
	};

	assert(allowed[keeper->state][state]);
	keeper->state = state;
}

static void block_signals(sigset_t *ret_blocked, sigset_t *ret_saved)
{
	(void)sigemptyset(ret_blocked); /* these can't fail with valid signals */
	(void)sigaddset(ret_blocked, SIGTERM);
	(void)sigaddset(ret_blocked, SIGINT);
	(void)sigaddset(ret_blocked, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, ret_blocked, ret_saved);
}

static void tell_manager(const struct keeper *keeper, bool stopping)
{
	char status[2 * PATH_MAX], state[sizeof(status) + 64];
	int r;

	/* a newline in a path must not begin a field of its own */
	(void)snprintf(status, sizeof(status), "%s",
		       keeper->config->status); /* a long one is cut */
	printable_line(status);
	if (stopping)
		(void)snprintf(state, sizeof(state), "STOPPING=1");
	else
		(void)snprintf(state, sizeof(state), "READY=1\nMAINPID=%d\nSTATUS=%s",
			       (int)getpid(), status);
	r = notify(state);
	if (r < 0)
		log_warn("service manager: notify: %s", strerror(-r));
}

static void hear_signal(struct keeper *keeper)
{
	const char *mountpoint = keeper->config->mountpoint;
	const struct keeper_message stop = { .word = KEEPER_LINK_STOP, .fd = -1 };
	struct signalfd_siginfo info;
	int r;

	if (read(keeper->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return; /* there was no signal */
	switch (keeper->state) {
	case STARTING:
	case SERVING:
		set_state(keeper, LEAVING);
		tell_manager(keeper, true);
		if (!own_mount_is_severed(&keeper->mount) && own_mount_unmount(&keeper->mount))
			log_info("%s: unmount: done, serving on until its last user is gone; "
				 "another signal ends it now",
				 mountpoint);
		break;
	case LEAVING:
		set_state(keeper, STOPPING);
		log_info("%s: stop: finishing what is in flight", mountpoint);
		r = child_tell(&keeper->server, &stop);
		if (r < 0)
			log_fail("server: tell it to stop: %s", strerror(-r));
		break;
	case STOPPING:
	case STATES:
		break;
	}
}

static void hear_server(struct keeper *keeper)
{
	struct keeper_message message;
	int r;

	if (!child_hear(&keeper->server, &message))
		return;
	if (message.word == KEEPER_LINK_SWEPT)
		keeper->is_sweeping = false;
	if (message.word != KEEPER_LINK_READY)
		return;
	keeper->arena_fd = message.fd;
	keeper->is_recovering = false;
	keeper->failures = keeper->spares_lost = 0;
	if (keeper->state != STARTING)
		return; /* an heir; or too late: the launcher will be told of the server's end */
	set_state(keeper, SERVING);
	tell_manager(keeper, false);
	r = keeper_become_quiet(keeper->config->log, !keeper->config->foreground);
	if (r < 0)
		log_warn("terminal: let go of: %s", strerror(-r));
	launcher_tell(&keeper->launcher_fd, EXIT_FINE);
}

/*
 * Returns the exit code of the server, which has ended, and its wait status. Logs its death by a
 * signal.
 */
static int reap(struct keeper *keeper, int *ret_status)
{
	int status;

	*ret_status = 0;
	while (waitpid(keeper->server.pid, &status, 0) < 0) {
		if (errno != EINTR) {
			log_fail("server: wait for its end: %s", strerror(errno));
			return EXIT_CANNOT_SERVE;
		}
	}
	*ret_status = status;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) <= EXIT_UNSAFE ? WEXITSTATUS(status) : EXIT_CANNOT_SERVE;
	log_fail("server %d: serve %s: killed by signal %d (%s)", (int)keeper->server.pid,
		 keeper->config->mountpoint, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return EXIT_CANNOT_SERVE;
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

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Starts CHILD: the first server, or an heir if there is something to take over. */
static int start(struct keeper *keeper, struct child *child)
{
	const struct child_config config = {
		.daemon = !keeper->config->foreground,
		.log = keeper->config->log,
		.serve = keeper->config->serve,
		.arg = keeper->config->arg,
		.keeper_fd = keeper->self_fd,
		.arena_fd = keeper->arena_fd,
		.fds = { keeper->signal_fd, keeper->abort_fd, keeper->launcher_fd, -1 },
	};

	return child_start(child, &config);
}

/* The last spare was lost. The cause may be a lack of something, and pass. */
static void put_off_spare(struct keeper *keeper)
{
	keeper->spare_ms = now_us() / 1000 + ((uint64_t)SPARE_MS << 4 * keeper->spares_lost);
	if (++keeper->spares_lost == SPARES_LOST_MAX)
		log_warn("%s: start a spare server: %u have died: none is started any more until "
			 "the server dies",
			 keeper->config->mountpoint, SPARES_LOST_MAX);
}

/* Starts a spare, if there is to be one. Without it, an heir is started after a death. */
static void start_spare(struct keeper *keeper)
{
	int r;

	if (!keeper->config->spare || keeper->arena_fd < 0 || keeper->spare.pid ||
	    keeper->is_recovering || keeper->state != SERVING ||
	    keeper->spares_lost >= SPARES_LOST_MAX || now_us() / 1000 < keeper->spare_ms)
		return;
	r = start(keeper, &keeper->spare);
	if (r < 0) {
		log_warn("%s: start a spare server: %s", keeper->config->mountpoint, strerror(-r));
		put_off_spare(keeper);
	}
}

static void end_spare(struct keeper *keeper)
{
	if (!keeper->spare.pid)
		return;
	(void)kill(keeper->spare.pid, SIGKILL); /* our child, not reaped yet */
	while (waitpid(keeper->spare.pid, NULL, 0) < 0 && errno == EINTR)
		;
	child_forget(&keeper->spare);
}

/* Tells the server, for its status. */
static void tell_of_spare(const struct keeper *keeper, pid_t pid)
{
	/* if it doesn't read, its status is old */
	(void)child_tell(&keeper->server,
			 &(struct keeper_message){ .word = KEEPER_LINK_SPARE, .fd = pid });
}

static void hear_spare(struct keeper *keeper)
{
	struct keeper_message message;

	if (child_hear(&keeper->spare, &message) && message.word == KEEPER_LINK_PREPARED)
		tell_of_spare(keeper, keeper->spare.pid);
}

/* The spare has died. The next one is started by the next look. */
static void forget_spare(struct keeper *keeper)
{
	log_warn("%s: spare server %d: died", keeper->config->mountpoint, (int)keeper->spare.pid);
	end_spare(keeper);
	put_off_spare(keeper);
	tell_of_spare(keeper, 0);
}

/* Whether a server that has ended with STATUS leaves something to an heir. */
static bool leaves_an_estate(int status)
{
	return WIFSIGNALED(status) ||
	       (WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_TAKE_OVER);
}

/* Counts a recovery. Returns whether it is one too many. */
static bool is_too_often(struct keeper *keeper)
{
	int64_t now = (int64_t)(now_us() / 1000);

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
		.died_us = now_us(),
		.failed = !was_killed,
	};
	int r = 0;

	if (!leaves_an_estate(status) || (keeper->state != SERVING && keeper->state != LEAVING) ||
	    own_mount_is_severed(&keeper->mount))
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
		r = start(keeper, &keeper->spare);
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

/*
 * start_heir(), if there can be an heir. After a failure there is none any more: what was left of
 * the server ends with the keeper.
 */
static bool recover(struct keeper *keeper, int status)
{
	if (keeper->arena_fd >= 0 && start_heir(keeper, status))
		return true;
	keeper->arena_fd = -1;
	return false;
}

/* Looks at a server that hasn't ended: whether it has died, and can't end. */
static void look(struct keeper *keeper, unsigned *stuck)
{
	const struct keeper_config *config = keeper->config;
	unsigned most = config->recovery ? config->recovery_timeout_ms / LOOK_RECOVERY_MS
					 : STUCK_LOOKS;
	pid_t server = keeper->server.pid;

	if (keeper->unreaped && waitpid(keeper->unreaped, NULL, WNOHANG) == keeper->unreaped)
		keeper->unreaped = 0;
	*stuck = server_is_stuck(keeper) ? *stuck + 1 : 0;
	if (!*stuck)
		return;
	/* why it died isn't known before it is reaped: no request is blamed */
	if (keeper->arena_fd >= 0 && only_waits_for_clients(keeper) && recover(keeper, SIGKILL)) {
		keeper->unreaped = server; /* until a later look: the heir has to answer first */
		*stuck = 0;
		return;
	}
	if (keeper->abort_fd >= 0 && *stuck >= most)
		abort_connection(keeper);
}

/* Gives up an heir that takes too long to close what it doesn't know. */
static void give_up_heir(struct keeper *keeper)
{
	log_fail("server %d: take over: not done in time", (int)keeper->server.pid);
	keeper->is_sweeping = false;
	keeper->arena_fd = -1;
	(void)kill(keeper->server.pid, SIGKILL); /* our child, not reaped yet */
	abort_connection(keeper);
}

/* Keeps the mount until the server has ended. Returns the exit code. */
static int keep(struct keeper *keeper)
{
	int interval = keeper->config->recovery ? LOOK_RECOVERY_MS : LOOK_MS;
	unsigned stuck = 0;
	int code, status;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = keeper->server.pidfd, .events = POLLIN },
			{ .fd = keeper->server.fd, .events = POLLIN },
			{ .fd = keeper->is_sweeping ? -1 : keeper->signal_fd, .events = POLLIN },
			{ .fd = keeper->spare.pidfd, .events = POLLIN },
			{ .fd = keeper->spare.fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), interval) < 0 && errno != EINTR) {
			log_fail("keeper: wait: %s", strerror(errno));
			return EXIT_CANNOT_SERVE;
		}
		/* before the server's end, as it may have been ready for a moment */
		if (fds[1].revents)
			hear_server(keeper);
		if (fds[2].revents)
			hear_signal(keeper);
		if (fds[0].revents) {
			code = reap(keeper, &status);
			if (!recover(keeper, status))
				return code;
			continue; /* the spare is the server now */
		}
		if (fds[4].revents)
			hear_spare(keeper);
		if (fds[3].revents)
			forget_spare(keeper);
		start_spare(keeper);
		if (!keeper->is_sweeping)
			look(keeper, &stuck);
		else if (now_us() / 1000 - keeper->sweep_ms > keeper->config->recovery_timeout_ms)
			give_up_heir(keeper);
	}
}

/* Makes the keeper safe itself: it must be able to act when memory is short. */
static int settle(const struct keeper *keeper)
{
	bool recovery = keeper->config->recovery;
	int r;

	r = log_start(LOG_TARGET_STDERR, privdrop_keeper);
	if (r < 0) {
		log_fail("log of the keeper: start: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	/* not tried with mlock=off: later mappings could then fail for lack of RLIMIT_MEMLOCK */
	r = keeper->config->require_mlock ? caisson_memory_lock(0) : 0;
	if (r < 0) {
		log_fail("memory of the keeper: lock: %s", strerror(-r));
		return EXIT_UNSAFE;
	}
	r = recovery ? caisson_stack_prefault(CAISSON_AUDIT_STACK) : 0;
	if (r < 0) {
		log_fail("stack of the keeper: prefault: %s", strerror(-r));
		return EXIT_UNSAFE;
	}
	r = recovery ? privdrop_keeper_of_heirs() : privdrop_keeper();
	if (r < 0) {
		log_fail("keeper: drop capabilities: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

/* The whole life of the keeper. Returns the exit code. */
static int be_keeper(struct keeper *keeper, const sigset_t *signals)
{
	const struct keeper_message stop = { .word = KEEPER_LINK_STOP, .fd = -1 };
	int code, r = 0;

	keeper->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	keeper->self_fd = pidfd_open(getpid(), 0);
	if (keeper->signal_fd < 0 || keeper->self_fd < 0)
		r = -errno;
	if (!r)
		r = start(keeper, &keeper->server);
	if (r < 0) {
		log_fail("server: start: %s", strerror(-r));
		code = EXIT_CANNOT_SERVE;
		goto out;
	}
	/* if it fails, the administrator can still use fusectl */
	(void)fuse_abort_open(keeper->mount.info.minor, &keeper->abort_fd);
	code = settle(keeper);
	if (code) {
		/* unmounting ends a server that isn't ready yet, and the message one that is */
		set_state(keeper, LEAVING);
		(void)own_mount_unmount(&keeper->mount);
		(void)child_tell(&keeper->server, &stop);
		(void)keep(keeper);
	} else {
		code = keep(keeper);
	}
	/* clients of a server that has died get errors now, as nobody has its requests */
	if (code != EXIT_FINE && keeper->abort_fd >= 0)
		(void)fuse_abort(keeper->abort_fd);
out:
	/* if it failed and is severed, the connection was aborted, and the mount is still there */
	if (code != EXIT_FINE || !own_mount_is_severed(&keeper->mount))
		(void)own_mount_unmount(&keeper->mount); /* logs errors */
	log_stop(); /* while the launcher still has its terminal */
	launcher_tell(&keeper->launcher_fd, code);
	end_spare(keeper);
	child_forget(&keeper->server);
	close_fd(&keeper->signal_fd);
	close_fd(&keeper->self_fd);
	close_fd(&keeper->abort_fd);
	return code;
}

static void forbid_core_dumps(void)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };

	/* fails if the hard limit is 0 already, which forbids all dumps but those to a pipe */
	(void)setrlimit(RLIMIT_CORE, &limit);
}

int keeper_run(const struct keeper_config *config, struct fuse_session *se)
{
	struct keeper keeper = {
		.config = config,
		.server = CHILD_NONE,
		.spare = CHILD_NONE,
		.self_fd = -1,
		.arena_fd = -1,
		.signal_fd = -1,
		.abort_fd = -1,
		.launcher_fd = -1,
	};
	sigset_t signals, saved;
	int code = EXIT_CANNOT_SERVE, r;

	(void)signal(SIGPIPE, SIG_IGN); /* can't fail */
	forbid_core_dumps();
	block_signals(&signals, &saved);
	r = own_mount_find(&keeper.mount, config->mountpoint, se);
	if (r == 0 && chdir("/") < 0) /* the working directory may lie on the stack above (S8) */
		r = -errno;
	if (r == 0 && !config->foreground) {
		r = launcher_fork(&keeper.launcher_fd, &code);
		if (r > 0) {
			(void)sigprocmask(SIG_SETMASK, &saved, NULL); /* can't fail */
			return code;
		}
	}
	if (r < 0) {
		log_fail("%s: keep: %s", config->mountpoint, strerror(-r));
		fuse_session_unmount(se);
		return EXIT_CANNOT_SERVE;
	}
	return be_keeper(&keeper, &signals);
}
