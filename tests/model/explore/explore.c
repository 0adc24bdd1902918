/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "explore.h"

/* Others of a message's fields may follow. */
#define WRITE_AT(file, off)                                                                        \
	.opcode = FUSE_WRITE, .fh = FH(file), .offset = (off), .size = BLOCK_BYTES
/* FILE's opener looks for data: metadata, which a worker serves. */
#define SEEK(file) .opcode = FUSE_LSEEK, .fh = FH(file), .errors = { -ENXIO }

static const struct message writes[] = { { WRITE_AT(0, 0) }, { WRITE_AT(0, BLOCK_BYTES) } };

static const struct message all_data[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_READ, .fh = FH(0), .size = BLOCK_BYTES },
	{ .opcode = FUSE_FSYNC, .fh = FH(0) },
};

/* Of two openers. */
static const struct message syncs[] = {
	{ .opcode = FUSE_FSYNC, .fh = FH(0) },
	{ .opcode = FUSE_FSYNC, .fh = FH(1) },
};

static const struct message mixed[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_FORGET },
	{ SEEK(0) },
};

/* A sequential zone: one write at a time, each where the last one ended; one at the wrong place. */
static const struct message zone_writes[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_WRITE,
	  .fh = FH(0),
	  .offset = BLOCK_BYTES,
	  .size = BLOCK_BYTES,
	  .after = 1,
	  .errors = { -EIO } },
	{ .opcode = FUSE_WRITE,
	  .fh = FH(0),
	  .offset = 7 * BLOCK_BYTES,
	  .size = BLOCK_BYTES,
	  .after = 1 | 2,
	  .errors = { -EIO },
	  .must_fail = true },
};

/* What zloop does after a failed write, and a reset. */
static const struct message zone_sizes[] = {
	{ WRITE_AT(0, 0), .overwritten = true },
	{ .opcode = FUSE_SETATTR, .fh = FH(0), .size = BLOCK_BYTES, .after = 1 },
	{ .opcode = FUSE_SETATTR, .fh = FH(0), .after = 1 | 2 },
	{ WRITE_AT(0, 0), .after = 1 | 2 | 4 },
};

/* More of it than a worker serves at a time, each after none or one of the others. */
static const struct message metadata[] = {
	{ SEEK(0) },
	{ SEEK(1) },
	{ .opcode = FUSE_FORGET },
	{ SEEK(0), .after = 1 },
};

/* A signal finds a client waiting for what goes on all the same. */
static const struct message interrupt[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_INTERRUPT, .interrupts = UNIQUE(0) },
	{ SEEK(1) },
};

static const struct message metadata_and_write[] = {
	{ SEEK(0) },
	{ SEEK(1) },
	{ WRITE_AT(0, 0) },
	{ SEEK(1), .after = 1 | 4 },
};

/* A direct write and a cached one to one file. */
static const struct message two_ways[] = {
	{ WRITE_AT(0, 0) },
	{ WRITE_AT(1, BLOCK_BYTES) },
};

/* A worker sets the size of a file while it is written to. */
static const struct message truncation[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_SETATTR, .fh = FH(0), .size = 4 * BLOCK_BYTES }, /* loses no write */
	{ WRITE_AT(0, BLOCK_BYTES) },
};

/*
 * Who truncates the file meets a lease, maybe after he has entered the gate; and he may get a
 * signal.
 */
static const struct message lease[] = {
	{ .opcode = FUSE_SETATTR, .size = 2 * BLOCK_BYTES, .errors = { -EINTR } },
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_INTERRUPT, .interrupts = UNIQUE(0) },
};

/* More than may wait. */
static const struct message leases[] = {
	{ .opcode = FUSE_SETATTR, .size = BLOCK_BYTES, .errors = { -EAGAIN, -EINTR } },
	{ .opcode = FUSE_SETATTR, .size = BLOCK_BYTES, .errors = { -EAGAIN, -EINTR } },
};

/* A worker and the ring; what is done twice, too late or not at all shows in the file. */
static const struct message write_and_size[] = {
	{ WRITE_AT(0, 0) },
	{ .opcode = FUSE_SETATTR, .fh = FH(0), .size = 2 * BLOCK_BYTES },
	{ .opcode = FUSE_READ, .fh = FH(0), .size = BLOCK_BYTES, .after = 1 },
};

/* Two writes to the same place, one after the other. */
static const struct message overwrites[] = {
	{ WRITE_AT(0, 0), .overwritten = true },
	{ WRITE_AT(0, 0), .after = 1 },
};

#define MESSAGES_OF(list) .messages = (list), .message_count = ARRAY_SIZE(list)

static const struct scenario scenarios[] = {
	{
		.name = "data",
		.about = "two writes, two queues of one slot; I/O may be short",
		.queues = 2,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(writes),
		.freedom.short_io = true,
		.preemptions = 1,
	},
	{
		.name = "error",
		.about = "write, read and fsync, a queue of two slots; I/O may fail or be short",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(all_data),
		.freedom = { .short_io = true, .error = -EIO },
		.preemptions = 1,
	},
	{
		.name = "two-ways",
		.about = "direct and cached writes to one file never overlap; I/O may be short",
		.queues = 2,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(two_ways),
		.freedom.short_io = true,
		.two_ways = true,
		.preemptions = 0,
	},
	{
		.name = "truncation",
		.about = "direct writes and a new size of one file never overlap",
		.queues = 2,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(truncation),
		.two_ways = true,
		.preemptions = 0,
	},
	{
		.name = "two-ways-stop",
		.about = "the same, and the daemon is told to end at any time",
		.queues = 2,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(two_ways),
		.freedom.stop = true,
		.two_ways = true,
		.preemptions = 0,
	},
	{
		.name = "mixed",
		.about = "data and metadata, no metadata slot: the data slot goes along",
		.queues = 1,
		.depth = 1,
		.workers = 1,
		MESSAGES_OF(mixed),
		.preemptions = 2,
	},
	{
		.name = "zone",
		.about = "a sequential zone: writes may fail, and one is at the wrong place",
		.queues = 1,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(zone_writes),
		.freedom = { .short_io = true, .error = -EIO },
		.zone_len = 2 * BLOCK_BYTES,
		.preemptions = 2,
	},
	{
		.name = "metadata",
		.about = "more metadata than there are workers",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 2,
		MESSAGES_OF(metadata),
		.preemptions = 1,
	},
	{
		.name = "meta-workers",
		.about = "the same, two workers, two queues",
		.queues = 2,
		.depth = 1,
		.workers = 2,
		.metas = 1,
		MESSAGES_OF(metadata),
		.preemptions = 0,
	},
	{
		.name = "interrupt",
		.about = "a signal for who waits for a write",
		.queues = 1,
		.depth = 2,
		.workers = 2,
		.metas = 2,
		MESSAGES_OF(interrupt),
		.preemptions = 1,
	},
	{
		.name = "lease",
		.about = "a truncation meets leases, its client a signal; a direct write",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 2,
		MESSAGES_OF(lease),
		.freedom.leases = 2,
		.two_ways = true,
		.preemptions = 1,
	},
	{
		.name = "leases-stop",
		.about = "more meet a lease than may wait, and the daemon is told to end at any "
			 "time",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 2,
		MESSAGES_OF(leases),
		.freedom = { .leases = 2, .stop = true },
		.preemptions = 0,
	},
	{
		.name = "lease-entries",
		.about = "a lease is met by who has come by a ring's entry",
		.queues = 1,
		.depth = 3,
		.entries = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(leases),
		.freedom = { .entries = true, .leases = 2 },
		.preemptions = 0,
	},
	{
		.name = "entries",
		.about = "metadata in a ring's entries, and data beside it",
		.queues = 1,
		.depth = 3,
		.entries = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(metadata_and_write),
		.freedom.entries = true,
		.preemptions = 1,
	},
	{
		.name = "entries-abort",
		.about = "the same, and the connection ends at any time",
		.queues = 1,
		.depth = 3,
		.entries = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(metadata_and_write),
		.freedom = { .entries = true, .abort = true },
		.preemptions = 1,
	},
	{
		.name = "entries-stop",
		.about = "the same, and the daemon is told to end at any time",
		.queues = 1,
		.depth = 3,
		.entries = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(metadata_and_write),
		.freedom = { .entries = true, .stop = true },
		.preemptions = 1,
	},
	{
		.name = "syncs",
		.about = "two openers sync, by two queues, and one sync may fail",
		.queues = 2,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(syncs),
		.freedom.error = -EIO,
		.preemptions = 1,
	},
	{
		.name = "abort",
		.about = "the connection ends at any time",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(metadata_and_write),
		.freedom.abort = true,
		.preemptions = 1,
	},
	{
		.name = "stop",
		.about = "the daemon is told to end at any time",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(metadata_and_write),
		.freedom.stop = true,
		.preemptions = 1,
	},
	{
		.name = "death",
		.about =
			"the process dies at any time: two writes to one place, which may be short",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(overwrites),
		.freedom = { .short_io = true, .deaths = 1 },
		.preemptions = 1,
	},
	{
		.name = "death-twice",
		.about = "the same, and so does the one that takes over",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(overwrites),
		.freedom.deaths = 2,
		.preemptions = 0,
	},
	{
		.name = "death-error",
		.about = "the process dies at any time: write, read and fsync; I/O may fail",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(all_data),
		.freedom = { .error = -EIO, .deaths = 1 },
		.preemptions = 0,
	},
	{
		.name = "death-syncs",
		.about = "the process dies at any time: two openers sync, and one sync may fail",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(syncs),
		.freedom = { .error = -EIO, .deaths = 1 },
		.preemptions = 0,
	},
	{
		.name = "death-worker",
		.about = "the process dies at any time: data, and a size that a worker sets",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(write_and_size),
		.freedom.deaths = 1,
		.preemptions = 0,
	},
	{
		.name = "death-metadata",
		.about = "the process dies at any time: more metadata than there are workers",
		.queues = 1,
		.depth = 2,
		.workers = 1,
		.metas = 2,
		MESSAGES_OF(metadata),
		.freedom.deaths = 1,
		.preemptions = 0,
	},
	{
		.name = "death-zone-size",
		.about = "the process dies at any time: a zone keeps its size, and is reset",
		.queues = 1,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(zone_sizes),
		.freedom.deaths = 1,
		.zone_len = 2 * BLOCK_BYTES,
		.preemptions = 0,
	},
	{
		.name = "death-zone",
		.about = "the process dies at any time: a sequential zone",
		.queues = 1,
		.depth = 1,
		.workers = 1,
		.metas = 1,
		MESSAGES_OF(zone_writes),
		.freedom.deaths = 1,
		.zone_len = 2 * BLOCK_BYTES,
		.preemptions = 0,
	},
};

/* --- the way to a failure --- */

#define TRACE 512

static struct {
	const char *who, *what;
	uint64_t number;
} trace[TRACE];
static uint32_t trace_len;
static const struct scenario *scenario;

void explore_trace(const char *what, uint64_t number)
{
	if (trace_len < TRACE) {
		trace[trace_len].who = fiber_name();
		trace[trace_len].what = what;
		trace[trace_len++].number = number;
	}
}

static void print_trace(void)
{
	for (uint32_t i = 0; i < trace_len; i++)
		printf("      %s: %s %llu\n", trace[i].who ? trace[i].who : "kernel", trace[i].what,
		       (unsigned long long)trace[i].number);
	printf("      again: explore %s ", scenario ? scenario->name : "?");
	choice_print();
}

void explore_fail(const char *what)
{
	printf("fail  explore/%s: %s\n", scenario ? scenario->name : "", what);
	print_trace();
	fflush(stdout);
	_exit(1);
}

/* An assertion of the daemon's: what it says is on stderr. */
static void on_abort(int number)
{
	(void)number;
	explore_fail("an assertion failed");
}

static double seconds_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void explore(const struct scenario *what)
{
	double since = seconds_now();
	uint64_t runs = 0;

	scenario = what;
	while (choice_next()) {
		trace_len = 0;
		world_begin(what);
		switch (fiber_run_all(what->preemptions)) {
		case RUN_STUCK:
			explore_fail("nothing can go on, and not all have ended");
		case RUN_ENDED:
			world_check_end();
			break;
		case RUN_KNOWN:
			break;
		}
		world_end();
		runs++;
	}
	printf("pass  explore/%-15s %u states, %llu runs, %u preemptions, %.1f s: %s\n", what->name,
	       seen_forget(), (unsigned long long)runs, what->preemptions, seconds_now() - since,
	       what->about);
	fflush(stdout);
	scenario = NULL;
}

/* --- the table of request.h --- */

/*
 * Whether request_move() lets FROM go to TO: asked in a process of its own, as it may be its end.
 */
static bool is_allowed(enum request_state from, enum request_state to)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		struct request request;

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)!freopen("/dev/null", "w", stderr);
		request_init(&request, 0, 0, 0, BLOCK_BYTES);
		atomic_store(&request.state, (uint8_t)from);
		__real_request_move(&request, to);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		explore_fail("a transition can't be tried");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool compare_moves(void)
{
	uint32_t seen = 0, differ = 0;

	for (uint32_t from = 0; from < REQUEST_STATES; from++) {
		for (uint32_t to = 0; to < REQUEST_STATES; to++) {
			bool allowed = is_allowed(from, to), was = moves_seen[from][to] > 0;

			seen += was;
			if (was == allowed)
				continue;
			differ++;
			printf("      %s -> %s: %s\n", request_state_name(from),
			       request_state_name(to),
			       allowed ? "allowed, and never seen" : "seen, and not allowed");
		}
	}
	printf("%s  explore/transitions     %u of a request's are seen; %u are seen or "
	       "allowed alone\n",
	       differ ? "fail" : "pass", seen, differ);
	return !differ;
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	}
	fprintf(stderr, "explore: no such scenario: %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	(void)signal(SIGABRT, on_abort);
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		printf("usage: explore [SCENARIO [CHOICES]]\n");
		for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
			printf("  %-15s %s\n", scenarios[i].name, scenarios[i].about);
		return 0;
	}
	world_make();
	(void)atexit(world_remove);
	if (argc > 2)
		choice_only(argv[2]);
	if (argc > 1) {
		explore(find(argv[1]));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		explore(&scenarios[i]);
	return compare_moves() ? 0 : 1;
}
