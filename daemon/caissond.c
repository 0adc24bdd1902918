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
 * In serve(), in the server process:
 *   6. lock memory		later mappings are locked as they are made (S3)
 *   7. open the control socket	this needs capabilities
 *   8. drop capabilities
 *   9. create the arena, tables, threads and rings (server.c)
 *  10. audit			check the mark of every task, io-wq workers included (S1)
 *  11. seal			answer INIT, or take over from a server that has died (takeover.h);
 *				from now on the data path allocates nothing (S4)
 *  12. serve until the mount is gone
 *
 * A successor (upgrade.h) takes over what the phases 3 and 4 have made, and goes on with phase 5.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/fd-marks.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "caisson/reclaim.h"
#include "host/backing-lock.h"
#include "host/control.h"
#include "host/duties.h"
#include "host/fuse-mount.h"
#include "host/keeper.h"
#include "host/options.h"
#include "host/orphan.h"
#include "host/preflight.h"
#include "host/remount.h"
#include "host/self-audit.h"
#include "host/server-status.h"
#include "host/status.h"
#include "host/succession.h"
#include "host/upgrade.h"
#include "reclaim/oom.h"
#include "serve/server.h"
#include "store/creds.h"
#include "store/privdrop.h"
#include "store/store.h"

/* Bytes of heap that are reserved for allocations after the server has dropped capabilities. */
#define HEAP_SPARE (512 << 10)

/* How often, and for how long each time, to wait for the rings of a dead server to go. */
#define SETTLE_LOOKS 100
#define SETTLE_MS    2

/* Descriptors that a successor and its server use before it takes over, as in options-check.c. */
#define SUCCESSOR_FDS(queues) (128 + 4 * (queues))

enum watch { WATCH_ENDED, WATCH_KEEPER, WATCH_KEEPER_END, WATCH_LEASES, WATCHES };

struct caissond {
	struct options options;
	struct store store;
	struct backing_lock lock; /* held as long as the keeper or the server lives */
	struct fuse_session *fuse;
	struct mountinfo mount;
	struct caisson_scope flusher;

	/* the server process only */
	const struct keeper_link *link;
	struct server server;
	struct control control;
	struct self_audit audit;
	struct duties duties;
	struct control_loop loop;
	struct timespec started;
	pid_t spare;		     /* or 0 */
	uint32_t upgrades, outcome;  /* as in KEEPER_LINK_UPGRADE */
	struct keeper_message death; /* of the server that this one takes over from */
	bool sealed, too_late;
	bool keeper_gone;
	bool stopping;

	char sizes[256]; /* options that make a successor's tables like ours */
};

static uint64_t seconds_since(const struct timespec *then)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return (uint64_t)(now.tv_sec - then->tv_sec);
}

/* The answer to "terms". */
static int tell_terms(void *arg, char *text, size_t len)
{
	const struct caissond *self = arg;
	struct orphan orphan = {
		.session_fd = fuse_session_fd(self->fuse),
		.root_fd = self->store.root_fd,
		.read_fd = self->store.read_fd,
		.lock_fd = self->lock.fd,
		.arena_fd = self->server.handover ? self->server.arena.memfd : -1,
	};

	if (!self->keeper_gone)
		return snprintf(text, len, "error: its keeper lives\n");
	memcpy(orphan.sizes, self->sizes, sizeof(orphan.sizes));
	return orphan_render(&orphan, text, len);
}

static void fill_status(void *arg, struct status *status)
{
	const struct caissond *self = arg;
	const struct self_audit *audit = &self->audit;

	server_fill_status(&self->server, &self->options, status);
	status->version = CAISSON_VERSION;
	status->keeper_pid = (uint64_t)self->link->keeper;
	status->keeper_alive = !self->keeper_gone;
	status->uptime_s = seconds_since(&self->started);
	if (!self->server.handover)
		status->recovery = "off";
	else
		status->recovery = self->keeper_gone ? "no: the keeper has died"
				   : self->spare     ? "on"
						     : "on, without a spare";
	status->spare_pid = self->keeper_gone ? 0 : (uint64_t)self->spare;
	status->upgrades = self->upgrades;
	status->last_upgrade = upgrade_outcome_text(self->outcome);
	status->io_flusher = audit->io_flusher;
	status->mlock = audit->mlock;
	status->tasks = audit->tasks;
	status->tasks_unmarked = audit->tasks_unmarked;
	status->alarms = audit->alarms;
	status->log_dropped = log_dropped();
	status_fill_process(status);
	status_judge(status);
}

static void stop(struct caissond *self)
{
	if (!self->stopping)
		server_stop(&self->server);
	self->stopping = true;
}

static _Noreturn void end(int code)
{
	log_stop();
	_exit(code);
}

/*
 * Ends the process after a queue has failed. The requests of that queue are never answered, and
 * other requests may wait for them at a gate or for a page. So the server can't end in good order.
 * The keeper then starts an heir (takeover.h), or unmounts.
 */
static _Noreturn void die(const struct caissond *self, int error)
{
	log_fail("%s: serve: %s", self->options.mountpoint, strerror(-error));
	/* after -EBADMSG a request is left that nobody can answer: aborting ends it */
	end(self->server.handover && error != -EBADMSG ? KEEPER_TAKE_OVER : EXIT_CANNOT_SERVE);
}

static void tick(void *arg)
{
	struct caissond *self = arg;

	duties_tick(&self->duties);
	if (self->duties.hangs)
		end(KEEPER_TAKE_OVER);
}

/*
 * Handles a watched descriptor that is readable: a queue thread has ended, the keeper has sent
 * something, or it is time to retry requests that wait for leases. Returns false to end the loop.
 */
static bool watch_ready(void *arg, uint32_t i)
{
	struct caissond *self = arg;
	struct keeper_message message;
	int fault;

	if (i == WATCH_LEASES) {
		worker_retry(&self->server.workers);
		return true;
	}
	if (i == WATCH_KEEPER || i == WATCH_KEEPER_END) {
		switch (keeper_listen(self->link, &message)) {
		case KEEPER_NOTHING:
			break;
		case KEEPER_SPARE:
			self->spare = message.fd;
			break;
		case KEEPER_UPGRADE:
			self->upgrades = (uint32_t)message.fd;
			self->outcome = message.outcome;
			break;
		case KEEPER_STOP:
			stop(self);
			break;
		case KEEPER_GONE:
			/* the stack above needs us all the same (S8), until umount(8) ends us */
			log_warn("%s: keep serving without the keeper: it has died",
				 self->options.mountpoint);
			self->keeper_gone = true;
			self->loop.watch_fd[WATCH_KEEPER] = -1;
			self->loop.watch_fd[WATCH_KEEPER_END] = -1;
			break;
		}
		return true;
	}

	server_clear_ended(&self->server);
	fault = server_fault(&self->server);
	if (fault == -ECONNABORTED)
		stop(self);
	else if (fault)
		die(self, fault);
	return !server_has_ended(&self->server);
}

/*
 * Makes the heap large enough for all later allocations. After CAP_IPC_LOCK is dropped, locked
 * memory may exceed RLIMIT_MEMLOCK, which only CAP_SYS_RESOURCE can raise. Then the heap can't
 * grow any more.
 */
static void reserve_heap(void)
{
	void *volatile spare; /* volatile keeps the compiler from removing the allocation */

	(void)mallopt(M_MMAP_THRESHOLD, 2 * HEAP_SPARE); /* both are hints */
	(void)mallopt(M_TRIM_THRESHOLD, 2 * HEAP_SPARE);
	spare = malloc(HEAP_SPARE);
	free(spare);
}

static int lock_memory(const struct caissond *self)
{
	int r;

	if (!self->options.require_mlock)
		return 0; /* with a low limit, locked memory would make later mappings fail */
	/* all threads share one heap; each further heap would map and lock 64 MiB */
	(void)mallopt(M_ARENA_MAX, 1); /* a hint */
	reserve_heap();
	r = caisson_memory_lock(0);
	if (r == 0)
		return 0;
	log_fail("memory: lock: %s (raise RLIMIT_MEMLOCK, give CAP_IPC_LOCK, or mount with "
		 "mlock=off)",
		 strerror(-r));
	return EXIT_UNSAFE;
}

static int audit(struct caissond *self)
{
	int r;

	self->audit = (struct self_audit){
		.mountpoint = self->options.mountpoint,
		.keeper = self->link->keeper,
		.require_io_flusher = self->options.require_io_flusher,
		.require_mlock = self->options.require_mlock,
	};
	r = self_audit_start(&self->audit);
	if (r == -EPERM)
		return EXIT_UNSAFE;
	return r < 0 ? EXIT_CANNOT_SERVE : 0;
}

/* Describes the ring entries of FUSE-over-io_uring. TEXT is empty if the transport is /dev/fuse. */
static void describe_entries(const struct ring_layout *layout, char *text, size_t len)
{
	text[0] = '\0';
	if (layout->count && layout->absent)
		(void)snprintf(text, len,
			       ", %u ring entries a CPU, %u a CPU that is not online (%u)",
			       layout->per_cpu, RING_ENTRIES_MIN, layout->absent);
	else if (layout->count)
		(void)snprintf(text, len, ", %u ring entries a CPU", layout->per_cpu);
}

static void tell_ready(struct caissond *self)
{
	const struct options *options = &self->options;
	const struct plan *plan = &self->server.plan;
	char entries[128];

	if (!options->require_io_flusher)
		log_warn("%s: not safe to stack on: io_flusher=off", options->mountpoint);
	if (!options->require_mlock)
		log_warn("%s: not safe to stack on: mlock=off", options->mountpoint);
	describe_entries(&plan->layout, entries, sizeof(entries));
	log_info("serving %s at %s: %llu KiB of memory, %u queues of %u, %u metadata workers%s",
		 options->backing, options->mountpoint,
		 (unsigned long long)(server_memory_len(&self->server) / 1024), plan->queues,
		 plan->queue_depth, options->serve.workers, entries);
}

static void tell_taken_over(const struct caissond *self)
{
	const struct handover *handover = self->server.handover;

	log_info("%s: take over from %s: done after %llu ms; since the mount "
		 "%llu requests were done again, %llu answered again, %llu refused",
		 self->options.mountpoint,
		 self->link->is_successor ? "another keeper's server" : "a server that has died",
		 (unsigned long long)(handover->pause_us / 1000),
		 (unsigned long long)handover->redone, (unsigned long long)handover->resent,
		 (unsigned long long)handover->refused);
}

/* Marks the descriptors of this process and of the keeper, for server_seal(). */
static void mark_fds(const struct caissond *self, struct fd_marks *marks)
{
	int log[LOG_FDS];

	for (size_t i = 0; i < KEEPER_FDS; i++)
		fd_marks_add(marks, self->link->fds[i]);
	log_fds(log);
	for (size_t i = 0; i < LOG_FDS; i++)
		fd_marks_add(marks, log[i]);
	fd_marks_add(marks, self->lock.fd);
	fd_marks_add(marks, self->control.listen_fd);
	fd_marks_add(marks, self->control.timer_fd);
	creds_mark_fds(marks);
}

static void tell_swept(void *arg)
{
	const struct caissond *self = arg;

	keeper_swept(self->link);
}

static int drop_capabilities(void)
{
	int r = privdrop_thread();

	if (r < 0)
		log_fail("main thread: drop capabilities: %s", strerror(-r));
	/* see keeper.c; a change of capabilities clears it */
	if (r == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
	return r;
}

/* Takes over from the server that has died. Returns 0 or -errno, logged. */
static int take_over(struct caissond *self)
{
	struct fd_marks marks = { 0 };
	const struct server_estate estate = {
		.marks = &marks,
		.died_us = self->death.died_us,
		.wait_ms = (int)(self->options.recovery_timeout_ns / 1000000),
		.failed = self->death.failed,
		.swept = tell_swept,
		.arg = self,
	};
	int r = fd_marks_init(&marks);

	if (r < 0) {
		log_fail("descriptors: list: %s", strerror(-r));
		return r;
	}
	mark_fds(self, &marks);
	r = server_seal(&self->server, &estate);
	fd_marks_destroy(&marks);
	/* only now, as it maps the rings of the dead server, which is locked memory */
	return r < 0 ? r : drop_capabilities();
}

/* Does the phases 9 to 12. */
static int serve_with_server(struct caissond *self)
{
	const struct options *options = &self->options;
	const struct keeper_link *link = self->link;
	int code, r;

	r = server_open(&self->server, &self->options.serve, &self->store,
			fuse_session_fd(self->fuse), link->arena_fd);
	if (r == -EBADMSG && link->is_successor)
		return UPGRADE_EXIT_LAYOUT;
	if (r < 0 || (!link->is_heir && drop_capabilities() < 0))
		return EXIT_CANNOT_SERVE;
	code = audit(self);
	if (code)
		return code;
	if (link->is_heir && !keeper_wait_for_death(link, &self->death))
		return EXIT_CANNOT_SERVE;
	if (link->is_successor && self->death.fd >= 0)
		(void)upgrade_send(self->death.fd,
				   &(struct upgrade_message){ .word = UPGRADE_TAKEN });
	r = link->is_heir ? take_over(self) : server_seal(&self->server, NULL);
	self->too_late = r == -ETIMEDOUT;
	if (r < 0)
		return EXIT_CANNOT_SERVE;
	self->sealed = true;
	if (link->is_heir && control_publish(&self->control) < 0)
		log_warn("control socket %s: replace", self->control.address.sun_path);
	if (link->is_heir)
		tell_taken_over(self);
	else
		tell_ready(self);
	r = keeper_ready(self->link, self->server.handover ? self->server.arena.memfd : -1);
	if (r < 0)
		log_warn("keeper: report that %s is ready: %s", self->options.mountpoint,
			 strerror(-r));

	for (int i = 0; i < SETTLE_LOOKS && !server_settle(&self->server, SETTLE_MS); i++)
		; /* if it takes longer, the duties go on with it */

	self->duties = (struct duties){
		.hang.limit = (uint32_t)((options->hang_timeout_ns + 999999999) / 1000000000),
		.server = &self->server,
		.logged = duties_count(&self->server),
		.audit = &self->audit,
		.mountpoint = options->mountpoint,
	};
	self->loop = (struct control_loop){
		.fill = fill_status,
		.terms = tell_terms,
		.tick = tick,
		.ready = watch_ready,
		.arg = self,
		.watch_fd = { [WATCH_ENDED] = self->server.ended_fd,
			      [WATCH_KEEPER] = self->link->fd,
			      [WATCH_KEEPER_END] = self->link->keeper_fd,
			      [WATCH_LEASES] = self->server.workers.leases.timer_fd },
		.watch_count = WATCHES,
	};
	r = control_run(&self->control, &self->loop);
	if (r < 0) {
		log_fail("control loop: wait: %s", strerror(-r));
		stop(self);
		return EXIT_CANNOT_SERVE;
	}
	r = server_fault(&self->server);
	if (r < 0) {
		log_fail("%s: serve: %s", self->options.mountpoint, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

/* The main function of the server process. */
static int serve(void *arg, const struct keeper_link *link)
{
	struct caissond *self = arg;
	const struct options *options = &self->options;
	const struct privdrop_plan plan = {
		.sys_admin = options->trusted_xattr ||
			     options->serve.passthrough != PASSTHROUGH_OFF,
	};
	int code, r;

	self->link = link;
	r = link->is_heir ? privdrop_heir() : 0;
	if (r < 0) {
		log_fail("server: take back capabilities: %s", strerror(-r));
		return KEEPER_TAKE_OVER;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &self->started); /* can't fail for this clock */

	/* 6 */
	code = lock_memory(self);
	if (code)
		return link->is_heir ? KEEPER_TAKE_OVER : code;

	/* 7 */
	r = control_open(&self->control, self->mount.major, self->mount.minor,
			 link->is_successor ? CONTROL_UPGRADE : CONTROL_NEXT);
	if (r == 0 && !link->is_heir)
		r = control_publish(&self->control);
	if (r < 0)
		log_warn("control socket %s: make: %s", self->control.address.sun_path,
			 strerror(-r));

	/* 8 */
	r = privdrop_process(&plan);
	if (r == 0)
		r = creds_init();
	if (r == 0) /* to the launcher's terminal until the mount is ready */
		r = log_start(link->is_heir ? link->log : LOG_TARGET_STDERR, privdrop_thread);
	if (r < 0) {
		log_fail("server: drop capabilities and start the log: %s", strerror(-r));
		code = EXIT_CANNOT_SERVE;
	} else {
		if (creds_act_for_callers() && !creds_see_callers())
			log_warn("/proc: read callers' groups and capabilities: it is mounted with "
				 "hidepid, so only the kernel's own checks apply");
		else if (creds_act_for_callers() && !creds_tell_namespaces())
			log_warn("callers: read their user namespaces: CAP_SYS_PTRACE is missing, "
				 "so root's capabilities count over files only");
		code = serve_with_server(self);
	}

	if (code && !self->sealed && link->is_heir) {
		/* what it was to take over stays as it is, for another one */
		end(self->too_late || code == UPGRADE_EXIT_LAYOUT ? code : KEEPER_TAKE_OVER);
	}

	/* close BACKING first, because somebody may be waiting to unmount it */
	server_join(&self->server);
	store_close(&self->store);
	server_close(&self->server);
	control_close(&self->control);
	creds_destroy();
	log_stop();
	return code;
}

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

/* The program that is executed for an upgrade: ours, or what replaces it. To be freed, or NULL. */
static char *find_program(void)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (len < 0)
		return NULL;
	path[len] = '\0';
	return strdup(path);
}

/* Notes the options that decide what is in the tables, as they are in force. */
static void note_sizes(struct caissond *self)
{
	const struct serve_config *config = &self->options.serve;

	(void)snprintf(self->sizes, sizeof(self->sizes),
		       "queues=%u,queue_depth=%u,workers=%u,inodes=%u,files=%u,max_write=%u,"
		       "extent_size_hint=%u,cache=%s,passthrough=%s",
		       config->queues, config->queue_depth, config->workers, config->inodes,
		       config->files, config->max_write, config->extent_size_hint,
		       options_cache_name(config->cache),
		       options_passthrough_name(config->passthrough));
}

/*
 * The arguments of a successor: ours, with the paths BACKING and MOUNTPOINT, and with the sizes of
 * note_sizes(). argv[1] is left free. The array is to be freed; what it has lives as long as SELF
 * and the paths do. Returns NULL if memory is missing.
 */
static char **make_successor_argv(struct caissond *self, int argc, char **argv, char *backing,
				  char *mountpoint)
{
	static char dash_o[] = "-o"; /* argv isn't const */
	char **result = calloc((size_t)argc + 4, sizeof(*result));
	bool has_sizes = false;
	int at = 0;

	if (!result)
		return NULL;
	result[at++] = argv[0];
	at++;
	for (int i = 1; i <= argc; i++) {
		/* the last word counts, but nothing is an option after "--" */
		if (!has_sizes && (i == argc || strcmp(argv[i], "--") == 0)) {
			result[at++] = dash_o;
			result[at++] = self->sizes;
			has_sizes = true;
		}
		if (i == argc)
			break;
		if (argv[i] == self->options.backing_word)
			result[at++] = backing;
		else if (argv[i] == self->options.mountpoint_word)
			result[at++] = mountpoint;
		else
			result[at++] = argv[i];
	}
	return result;
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
	autofree char **successor_argv = NULL, *program = find_program();
	struct keeper_config config = keeper_config(self);
	char status[2 * PATH_MAX];

	note_sizes(self);
	successor_argv = make_successor_argv(self, argc, argv, self->options.backing,
					     self->options.mountpoint);
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

/* As options_parse(), without the first argument, which is none of the user's. */
static int parse_successor_argv(struct options *options, int argc, char **argv)
{
	autofree char **arguments = calloc((size_t)argc, sizeof(*arguments));

	if (!arguments)
		return -ENOMEM;
	arguments[0] = argv[0];
	memcpy(arguments + 1, argv + 2, ((size_t)argc - 2) * sizeof(*argv));
	return options_parse(options, argc - 1, arguments);
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
	r = parse_successor_argv(&self->options, argc, argv);
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
	note_sizes(self);
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
	autofree char *backing = NULL, *mountpoint = NULL, *program = find_program();
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
	successor_argv = make_successor_argv(self, argc, argv, backing, mountpoint);
	options_destroy(options);
	if (!successor_argv || parse_successor_argv(options, argc + 3, successor_argv) < 0 ||
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
		.control = { .listen_fd = -1, .timer_fd = -1 },
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
