/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caissond: serves a directory as a backing store. The start-up phases in their order, which
 * matters: what each may still allocate, and which tasks inherit what it sets.
 *
 * In main(), one process, one thread:
 *   1. mark			every later task inherits it (S1); close what the caller left open
 *   2. command line
 *   3. paths, limits, backing directory
 *   4. mount			from here on, whatever fails unmounts again
 *   5. keeper			forks the server and waits for it
 *
 * In serve(), the server process:
 *   6. lock memory		all that comes after is locked as it is mapped (S3)
 *   7. control socket		while there are rights to make it
 *   8. drop capabilities
 *   9. arena, tables, threads, rings (server.c)
 *  10. audit			of every task, io-wq workers too (S1)
 *  11. seal			answer INIT: the mount is live, the data path allocates nothing (S4)
 *  12. serve until unmounted
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
#include "base/log.h"
#include "base/mountinfo.h"
#include "caisson/reclaim.h"
#include "host/backing-lock.h"
#include "host/control.h"
#include "host/duties.h"
#include "host/fuse-mount.h"
#include "host/keeper.h"
#include "host/options.h"
#include "host/preflight.h"
#include "host/remount.h"
#include "host/self-audit.h"
#include "host/server-status.h"
#include "host/status.h"
#include "reclaim/oom.h"
#include "serve/server.h"
#include "store/creds.h"
#include "store/privdrop.h"
#include "store/store.h"

/* Bytes of heap for what is allocated after the server has dropped its capabilities. */
#define HEAP_SPARE (512 << 10)

enum watch { WATCH_ENDED, WATCH_KEEPER, WATCH_LEASES, WATCHES };

struct caissond {
	struct options options;
	struct store store;
	struct backing_lock lock; /* as long as the keeper or the server lives */
	struct fuse_session *fuse;
	struct mountinfo mount;
	struct caisson_scope flusher;

	/* the server process */
	const struct keeper_link *link;
	struct server server;
	struct control control;
	struct self_audit audit;
	struct duties duties;
	struct control_loop loop;
	struct timespec started;
	bool keeper_gone;
	bool stopping;
};

static uint64_t seconds_since(const struct timespec *then)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* can't fail for this clock */
	return (uint64_t)(now.tv_sec - then->tv_sec);
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
	status->io_flusher = audit->io_flusher;
	status->mlock = audit->mlock;
	status->tasks = audit->tasks;
	status->tasks_unmarked = audit->tasks_unmarked;
	status->alarms = audit->alarms;
	status->log_dropped = log_dropped();
	status_fill_process(status);
	status_judge(status);
}

static void tick(void *arg)
{
	struct caissond *self = arg;

	duties_tick(&self->duties);
}

static void stop(struct caissond *self)
{
	if (!self->stopping)
		server_stop(&self->server);
	self->stopping = true;
}

/*
 * What a queue that can't go on had under way is answered by nobody, and others may wait for it, at
 * a gate or for a page: so this is a crash, and the keeper sees to the clients.
 */
static _Noreturn void die(const struct caissond *self, int error)
{
	log_fail("%s: serve: %s", self->options.mountpoint, strerror(-error));
	log_stop();
	_exit(EXIT_CANNOT_SERVE);
}

/*
 * A queue thread has ended, the keeper has something to say, or leases are to be looked at again.
 */
static bool watch_ready(void *arg, uint32_t i)
{
	struct caissond *self = arg;
	int fault;

	if (i == WATCH_LEASES) {
		worker_retry(&self->server.workers);
		return true;
	}
	if (i == WATCH_KEEPER) {
		switch (keeper_listen(self->link)) {
		case KEEPER_NOTHING:
			break;
		case KEEPER_STOP:
			stop(self);
			break;
		case KEEPER_GONE:
			/* S8: whoever killed it, the stack above goes on; umount(8) ends us */
			log_warn("%s: keep serving without the keeper: it has died",
				 self->options.mountpoint);
			self->keeper_gone = true;
			self->loop.watch_fd[WATCH_KEEPER] = -1;
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
 * Without CAP_SYS_RESOURCE, RLIMIT_MEMLOCK is what it is, and what is locked exceeds it once
 * CAP_IPC_LOCK has gone: from then on the heap can't grow. So it has room for what is still to
 * come.
 */
static void reserve_heap(void)
{
	void *volatile spare; /* not to be optimised away */

	(void)mallopt(M_MMAP_THRESHOLD, 2 * HEAP_SPARE); /* hints */
	(void)mallopt(M_TRIM_THRESHOLD, 2 * HEAP_SPARE);
	spare = malloc(HEAP_SPARE);
	free(spare);
}

static int lock_memory(const struct caissond *self)
{
	int r;

	if (!self->options.require_mlock)
		return 0; /* where little may be locked, locking would make later mappings fail */
	/* one heap for all threads: more would be mapped, and locked, 64 MiB at a time */
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

/* Nothing where there are none: by /dev/fuse. */
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

/* Phases 9 to 12; the control socket is open. */
static int serve_with_server(struct caissond *self)
{
	const struct options *options = &self->options;
	int code, r;

	r = server_open(&self->server, &self->options.serve, &self->store,
			fuse_session_fd(self->fuse));
	if (r < 0)
		return EXIT_CANNOT_SERVE;
	r = privdrop_thread();
	if (r < 0) {
		log_fail("main thread: drop capabilities: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	code = audit(self);
	if (code)
		return code;
	r = server_seal(&self->server);
	if (r < 0)
		return EXIT_CANNOT_SERVE;
	tell_ready(self);
	r = keeper_ready(self->link);
	if (r < 0)
		log_warn("keeper: tell that %s is ready: %s", self->options.mountpoint,
			 strerror(-r));

	self->duties = (struct duties){
		.server = &self->server,
		.audit = &self->audit,
		.mountpoint = options->mountpoint,
	};
	self->loop = (struct control_loop){
		.fill = fill_status,
		.tick = tick,
		.ready = watch_ready,
		.arg = self,
		.watch_fd = { [WATCH_ENDED] = self->server.ended_fd,
			      [WATCH_KEEPER] = self->link->fd,
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

/* The server process. */
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
	(void)clock_gettime(CLOCK_MONOTONIC, &self->started); /* can't fail for this clock */

	/* 6 */
	code = lock_memory(self);
	if (code)
		return code;

	/* 7 */
	r = control_open(&self->control, self->mount.major, self->mount.minor);
	if (r < 0)
		log_warn("control socket %s: make: %s", self->control.address.sun_path,
			 strerror(-r));

	/* 8 */
	r = privdrop_process(&plan);
	if (r == 0)
		r = creds_init();
	if (r == 0) /* what fails before it is ready, the launcher's terminal is told */
		r = log_start(LOG_TARGET_STDERR, privdrop_thread);
	if (r < 0) {
		log_fail("server: drop capabilities and start the log: %s", strerror(-r));
		code = EXIT_CANNOT_SERVE;
	} else {
		if (creds_act_for_callers() && !creds_see_callers())
			log_warn(
				"/proc: hides callers' groups and capabilities (hidepid): what the "
				"kernel has checked has to do");
		else if (creds_act_for_callers() && !creds_tell_namespaces())
			log_warn("callers: tell their user namespaces: CAP_SYS_PTRACE is missing: "
				 "root's capabilities count over files only");
		code = serve_with_server(self);
	}

	/* BACKING first, before all that takes longer: it may be about to be unmounted */
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
		log_fail("%s: find it among the mounts: %s", mountpoint, strerror(-r));
		fuse_session_unmount(self->fuse);
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

/* The keeper keeps nothing of BACKING open: that is unmounted as soon as the server has let go. */
static void let_go(void *arg)
{
	struct caissond *self = arg;

	store_close(&self->store);
}

/* Phase 5. */
static int keep(struct caissond *self)
{
	char status[2 * PATH_MAX];
	struct keeper_config config = {
		.mountpoint = self->options.mountpoint,
		.status = status,
		.foreground = self->options.foreground,
		.require_mlock = self->options.require_mlock,
		.log = self->options.log,
		.serve = serve,
		.let_go = let_go,
		.arg = self,
	};

	(void)snprintf(status, sizeof(status), "serving %s at %s", self->options.backing,
		       self->options.mountpoint);
	return keeper_run(&config, self->fuse);
}

/*
 * What the caller has left open may lie on the stack above, or keep another mount busy (S8): all
 * but standard input, output and error is closed. Those three have to be open, or the next files
 * to be opened would be taken for them.
 */
static int close_inherited(void)
{
	int r = close_range(STDERR_FILENO + 1, ~0u, 0) < 0 ? -errno : 0;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && !r; fd++) {
		/* the lowest number that is free is this one */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			r = -errno;
	}
	if (r < 0)
		log_fail("inherited descriptors: close: %s", strerror(-r));
	return r;
}

static int run(struct caissond *self, int argc, char **argv, int marked)
{
	int code, r;

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
	/* who goes to the background says nothing when all is well, nor does mount(8) warn */
	if (!self->options.foreground && self->options.log == LOG_TARGET_SYSLOG)
		log_split(self->options.helper ? LOG_LEVEL_FAIL : LOG_LEVEL_WARN);

	/* 3 */
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
	if (!self->options.require_io_flusher && marked == 0)
		/*
		 * asked to go unmarked: for plain files, and as the control in tests; the audit
		 * tells
		 */
		(void)caisson_flusher_leave(&self->flusher);
	(void)oom_protect(); /* what came of it is in `caisson status` */

	/* 4 */
	code = mount_it(self);
	if (code)
		return code;

	/* 5 */
	return keep(self);
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
