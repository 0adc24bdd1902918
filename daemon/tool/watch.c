/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What it needs is there before it watches: memory (locked), threads, the process that runs the
 * command. The log never blocks it (log.h).
 */
#include "tool/watch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macro.h"
#include "base/printable.h"
#include "caisson/reclaim.h"
#include "reclaim/oom.h"
#include "stack/watcher.h"
#include "tool/arguments.h"
#include "tool/tell.h"
#include "tool/watch-alert.h"
#include "tool/watch-print.h"

#define STALL_DEFAULT_S 20
#define STALL_MAX_S	3600
#define LOOK_MS		1000
#define REPORTS_MAX	64
#define LOOKS_ENOUGH	3     /* at all tasks, after which nothing hangs if none finds anything */
#define ENOUGH_MS	60000 /* after the stall time, in which these must be possible */
#define DOCUMENT_SIZE	16384
#define HEAP_LEN	((size_t)1 << 20) /* for JSON documents */
#define STACK_LEN	((size_t)256 << 10)

enum { OPTION_STALL, OPTION_ONCE, OPTION_JSON, OPTION_EXEC, OPTION_SYSLOG, OPTION_COUNT };

static const struct option options[] = {
	[OPTION_STALL] = ARGUMENTS_VALUE("stall"),  [OPTION_ONCE] = ARGUMENTS_FLAG("once"),
	[OPTION_JSON] = ARGUMENTS_FLAG("json"),	    [OPTION_EXEC] = ARGUMENTS_VALUE("exec"),
	[OPTION_SYSLOG] = ARGUMENTS_FLAG("syslog"), [OPTION_COUNT] = { 0 },
};

/* A chain that was reported. It is reported again when it has lasted twice as long. */
struct report {
	uint64_t key;
	int64_t told_ms; /* how long it had lasted then */
	int64_t seen_ms; /* when it was last seen */
	uint32_t looks;	 /* in a row that have seen it */
	bool is_short;	 /* the last of these saw only what is held */
};

struct watch {
	struct watcher *watcher;
	int64_t stall_ms;
	struct alert alert, json;
	char document[DOCUMENT_SIZE];
	struct report reports[REPORTS_MAX];
	uint32_t count;
	int64_t looked_ms;    /* at all tasks */
	bool was_short;	      /* of memory, at that look */
	bool was_blind;	      /* none could be looked at closely then */
	bool was_unsure;      /* something was seen then to hang, in too few looks to be told */
	enum chain_end worst; /* of all reports: END_CYCLE, or END_KINDS if there was none */
	int signal_fd, mounts_fd, swaps_fd;
};

/* --- reports --- */

/* A process and a device may have the same number. */
static uint64_t key_of_node(const struct node *node)
{
	return mix_bits(node->number ^ (uint64_t)node->kind << 56);
}

/* What makes CHAIN the same as at an earlier look: its end, its last node, its last process. */
static uint64_t key_of(const struct chains *chains, const struct chain *chain)
{
	uint64_t node = 0, pid = 0;

	for (uint32_t i = 0; i < chain->count; i++) {
		const struct hop *hop = &chain->hops[i];

		if (hop->waiter)
			pid = (uint64_t)hop->waiter->pid;
		else
			node = key_of_node(&chains->stack->graph.nodes[hop->node]);
	}
	/* a cycle stays the same if another task of the server is found, or another client */
	if (chain->end != END_TASK)
		pid = 0;
	return mix_bits(mix_bits((uint64_t)chain->end ^ node) ^ pid);
}

/* The report of KEY, which is made if there is none; or NULL. */
static struct report *report_of(struct watch *watch, uint64_t key)
{
	for (uint32_t i = 0; i < watch->count; i++) {
		if (watch->reports[i].key == key)
			return &watch->reports[i];
	}
	if (watch->count == REPORTS_MAX)
		return NULL;
	watch->reports[watch->count] = (struct report){ .key = key };
	return &watch->reports[watch->count++];
}

static void tell_chain(struct watch *watch, const struct chain *chain)
{
	const struct chains *chains = &watch->watcher->chains;
	char text[CHAIN_TEXT_SIZE];

	chain_text(chains, chain, text, sizeof(text));
	printable_line(text);
	log_fail("%s", text);
	(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "\n");
	alert_send(&watch->alert, text);
	if (watch->json.fd >= 0 && watch_json(chains, chain, watch->document, DOCUMENT_SIZE))
		alert_send(&watch->json, watch->document);
}

/* What can't be told about the tasks of the last look. */
static void tell_limits(const struct waiters *waiters, uint32_t left_off)
{
	uint32_t guesses = 0;

	for (uint32_t i = 0; i < waiters->count; i++)
		guesses += waiters->waiter[i].is_guess;
	if (guesses)
		log_warn("watch: read the stacks of %u of %u waiting tasks: not permitted, or they "
			 "hang: what they wait for is a guess",
			 guesses, waiters->count);
	if (waiters->unread)
		log_warn("watch: read /proc: %u files didn't come in time", waiters->unread);
	if (waiters->left_off)
		log_warn("watch: %u more tasks wait than there is room for", waiters->left_off);
	if (left_off)
		log_warn("watch: %u more hangs aren't told", left_off);
}

/*
 * In how many looks a hang must be seen. A server that does something may be idle at the moment of
 * a look, and so may a disk.
 */
static uint32_t looks_for(enum chain_end end)
{
	return end == END_SERVER || end == END_TASK ? 3 : 1;
}

static void report(struct watch *watch, int64_t now_ms)
{
	const struct chains *chains = &watch->watcher->chains;
	bool is_new = false;

	watch->was_unsure = false;
	for (uint32_t i = 0; i < chains->count; i++) {
		const struct chain *chain = &chains->chain[i];
		struct report *report = report_of(watch, key_of(chains, chain));
		uint32_t needed = looks_for(chain->end);

		if (!report)
			continue;
		report->looks = report->seen_ms == watch->looked_ms ? report->looks + 1 : 1;
		report->seen_ms = now_ms;
		report->is_short = watch->watcher->waiters.is_short;
		watch->was_unsure |= report->looks < needed;
		if (report->looks < needed ||
		    (report->told_ms && chain->for_ms < 2 * report->told_ms))
			continue;
		watch->worst = MIN(watch->worst, chain->end);
		report->told_ms = MAX(chain->for_ms, 1);
		tell_chain(watch, chain);
		is_new = true;
	}
	if (is_new)
		tell_limits(&watch->watcher->waiters, chains->left_off);
}

/* Tells when only tasks that are held can be seen. What isn't seen then goes on. */
static void tell_shortage(struct watch *watch, int64_t now_ms)
{
	bool is_short = watch->watcher->waiters.is_short;

	if (is_short && !watch->was_short)
		log_warn(
			"watch: read /proc: takes too long, as if memory were short: until that is "
			"over, only servers and loop devices are watched, for cycles");
	if (!is_short && watch->was_short)
		log_info("watch: read /proc: all tasks are seen again");
	watch->was_short = is_short;
	for (uint32_t i = 0; is_short && i < watch->count; i++) {
		if (!watch->reports[i].is_short)
			watch->reports[i].seen_ms = now_ms;
	}
}

static void tell_blindness(struct watch *watch)
{
	bool is_blind = watch->watcher->waiters.is_blind;

	if (is_blind && !watch->was_blind)
		log_warn("watch: read /proc: more than %u processes hang when they are looked at: "
			 "what others wait for isn't seen",
			 READER_THREADS);
	watch->was_blind = is_blind;
}

/*
 * Forgets what is over, after a look at all tasks. It may come again in a moment, and isn't
 * reported twice then.
 */
static void forget_old(struct watch *watch, int64_t now_ms)
{
	bool was_told = false, is_told = false;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < watch->count; i++) {
		const struct report *report = &watch->reports[i];

		was_told |= report->told_ms > 0;
		if (now_ms - report->seen_ms > watch->stall_ms)
			continue;
		is_told |= report->told_ms > 0;
		watch->reports[kept++] = *report;
	}
	watch->count = kept;
	if (was_told && !is_told)
		log_info("watch: what hung goes on");
}

/* --- the loop --- */

/* Waits until it is time for the next look. Returns false after a signal to end. */
static bool await_look(struct watch *watch, int64_t next_ms)
{
	struct pollfd fds[] = {
		{ .fd = watch->signal_fd, .events = POLLIN },
		{ .fd = watch->mounts_fd, .events = POLLPRI },
		{ .fd = watch->swaps_fd, .events = POLLPRI },
	};
	int64_t left;

	while ((left = next_ms - clock_ms()) > 0) {
		if (poll(fds, ARRAY_SIZE(fds), (int)left) <= 0)
			continue;
		if (fds[0].revents)
			return false;
		/* until the next look they don't count any more */
		watch->watcher->is_stale = true;
		fds[1].fd = fds[2].fd = -1;
	}
	return true;
}

static int look(struct watch *watch)
{
	int64_t now_ms = clock_ms();
	int r = watcher_look(watch->watcher, now_ms);

	if (r < 0) {
		/* what was read before is kept, and read again */
		log_warn("/proc and /sys: read: %s", strerror(-r));
		return r;
	}
	/* not each time are all tasks looked at */
	if (watch->watcher->chains.now_ms == now_ms) {
		report(watch, now_ms);
		tell_shortage(watch, now_ms);
		tell_blindness(watch);
		forget_old(watch, now_ms);
		watch->looked_ms = now_ms;
	}
	return 0;
}

static int exit_code(const struct watch *watch)
{
	if (watch->worst == END_KINDS)
		return WATCH_FINE;
	return watch->worst == END_CYCLE ? WATCH_CYCLE : WATCH_HANG;
}

/* Tells once what is watched. */
static void tell_begin(const struct watch *watch)
{
	const struct graph *graph = &watch->watcher->stack.graph;
	uint32_t counts[NODE_KINDS] = { 0 };
	char text[256];

	for (uint32_t i = 0; i < graph->node_count; i++)
		counts[graph->nodes[i].kind]++;
	if (system_read(&watch->watcher->system, "proc/thread-self/stack", text, sizeof(text)) < 0)
		log_warn("watch: read stacks: not permitted: what tasks wait for will be a guess, "
			 "and some that wait for FUSE won't be seen");
	if (!watcher_counts_fuse(watch->watcher))
		log_warn("watch: count the requests of FUSE mounts: fusectl isn't mounted, or not "
			 "readable: cycles through zloop may be missed; as root: mount -t fusectl "
			 "fusectl /sys/fs/fuse/connections");
	log_info("watch: begin: %u filesystems, %u devices, %u servers; a hang is %lld s or more",
		 counts[NODE_FILESYSTEM], counts[NODE_DEVICE], counts[NODE_PROCESS],
		 (long long)(watch->stall_ms / 1000));
}

/* Looks once a second, until a signal. */
static void run(struct watch *watch)
{
	int64_t next_ms = clock_ms();

	do {
		(void)look(watch);
		next_ms = MAX(next_ms + LOOK_MS, clock_ms());
	} while (await_look(watch, next_ms));
}

/* Whether the last look saw all tasks, and nothing that the next ones may show to hang. */
static bool has_seen_all(const struct watch *watch, int64_t since_ms)
{
	return watch->looked_ms >= since_ms && !watch->was_short && !watch->was_blind &&
	       !watch->was_unsure;
}

/*
 * Looks at all tasks once a second, until something hangs, or until enough of these looks have
 * found nothing that has lasted for the stall time. Returns whether one or the other came.
 */
static bool run_once(struct watch *watch)
{
	int64_t next_ms = clock_ms(), stall_ms = next_ms + watch->stall_ms;
	uint32_t enough = 0;

	do {
		int64_t now_ms = clock_ms();

		if (enough == LOOKS_ENOUGH)
			return true;
		if (now_ms > stall_ms + ENOUGH_MS)
			break;
		watch->watcher->next_full_ms = 0;
		(void)look(watch);
		if (watch->worst != END_KINDS)
			return true;
		enough += now_ms >= stall_ms && has_seen_all(watch, now_ms);
		next_ms = MAX(next_ms + LOOK_MS, clock_ms());
	} while (await_look(watch, next_ms));
	log_fail("watch: look at all tasks: done %u times after the stall time, not %u: nothing "
		 "is known",
		 enough, LOOKS_ENOUGH);
	return false;
}

static int watch_all(struct watch *watch, bool is_once)
{
	assert(watch->watcher);
	if (look(watch) < 0)
		return WATCH_CANNOT;
	tell_begin(watch);
	if (!is_once)
		run(watch);
	else if (!run_once(watch))
		return WATCH_CANNOT;
	return exit_code(watch);
}

/* --- the start --- */

/* Has the heap grow now, for as much as will be needed. */
static int grow_heap(void)
{
	void *block;

	(void)mallopt(M_MMAP_MAX, 0);
	(void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
	block = malloc(HEAP_LEN);
	if (!block)
		return -ENOMEM;
	free(block);
	return 0;
}

/* Makes this process one that goes on when memory is short. What isn't allowed is told. */
static void protect(void)
{
	struct caisson_scope scope; /* never left */
	int r = caisson_flusher_enter(&scope);

	if (r < 0)
		log_warn("watch: mark as an I/O flusher: %s: it may wait for memory itself",
			 strerror(-r));
	r = oom_protect();
	if (r < 0)
		log_warn("watch: protect from the OOM killer: %s", strerror(-r));
}

static void lock_memory(void)
{
	int r = grow_heap();

	if (r == 0)
		r = caisson_memory_lock(0);
	if (r == 0)
		r = caisson_stack_prefault(STACK_LEN);
	if (r < 0)
		log_warn("watch: lock its memory: %s: it may hang with the rest", strerror(-r));
}

/* It keeps files open, which it couldn't open when it needs them. */
static void raise_limit(void)
{
	struct rlimit limit;

	(void)getrlimit(RLIMIT_NOFILE, &limit); /* can't fail */
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int start(struct watch *watch, struct system *system, const char *const *values)
{
	int r = 0;

	watch->alert.fd = watch->json.fd = -1;
	watch->signal_fd = open_signals();
	watch->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	watch->swaps_fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC); /* without it, none is told */
	if (watch->signal_fd < 0 || watch->mounts_fd < 0)
		return -errno;
	if (values[OPTION_EXEC])
		r = alert_start(&watch->alert, values[OPTION_EXEC]);
	if (r == 0 && values[OPTION_JSON])
		r = alert_start(&watch->json, NULL);
	if (r < 0)
		return r;
	protect();
	raise_limit();
	r = system_open(system);
	if (r == 0)
		r = watcher_create(&watch->watcher, system, watch->stall_ms);
	if (r == 0)
		r = log_start(values[OPTION_SYSLOG] ? LOG_TARGET_SYSLOG : LOG_TARGET_STDERR, NULL);
	if (r == 0)
		lock_memory();
	return r;
}

static void stop(struct watch *watch)
{
	log_stop();
	watcher_destroy(watch->watcher);
	alert_stop(&watch->alert);
	alert_stop(&watch->json);
	close_fd(&watch->signal_fd);
	close_fd(&watch->mounts_fd);
	close_fd(&watch->swaps_fd);
}

static bool parse(int argc, char **argv, const char **values, int64_t *ret_stall_ms)
{
	uint64_t seconds = STALL_DEFAULT_S;
	size_t count;

	if (!arguments_parse_many(argc, argv, options, values, &count))
		return false;
	if (count) {
		tell("%s: parse: watch takes no object", argv[0]);
		return false;
	}
	if (values[OPTION_STALL] &&
	    (arguments_number(values[OPTION_STALL], STALL_MAX_S, &seconds) < 0 || !seconds)) {
		tell("--stall=%s: parse: seconds are expected, 1 to %d", values[OPTION_STALL],
		     STALL_MAX_S);
		return false;
	}
	*ret_stall_ms = (int64_t)seconds * 1000;
	return true;
}

int watch_command(int argc, char **argv)
{
	const char *values[OPTION_COUNT] = { NULL };
	static struct watch watch = { .worst = END_KINDS };
	struct system system = { 0 };
	int r, code = WATCH_CANNOT;

	if (!parse(argc, argv, values, &watch.stall_ms))
		return WATCH_CANNOT;
	log_name("caisson");
	r = start(&watch, &system, values);
	if (r < 0)
		tell("watch: start: %s", strerror(-r));
	else
		code = watch_all(&watch, values[OPTION_ONCE]);
	stop(&watch);
	return code;
}
