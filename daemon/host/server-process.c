/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/server-process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/exit-code.h"
#include "base/fd-marks.h"
#include "base/log.h"
#include "caisson/reclaim.h"
#include "host/control.h"
#include "host/duties.h"
#include "host/link.h"
#include "host/options.h"
#include "host/orphan.h"
#include "host/self-audit.h"
#include "host/server-status.h"
#include "host/status.h"
#include "host/upgrade.h"
#include "serve/server.h"
#include "store/creds.h"
#include "store/privdrop.h"
#include "store/store.h"

/* Bytes of heap that are reserved for allocations after the server has dropped capabilities. */
#define HEAP_SPARE (512 << 10)

/* How often, and for how long each time, to wait for the rings of a dead server to go. */
#define SETTLE_LOOKS 100
#define SETTLE_MS    2

enum watch { WATCH_ENDED, WATCH_KEEPER, WATCH_KEEPER_END, WATCH_LEASES, WATCHES };

struct process {
	const struct server_process *given;
	const struct keeper_link *link;
	struct server server;
	struct control control;
	struct self_audit audit;
	struct duties duties;
	struct control_loop loop;
	uint64_t started_us;	     /* clock_us() */
	pid_t spare;		     /* or 0 */
	uint32_t upgrades, outcome;  /* as in KEEPER_LINK_UPGRADE */
	struct keeper_message death; /* of the server that this one takes over from */
	struct fd_marks marks;	     /* for that */
	bool sealed, too_late;
	bool keeper_gone;
	bool stopping;
};

/* The answer to "terms". */
static int tell_terms(void *arg, char *text, size_t len)
{
	const struct process *self = arg;
	struct orphan orphan = {
		.session_fd = self->given->session_fd,
		.root_fd = self->given->store->root_fd,
		.read_fd = self->given->store->read_fd,
		.lock_fd = self->given->lock_fd,
		.arena_fd = self->server.handover ? self->server.arena.memfd : -1,
	};

	if (!self->keeper_gone)
		return snprintf(text, len, "error: its keeper lives\n");
	(void)snprintf(orphan.sizes, sizeof(orphan.sizes), "%s", self->given->sizes); /* fits */
	return orphan_render(&orphan, text, len);
}

static void fill_status(void *arg, struct status *status)
{
	const struct process *self = arg;
	const struct self_audit *audit = &self->audit;

	server_fill_status(&self->server, self->given->options, status);
	status->version = self->given->version;
	status->keeper_pid = (uint64_t)self->link->keeper;
	status->keeper_alive = !self->keeper_gone;
	status->uptime_s = (clock_us() - self->started_us) / 1000000;
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
	status->oldest_request_s = self->duties.oldest.age_s;
	status->log_dropped = log_dropped();
	status_fill_process(status);
	status_judge(status);
}

static void stop(struct process *self)
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
static _Noreturn void die(const struct process *self, int error)
{
	log_fail("%s: serve: %s", self->given->options->mountpoint, strerror(-error));
	/* after -EBADMSG a request is left that nobody can answer: aborting ends it */
	end(self->server.handover && error != -EBADMSG ? KEEPER_TAKE_OVER : EXIT_CANNOT_SERVE);
}

static void tick(void *arg)
{
	struct process *self = arg;

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
	struct process *self = arg;
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
				 self->given->options->mountpoint);
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

static int lock_memory(const struct process *self)
{
	int r;

	if (!self->given->options->require_mlock)
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

static int audit(struct process *self)
{
	int r;

	self->audit = (struct self_audit){
		.mountpoint = self->given->options->mountpoint,
		.keeper = self->link->keeper,
		.require_io_flusher = self->given->options->require_io_flusher,
		.require_mlock = self->given->options->require_mlock,
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

static void tell_ready(struct process *self)
{
	const struct options *options = self->given->options;
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

static void tell_taken_over(const struct process *self)
{
	const struct handover *handover = self->server.handover;

	log_info("%s: take over from %s: done after %llu ms; since the mount "
		 "%llu requests were done again, %llu answered again, %llu refused",
		 self->given->options->mountpoint,
		 self->link->is_successor ? "another keeper's server" : "a server that has died",
		 (unsigned long long)(handover->pause_us / 1000),
		 (unsigned long long)handover->redone, (unsigned long long)handover->resent,
		 (unsigned long long)handover->refused);
}

/* Marks the descriptors of this process and of the keeper, for server_seal(). */
static void mark_fds(const struct process *self, struct fd_marks *marks)
{
	int log[LOG_FDS];

	for (size_t i = 0; i < KEEPER_FDS; i++)
		fd_marks_add(marks, self->link->fds[i]);
	log_fds(log);
	for (size_t i = 0; i < LOG_FDS; i++)
		fd_marks_add(marks, log[i]);
	fd_marks_add(marks, self->given->lock_fd);
	fd_marks_add(marks, self->control.listen_fd);
	fd_marks_add(marks, self->control.timer_fd);
	creds_mark_fds(marks);
}

static void tell_swept(void *arg)
{
	const struct process *self = arg;

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
static int take_over(struct process *self)
{
	const struct server_estate estate = {
		.marks = &self->marks,
		.died_us = self->death.died_us,
		.wait_ms = (int)(self->given->options->recovery_timeout_ns / 1000000),
		.failed = self->death.failed,
		.swept = tell_swept,
		.arg = self,
	};
	int r;

	mark_fds(self, &self->marks);
	r = server_seal(&self->server, &estate);
	fd_marks_destroy(&self->marks);
	/* only now, as it maps the rings of the dead server, which is locked memory */
	return r < 0 ? r : drop_capabilities();
}

/* Does the phases 9 to 12. */
static int serve_with_server(struct process *self)
{
	const struct options *options = self->given->options;
	const struct keeper_link *link = self->link;
	int code, r;

	r = server_open(&self->server, &self->given->options->serve, self->given->store,
			self->given->session_fd, link->arena_fd);
	if (r == -EBADMSG && link->is_successor)
		return UPGRADE_EXIT_LAYOUT;
	if (r < 0 || (!link->is_heir && drop_capabilities() < 0))
		return EXIT_CANNOT_SERVE;
	if (oldest_create(&self->duties.oldest, &self->server) < 0) {
		log_fail("%s: start: %s", options->mountpoint, strerror(ENOMEM));
		return EXIT_CANNOT_SERVE;
	}
	code = audit(self);
	if (code)
		return code;
	r = link->is_heir ? fd_marks_init(&self->marks) : 0;
	if (r < 0) {
		log_fail("descriptors: list: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
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
		log_warn("keeper: report that %s is ready: %s", self->given->options->mountpoint,
			 strerror(-r));

	for (int i = 0; i < SETTLE_LOOKS && !server_settle(&self->server, SETTLE_MS); i++)
		; /* if it takes longer, the duties go on with it */

	self->duties = (struct duties){
		.oldest = self->duties.oldest,
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
		log_fail("%s: serve: %s", self->given->options->mountpoint, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	return 0;
}

int server_process_run(const struct server_process *given, const struct keeper_link *link)
{
	/* static, as it is large; there is one in a process */
	static struct process process = { .control = { .listen_fd = -1, .timer_fd = -1 } };
	struct process *self = &process;
	const struct options *options = given->options;
	const struct privdrop_plan plan = {
		.sys_admin = options->trusted_xattr ||
			     options->serve.passthrough != PASSTHROUGH_OFF,
	};
	int code, r;

	self->given = given;
	self->link = link;
	r = link->is_heir ? privdrop_heir() : 0;
	if (r < 0) {
		log_fail("server: take back capabilities: %s", strerror(-r));
		return KEEPER_TAKE_OVER;
	}
	self->started_us = clock_us();

	/* 6 */
	code = lock_memory(self);
	if (code)
		return link->is_heir ? KEEPER_TAKE_OVER : code;

	/* 7 */
	r = control_open(&self->control, self->given->major, self->given->minor,
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
	store_close(self->given->store);
	server_close(&self->server);
	oldest_destroy(&self->duties.oldest);
	control_close(&self->control);
	creds_destroy();
	log_stop();
	return code;
}
