/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caissond serves a directory as a backing store. It starts in the phases below. Their order
 * matters, because tasks inherit settings from earlier phases, and because later phases may no
 * longer allocate or have capabilities.
 *
 * In main(), with one process and one thread:
 *   1. set the mark		every later task inherits it (S1); close inherited descriptors
 *   2. read the command line
 *   3. check paths and limits, open the backing directory
 *   4. mount			after this, every error unmounts again
 *   5. become the keeper	start the server and wait for it
 *
 * The server process does the phases 6 to 12 (server-process.h).
 *
 * A successor (upgrade.h) takes over what the phases 3 and 4 have made, and goes on with phase 5.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "caisson/reclaim.h"
#include "host/backing-lock.h"
#include "host/fuse-mount.h"
#include "host/keeper.h"
#include "host/options.h"
#include "host/orphan.h"
#include "host/preflight.h"
#include "host/remount.h"
#include "host/server-process.h"
#include "host/succession.h"
#include "host/successor-argv.h"
#include "host/upgrade.h"
#include "reclaim/oom.h"
#include "store/store.h"

/* Descriptors that a successor and its server use before it takes over, as in options-check.c. */
#define SUCCESSOR_FDS(queues) (128 + 4 * (queues))

struct caissond {
	struct options options;
	struct store store;
	struct backing_lock lock; /* held as long as the keeper or the server lives */
	struct fuse_session *fuse;
	struct mountinfo mount;
	struct caisson_scope flusher;

	char sizes[SUCCESSOR_SIZES]; /* options that make a successor's tables like ours */
};

/* Phase 4. */
static int mount_it(struct caissond *self)
{
	const char *mountpoint = self->options.mountpoint;
	int code, r;

	code = fuse_mount_at(mountpoint, &self->options.mount_args, &self->fuse);
	if (code)
		return code;
	r = mountinfo_find(mountpoint, &self->mount);
	if (r < 0) {
		log_fail("%s: find in /proc/self/mountinfo: %s", mountpoint, strerror(-r));
		fuse_session_unmount(self->fuse);
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

/* The main function of the server process. */
static int serve(void *arg, const struct keeper_link *link)
{
	struct caissond *self = arg;
	const struct server_process given = {
		.version = CAISSON_VERSION,
		.options = &self->options,
		.store = &self->store,
		.lock_fd = self->lock.fd,
		.session_fd = fuse_session_fd(self->fuse),
		.major = self->mount.major,
		.minor = self->mount.minor,
		.sizes = self->sizes,
	};

	return server_process_run(&given, link);
}

static void describe_service(const struct caissond *self, char *text, size_t len)
{
	(void)snprintf(text, len, "serving %s at %s", self->options.backing,
		       self->options.mountpoint);
}

static struct keeper_config keeper_config(struct caissond *self)
{
	const struct options *options = &self->options;

	return (struct keeper_config){
		.version = CAISSON_VERSION,
		.mountpoint = options->mountpoint,
		.foreground = options->foreground,
		.require_mlock = options->require_mlock,
		.log = options->log,
		.recovery = options->serve.recovery,
		.spare = options->spare,
		.recoveries = options->recoveries,
		.recovery_timeout_ms = (uint32_t)(options->recovery_timeout_ns / 1000000),
		.serve = serve,
		.arg = self,
		.root_fd = self->store.root_fd,
		.read_fd = self->store.read_fd,
		.lock_fd = self->lock.fd,
	};
}

/* The process's own settings, for which `caisson status` has the result. */
static void protect(struct caissond *self, int marked)
{
	if (!self->options.require_io_flusher && marked == 0)
		/* io_flusher=off asks to serve unmarked; the audit shows the result */
		(void)caisson_flusher_leave(&self->flusher);
	(void)oom_protect();
}

/* Phase 5. */
static int keep(struct caissond *self, int argc, char **argv)
{
	autofree char **successor_argv = NULL, *program = successor_program();
	struct keeper_config config = keeper_config(self);
	char status[2 * PATH_MAX];

	successor_note_sizes(&self->options, self->sizes);
	successor_argv = successor_argv_make(
		&self->options, argc, argv,
		&(struct successor_words){ .backing = self->options.backing,
					   .mountpoint = self->options.mountpoint,
					   .sizes = self->sizes });
	describe_service(self, status, sizeof(status));
	config.status = status;
	config.program = successor_argv ? program : NULL;
	config.argv = successor_argv;
	return keeper_run(&config, self->fuse);
}

/* Makes CONFIG that of a successor, which has copied the descriptors of another server. */
static int fill_successor(struct caissond *self, int session_fd, struct keeper_config *config,
			  char *status, size_t len)
{
	int code = fuse_mount_adopt(session_fd, &self->options.mount_args, &self->fuse);

	*config = keeper_config(self);
	describe_service(self, status, len);
	config->status = status;
	return code;
}

/*
 * The successor's way to phase 5: nothing is looked for by name, as the old server serves. ARGV is
 * ours, with the link as the first argument.
 */
static int succeed(struct caissond *self, enum log_target log, int argc, char **argv)
{
	static struct succession succession; /* too large for the stack */
	const struct upgrade_terms *terms = &succession.terms;
	struct keeper_config config;
	char status[2 * PATH_MAX];
	int code, r;

	log_early(log);
	succession_init(&succession, atoi(strchr(argv[1], '=') + 1));
	r = successor_argv_parse(&self->options, argc, argv);
	if (r < 0 || self->options.done || self->options.remount) {
		succession_give_up(&succession, UPGRADE_REFUSED);
		return EXIT_USAGE;
	}
	log_early(LOG_TARGET_STDERR); /* its socket would have the number of a copy */
	r = succession_begin(&succession, SUCCESSOR_FDS(self->options.serve.queues));
	log_early(log);
	if (r < 0)
		log_fail("upgrade: copy what the old keeper has: %s", strerror(-r));
	if (r < 0 || options_fit_limits(&self->options) < 0)
		return EXIT_CANNOT_SERVE;
	store_adopt(&self->store, terms->root_fd, terms->read_fd);
	self->lock.fd = terms->lock_fd;
	self->mount.major = terms->mount_major;
	self->mount.minor = terms->mount_minor;
	code = fill_successor(self, terms->session_fd, &config, status, sizeof(status));
	if (code)
		return code;
	successor_note_sizes(&self->options, self->sizes);
	argv[1] = NULL; /* the next one's */
	config.program = terms->program;
	config.argv = argv;
	return keeper_succeed(&config, self->fuse, &succession);
}

/* Whether BACKING is what the orphan serves, whose descriptors we have. */
static bool is_same_backing(const struct caissond *self, const struct orphan *orphan)
{
	struct stat ours, theirs;

	if (stat(self->options.backing, &ours) == 0 && fstat(orphan->root_fd, &theirs) == 0 &&
	    ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
		return true;
	log_fail("%s: take over %s: its server serves another directory", self->options.backing,
		 self->options.mountpoint);
	return false;
}

/* The way to phase 5 of a keeper for ORPHAN, instead of the phases 3 and 4. */
static int adopt(struct caissond *self, int argc, char **argv, int marked,
		 const struct orphan *orphan)
{
	autofree char *backing = NULL, *mountpoint = NULL, *program = successor_program();
	autofree char **successor_argv = NULL;
	struct options *options = &self->options;
	static struct succession succession; /* too large for the stack */
	struct keeper_config config;
	char status[2 * PATH_MAX];
	int code, r;

	backing = realpath(options->backing, NULL);
	if (!backing || mountinfo_path(options->mountpoint, &mountpoint) < 0) {
		log_fail("%s: serve: %s", options->backing, strerror(errno));
		return EXIT_CANNOT_SERVE;
	}
	/* what the machine or the defaults decided then counts */
	(void)snprintf(self->sizes, sizeof(self->sizes), "%s", orphan->sizes);
	successor_argv = successor_argv_make(options, argc, argv,
					     &(struct successor_words){ .backing = backing,
									.mountpoint = mountpoint,
									.sizes = self->sizes });
	options_destroy(options);
	if (!successor_argv ||
	    successor_argv_parse(options, SUCCESSOR_ARGC(argc), successor_argv) < 0 ||
	    options_fit_limits(options) < 0)
		return EXIT_CANNOT_SERVE;
	code = preflight_check(options, marked);
	if (code)
		return code;
	protect(self, marked);
	succession_init(&succession, -1);
	r = succession_copy(&succession, orphan->pid, SUCCESSOR_FDS(options->serve.queues));
	if (r < 0)
		log_fail("%s: take over: copy the descriptors of server %d: %s", mountpoint,
			 (int)orphan->pid, strerror(-r));
	if (r < 0 || !is_same_backing(self, orphan))
		return EXIT_CANNOT_SERVE;
	store_adopt(&self->store, orphan->root_fd, orphan->read_fd);
	self->lock.fd = orphan->lock_fd;
	self->mount = orphan->mount;
	code = fill_successor(self, orphan->session_fd, &config, status, sizeof(status));
	if (code)
		return code;
	config.program = program;
	config.argv = successor_argv;
	return keeper_adopt(&config, self->fuse, &succession, orphan);
}

/*
 * Closes all inherited descriptors but standard input, output and error. The files may lie on the
 * stack above or keep another mount busy (S8). Opens /dev/null for any of the three that is closed,
 * because otherwise the next file that we open would take its place.
 */
static int close_inherited(void)
{
	int r = close_range(STDERR_FILENO + 1, ~0u, 0) < 0 ? -errno : 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && !r; fd++) {
		/* open() uses the lowest free number, which is this one */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			r = -errno;
	}
	if (r < 0)
		log_fail("inherited descriptors: close: %s", strerror(-r));
	return r;
}

static int run(struct caissond *self, int argc, char **argv, int marked)
{
	struct orphan orphan;
	int code, r;

	if (argc > 1 && strncmp(argv[1], UPGRADE_WORD, strlen(UPGRADE_WORD)) == 0)
		return succeed(self, LOG_TARGET_STDERR, argc, argv);
	if (argc > 1 && strncmp(argv[1], UPGRADE_WORD_SYSLOG, strlen(UPGRADE_WORD_SYSLOG)) == 0)
		return succeed(self, LOG_TARGET_SYSLOG, argc, argv);
	if (close_inherited() < 0)
		return EXIT_CANNOT_SERVE;

	/* 2 */
	r = options_parse(&self->options, argc, argv);
	if (r < 0)
		return EXIT_USAGE;
	if (self->options.done)
		return 0;
	if (self->options.remount)
		return remount_run(&self->options);
	/* a daemon is silent if all is well, and mount(8) doesn't show warnings either */
	if (!self->options.foreground && self->options.log == LOG_TARGET_SYSLOG)
		log_split(self->options.helper ? LOG_LEVEL_FAIL : LOG_LEVEL_WARN);

	/* 3 */
	if (orphan_find(self->options.mountpoint, &orphan) == 0)
		return adopt(self, argc, argv, marked, &orphan);
	r = options_check_paths(&self->options);
	if (r == 0)
		r = options_fit_limits(&self->options);
	if (r < 0)
		return EXIT_CANNOT_SERVE;
	code = preflight_check(&self->options, marked);
	if (!code)
		code = preflight_open_store(self->options.backing, &self->store, &self->lock);
	if (code)
		return code;
	protect(self, marked);

	/* 4 */
	code = mount_it(self);
	if (code)
		return code;

	/* 5 */
	return keep(self, argc, argv);
}

int main(int argc, char **argv)
{
	static struct caissond self = {
		.store = { .root_fd = -1, .read_fd = -1, .proc_fd = -1 },
		.lock = { .fd = -1 },
	};
	int code, marked;

	/* 1 */
	marked = caisson_flusher_enter(&self.flusher);

	code = run(&self, argc, argv, marked);
	if (self.fuse)
		fuse_session_destroy(self.fuse);
	store_close(&self.store);
	backing_lock_drop(&self.lock);
	options_destroy(&self.options);
	return code;
}
