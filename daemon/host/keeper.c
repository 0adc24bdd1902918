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
 *   first SIGTERM or SIGINT            the keeper unmounts lazily and goes on waiting: the stack
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
 *                                      umount(8) ends it, or another keeper goes on with it
 *                                      (orphan.h). So PR_SET_PDEATHSIG is SIGCONT: the keeper may
 *                                      have stopped it just then
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
#include <fcntl.h>
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
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "base/printable.h"
#include "caisson/reclaim.h"
#include "host/front.h"
#include "host/fuse-abort.h"
#include "host/keeper-state.h"
#include "host/launcher.h"
#include "host/notify.h"
#include "host/orphan.h"
#include "host/succession.h"
#include "store/privdrop.h"

static void set_state(struct keeper *keeper, enum keeper_state state)
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

/*
 * Whether a signal asks for an upgrade: SIGHUP. But the kernel sends it when the terminal has gone,
 * and a shell passes that on. caisson upgrade sends it by sigqueue(), as nobody else does.
 */
static bool asks_for_upgrade(const struct keeper *keeper, const struct signalfd_siginfo *info)
{
	return info->ssi_signo == SIGHUP &&
	       (info->ssi_code == SI_QUEUE || (info->ssi_code == SI_USER && !keeper->has_terminal));
}

static void hear_signal(struct keeper *keeper)
{
	const char *mountpoint = keeper->config->mountpoint;
	const struct keeper_message stop = { .word = KEEPER_LINK_STOP, .fd = -1 };
	struct signalfd_siginfo info;
	int r;

	if (read(keeper->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return; /* there was no signal */
	if (asks_for_upgrade(keeper, &info)) {
		keeper_begin_upgrade(keeper);
		return;
	}
	switch (keeper->state) {
	case STARTING:
	case SERVING:
		set_state(keeper, LEAVING);
		if (keeper->upgrade.successor.pid)
			keeper_end_upgrade(keeper, UPGRADE_NOT_NOW);
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
	if (message.word == KEEPER_LINK_SWEPT) {
		keeper->is_sweeping = false;
		keeper_end_succession(keeper);
	}
	if (message.word != KEEPER_LINK_READY)
		return;
	keeper->arena_fd = message.fd;
	keeper->is_recovering = false;
	keeper->failures = keeper->spares_lost = 0;
	keeper_tell_of_upgrades(keeper);
	if (keeper->state != STARTING)
		return; /* an heir; or too late: the launcher will be told of the server's end */
	set_state(keeper, SERVING);
	if (keeper->is_inherited)
		log_info("%s: the mount is as it was", keeper->config->status);
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
 * The server has ended. Returns true with the exit code if the mount ends with it. Otherwise a
 * spare is the server now, or the previous version is about to take over.
 */
static bool hear_end(struct keeper *keeper, int *ret_code)
{
	keeper->died_us = clock_us();
	keeper_end_succession(keeper);
	*ret_code = reap(keeper, &keeper->death);
	if (keeper->upgrade.successor.pid)
		keeper_end_upgrade(keeper, keeper_leaves_an_estate(keeper, keeper->death)
						   ? UPGRADE_LOST
						   : UPGRADE_NOT_NOW);
	return !keeper_goes_back(keeper, keeper->death) && !keeper_recover(keeper, keeper->death);
}

/* Keeps the mount until the server has ended, or there is a successor. Returns the exit code. */
static int keep(struct keeper *keeper)
{
	int interval = keeper->config->recovery ? LOOK_RECOVERY_MS : LOOK_MS;
	struct upgrade *upgrade = &keeper->upgrade;
	unsigned stuck = 0;
	int code;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = keeper->server.pidfd, .events = POLLIN },
			{ .fd = keeper->server.fd, .events = POLLIN },
			{ .fd = keeper->is_sweeping ? -1 : keeper->signal_fd, .events = POLLIN },
			{ .fd = keeper->spare.pidfd, .events = POLLIN },
			{ .fd = keeper->spare.fd, .events = POLLIN },
			{ .fd = upgrade->successor.pidfd, .events = POLLIN },
			{ .fd = upgrade->successor.fd, .events = POLLIN },
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
			if (hear_end(keeper, &code))
				return code;
			continue; /* what else has happened may be of those that are gone */
		}
		if (fds[4].revents)
			keeper_hear_spare(keeper);
		if (fds[3].revents)
			keeper_forget_spare(keeper);
		if (upgrade->successor.pid && fds[6].revents)
			keeper_hear_successor(keeper);
		if (upgrade->successor.pid)
			keeper_look_at_successor(keeper, fds[5].revents);
		if (keeper->has_handed_over)
			return EXIT_FINE;
		/* a successor was to take over from a server that is dead, and has failed, too */
		if (!keeper->server.pid && !upgrade->successor.pid &&
		    !keeper_recover(keeper, keeper->death))
			return EXIT_CANNOT_SERVE;
		keeper_start_spare(keeper);
		keeper_forget_previous(keeper);
		if (!keeper->is_sweeping)
			keeper_look(keeper, &stuck);
		else if (clock_us() / 1000 - keeper->sweep_ms > keeper->config->recovery_timeout_ms)
			keeper_give_up_heir(keeper);
	}
}

/* Makes the keeper safe itself: it must be able to act when memory is short. */
static int settle(const struct keeper *keeper, enum log_target log)
{
	bool recovery = keeper->config->recovery;
	int r;

	r = log_start(log, privdrop_keeper);
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

/* Opens what the keeper waits for. Returns 0 or -errno. */
static int open_own(struct keeper *keeper, const sigset_t *signals)
{
	keeper->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	keeper->self_fd = pidfd_open(getpid(), 0);
	return keeper->signal_fd < 0 || keeper->self_fd < 0 ? -errno : 0;
}

/* Ends the mount after the server, unless somebody else has it. */
static void end_mount(struct keeper *keeper, int code)
{
	if (keeper->has_handed_over)
		return;
	/* clients of a server that has died get errors now, as nobody has its requests */
	if (code != EXIT_FINE && keeper->abort_fd >= 0)
		(void)fuse_abort(keeper->abort_fd);
	/* if it failed and is severed, the connection was aborted, and the mount is still there */
	if (code != EXIT_FINE || !own_mount_is_severed(&keeper->mount))
		(void)own_mount_unmount(&keeper->mount); /* logs errors */
}

static void close_own(struct keeper *keeper, int code)
{
	log_stop(); /* while the launcher still has its terminal */
	launcher_tell(&keeper->launcher_fd, code);
	keeper_end(&keeper->spare);
	child_forget(&keeper->server);
	if (keeper->has_handed_over && !keeper->is_front)
		keeper_pass_on_signals(keeper);
	child_forget(&keeper->upgrade.successor);
	close_fd(&keeper->upgrade.own_fd);
	close_fd(&keeper->signal_fd);
	close_fd(&keeper->self_fd);
	close_fd(&keeper->abort_fd);
	close_fd(&keeper->previous_fd);
}

/* The whole life of the keeper. Returns the exit code. */
static int be_keeper(struct keeper *keeper, const sigset_t *signals)
{
	const struct keeper_message stop = { .word = KEEPER_LINK_STOP, .fd = -1 };
	int code, r;

	r = open_own(keeper, signals);
	if (!r)
		r = keeper_start(keeper, &keeper->server);
	if (r < 0) {
		log_fail("server: start: %s", strerror(-r));
		(void)own_mount_unmount(&keeper->mount);
		close_own(keeper, EXIT_CANNOT_SERVE);
		return EXIT_CANNOT_SERVE;
	}
	/* if it fails, the administrator can still use fusectl */
	(void)fuse_abort_open(keeper->mount.info.minor, &keeper->abort_fd);
	code = settle(keeper, LOG_TARGET_STDERR);
	if (code) {
		/* unmounting ends a server that isn't ready yet, and the message one that is */
		set_state(keeper, LEAVING);
		(void)own_mount_unmount(&keeper->mount);
		(void)child_tell(&keeper->server, &stop);
		(void)keep(keeper);
	} else {
		code = keep(keeper);
	}
	end_mount(keeper, code);
	close_own(keeper, code);
	return code;
}

static void forbid_core_dumps(void)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 1 };

	/* fails if the hard limit is 0 already, which forbids all dumps but those to a pipe */
	(void)setrlimit(RLIMIT_CORE, &limit);
}

/* Whether we run in the foreground on a terminal. */
static bool has_terminal(const struct keeper_config *config)
{
	autoclose int fd = config->foreground ? open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
					      : -1;

	return fd >= 0;
}

static struct keeper make_keeper(const struct keeper_config *config)
{
	return (struct keeper){
		.config = config,
		.server = CHILD_NONE,
		.spare = CHILD_NONE,
		.upgrade = { .program = config->program,
			     .argv = config->argv,
			     .to_syslog = config->log == LOG_TARGET_SYSLOG,
			     .successor = CHILD_NONE,
			     .own_fd = -1 },
		.self_fd = -1,
		.arena_fd = -1,
		.signal_fd = -1,
		.abort_fd = -1,
		.launcher_fd = -1,
		.previous_fd = -1,
		.has_terminal = has_terminal(config),
	};
}

/* What may end no server: a pipe that is closed, and a write beyond RLIMIT_FSIZE. */
static void ignore_signals(void)
{
	(void)signal(SIGPIPE, SIG_IGN); /* can't fail */
	(void)signal(SIGXFSZ, SIG_IGN);
}

/*
 * Begins as the process that the user has started: finds the mount of SE, and becomes a daemon
 * unless config->foreground. Returns 0; 1 in the launcher, with its exit code; or -errno, logged.
 */
static int begin(struct keeper *keeper, struct fuse_session *se, sigset_t *ret_signals,
		 int *ret_code)
{
	const struct keeper_config *config = keeper->config;
	sigset_t saved;
	int r;

	ignore_signals();
	forbid_core_dumps();
	block_signals(ret_signals, &saved);
	r = own_mount_find(&keeper->mount, config->mountpoint, se);
	if (r == 0 && chdir("/") < 0) /* the working directory may lie on the stack above (S8) */
		r = -errno;
	if (r == 0 && !config->foreground)
		r = launcher_fork(&keeper->launcher_fd, ret_code);
	if (r > 0)
		(void)sigprocmask(SIG_SETMASK, &saved, NULL); /* can't fail */
	if (r < 0)
		log_fail("%s: keep: %s", config->mountpoint, strerror(-r));
	/* whoever has started us watches this process, unless it can be told of another one */
	if (r == 0 && config->foreground && !notify_is_wanted()) {
		keeper->is_front = true;
		front_begin();
	}
	return r;
}

/* CODE is that of the keeper's end. Returns that of the process. */
static int finish(const struct keeper *keeper, int code)
{
	return keeper->is_front && keeper->has_handed_over ? front_stay() : code;
}

int keeper_run(const struct keeper_config *config, struct fuse_session *se)
{
	struct keeper keeper = make_keeper(config);
	int code = EXIT_CANNOT_SERVE, r;
	sigset_t signals;

	r = begin(&keeper, se, &signals, &code);
	if (r < 0)
		fuse_session_unmount(se);
	return r ? code : finish(&keeper, be_keeper(&keeper, &signals));
}

/* Keeps what was taken over; CODE says why that failed, and then it was never ours. */
static int keep_inherited(struct keeper *keeper, int code)
{
	if (code)
		keeper_end(&keeper->server);
	else
		code = keep(keeper);
	if (keeper->is_inherited)
		end_mount(keeper, code);
	close_own(keeper, code);
	return code;
}

int keeper_adopt(const struct keeper_config *config, struct fuse_session *se,
		 struct succession *succession, const struct orphan *orphan)
{
	struct keeper keeper = make_keeper(config);
	int code = EXIT_CANNOT_SERVE, r;
	sigset_t signals;

	r = begin(&keeper, se, &signals, &code);
	if (r)
		return code;
	keeper.arena_fd = orphan->arena_fd;
	(void)fuse_abort_open(keeper.mount.info.minor, &keeper.abort_fd); /* as in be_keeper() */
	r = open_own(&keeper, &signals);
	if (r < 0)
		log_fail("keeper: begin: %s", strerror(-r));
	else
		code = settle(&keeper, LOG_TARGET_STDERR);
	if (r == 0 && !code)
		code = keeper_take_orphan(&keeper, succession, orphan);
	return finish(&keeper, keep_inherited(&keeper, code));
}

int keeper_succeed(const struct keeper_config *config, struct fuse_session *se,
		   struct succession *succession)
{
	const struct upgrade_terms *terms = &succession->terms;
	const struct mountinfo found = {
		.id = terms->mount_id,
		.major = terms->mount_major,
		.minor = terms->mount_minor,
		.is_fuse = true,
	};
	struct keeper keeper = make_keeper(config);
	sigset_t signals, saved;
	int code, r;

	/* the limit of dumps and the working directory are as the old keeper has them */
	ignore_signals();
	block_signals(&signals, &saved);
	own_mount_adopt(&keeper.mount, config->mountpoint, se, &found, terms->mount_unique_id);
	keeper.state = SERVING;
	keeper.arena_fd = terms->arena_fd;
	keeper.abort_fd = terms->abort_fd;
	keeper.previous_fd = terms->previous_fd;
	keeper.upgrade.attempts = terms->attempts;
	r = open_own(&keeper, &signals);
	if (r < 0) {
		log_fail("keeper: begin: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	/* before the server is started, which then knows what is the keeper's */
	code = settle(&keeper, config->log);
	if (!code)
		code = keeper_inherit(&keeper, succession);
	return keep_inherited(&keeper, code);
}
