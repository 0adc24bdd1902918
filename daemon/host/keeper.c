/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper. A mount has three processes:
 *
 *   launcher   the process that the user started, in daemon mode. It waits for the exit code
 *              (launcher.h) and ends when the mount is ready.
 *   keeper     waits for the server and for signals. It unmounts lazily, so that clients that use
 *              the mount can go on, and the server goes on serving them.
 *   server     serves until the kernel tells that the mount has gone, or the keeper says stop.
 *
 * How they end each other:
 *
 *   first SIGTERM, SIGINT or SIGHUP    the keeper unmounts lazily and goes on waiting: the stack
 *                                      above must not lose its storage when a service is stopped
 *   second                             the keeper says stop: the server finishes its requests and
 *                                      exits; clients that still use the mount get errors
 *   the server dies                    the keeper unmounts lazily and exits. It had the last copy
 *                                      of the device open, so the kernel then answers all waiting
 *                                      clients with ECONNABORTED. But if a thread of the server is
 *                                      stuck in the kernel, waiting for a client that waits for an
 *                                      answer, the device stays open. So the keeper looks once a
 *                                      second, and aborts the connection after three looks
 *   the keeper dies                    the server sees that on the link and goes on serving until
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
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/macro.h"
#include "base/printable.h"
#include "base/procfs.h"
#include "caisson/reclaim.h"
#include "host/fuse-abort.h"
#include "host/launcher.h"
#include "host/notify.h"
#include "host/own-mount.h"
#include "store/privdrop.h"

/* Interval of looks whether the server has died without ending, ms. */
#define LOOK_MS 1000

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
	pid_t server;
	int server_fd; /* pidfd */
	int link_fd;   /* to the server; -1 after it has closed its end */
	int signal_fd;
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
	struct signalfd_siginfo info;
	char word = KEEPER_LINK_STOP;

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
		if (send(keeper->link_fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_fail("server: tell it to stop: %s", strerror(errno));
		break;
	case STOPPING:
	case STATES:
		break;
	}
}

static void hear_server(struct keeper *keeper)
{
	char word;
	ssize_t n = recv(keeper->link_fd, &word, 1, MSG_DONTWAIT);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(&keeper->link_fd); /* the server is ending, which server_fd will tell */
		return;
	}
	if (word != KEEPER_LINK_READY || keeper->state != STARTING)
		return; /* too late: the server is being ended, which the launcher will be told */
	set_state(keeper, SERVING);
	tell_manager(keeper, false);
	r = keeper_become_quiet(keeper->config->log, !keeper->config->foreground);
	if (r < 0)
		log_warn("terminal: let go of: %s", strerror(-r));
	launcher_tell(&keeper->launcher_fd, EXIT_FINE);
}

/* Returns the exit code of the server, which has ended. Logs its death by a signal. */
static int reap(struct keeper *keeper)
{
	int status;

	while (waitpid(keeper->server, &status, 0) < 0) {
		if (errno != EINTR) {
			log_fail("server: wait for its end: %s", strerror(errno));
			return EXIT_CANNOT_SERVE;
		}
	}
	if (WIFEXITED(status))
		return WEXITSTATUS(status) <= EXIT_UNSAFE ? WEXITSTATUS(status) : EXIT_CANNOT_SERVE;
	log_fail("server %d: serve %s: killed by signal %d (%s)", (int)keeper->server,
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

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)keeper->server); /* fits */
	if (procfs_read_value(path, "State", state, sizeof(state)) < 0 || state[0] != 'Z')
		return false;
	return waitid(P_PID, (id_t)keeper->server, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
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
			 (int)keeper->server);
}

/* Keeps the mount until the server has ended. Returns the exit code. */
static int keep(struct keeper *keeper)
{
	unsigned stuck = 0;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = keeper->server_fd, .events = POLLIN },
			{ .fd = keeper->link_fd, .events = POLLIN },
			{ .fd = keeper->signal_fd, .events = POLLIN },
		};

		if (poll(fds, ARRAY_SIZE(fds), LOOK_MS) < 0 && errno != EINTR) {
			log_fail("keeper: wait: %s", strerror(errno));
			return EXIT_CANNOT_SERVE;
		}
		/* before the server's end, as it may have been ready for a moment */
		if (fds[1].revents)
			hear_server(keeper);
		if (fds[2].revents)
			hear_signal(keeper);
		if (fds[0].revents)
			return reap(keeper);
		stuck = server_is_stuck(keeper) ? stuck + 1 : 0;
		if (keeper->abort_fd >= 0 && stuck >= STUCK_LOOKS)
			abort_connection(keeper);
	}
}

/* Runs the server, in the child. */
__attribute__((noreturn)) static void be_server(struct keeper *keeper, int fd, pid_t keeper_pid)
{
	const struct keeper_config *config = keeper->config;
	struct keeper_link link = {
		.fd = fd,
		.keeper = keeper_pid,
		.daemon = !config->foreground,
		.log = config->log,
	};

	close_fd(&keeper->link_fd);
	close_fd(&keeper->signal_fd);
	close_fd(&keeper->launcher_fd); /* or the launcher wouldn't see the keeper die */
	exit(config->serve(config->arg, &link));
}

static int start_server(struct keeper *keeper)
{
	pid_t self = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	keeper->link_fd = fds[0];
	(void)fflush(NULL); /* or both would write what is buffered */
	keeper->server = fork();
	if (keeper->server == 0)
		be_server(keeper, fds[1], self);
	close_fd(&fds[1]);
	if (keeper->server < 0)
		return -errno;
	if (keeper->config->let_go)
		keeper->config->let_go(keeper->config->arg);
	keeper->server_fd = pidfd_open(keeper->server, 0);
	return keeper->server_fd < 0 ? -errno : 0;
}

/* Makes the keeper safe itself: it must be able to act when memory is short. */
static int settle(const struct keeper *keeper)
{
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
	r = privdrop_keeper();
	if (r < 0) {
		log_fail("keeper: drop capabilities: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

/* The whole life of the keeper. Returns the exit code. */
static int be_keeper(struct keeper *keeper, const sigset_t *signals)
{
	char word = KEEPER_LINK_STOP;
	int code, r;

	keeper->signal_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	r = keeper->signal_fd < 0 ? -errno : start_server(keeper);
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
		(void)send(keeper->link_fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		(void)keep(keeper);
	} else {
		code = keep(keeper);
	}
out:
	/* if it failed and is severed, the connection was aborted, and the mount is still there */
	if (code != EXIT_FINE || !own_mount_is_severed(&keeper->mount))
		(void)own_mount_unmount(&keeper->mount); /* logs errors */
	log_stop(); /* while the launcher still has its terminal */
	launcher_tell(&keeper->launcher_fd, code);
	close_fd(&keeper->link_fd);
	close_fd(&keeper->signal_fd);
	close_fd(&keeper->server_fd);
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
		.server_fd = -1,
		.link_fd = -1,
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
