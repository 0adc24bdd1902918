/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hangs, as a watch sees it: each case plants what closes a cycle, or another hang, in a
 * healthy machine, and finds that; without any part of it, it finds nothing.
 *
 * The clock is the test's: a look a second.
 */
#include <sched.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "machine-fixture.h"
#include "stack/watcher.h"

#define STALL_S 5

static struct watcher *watcher;
static int64_t now_ms;

/* What a device counts: requests that are done, empty ones, their time, and those under way. */
struct counted {
	unsigned reads, writes, flushes;
	unsigned writes_ms; /* with the flushes */
	unsigned reads_under_way, writes_under_way, others_under_way;
};

/* Writes a device's file `stat` at NAME. */
static void write_done(const char *name, struct counted counted)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%u 0 %u 0 %u 0 %u %u %u 0 0 0 0 0 0 %u 0\n",
		       counted.reads, 8 * counted.reads, counted.writes + counted.flushes,
		       8 * counted.writes, counted.writes_ms,
		       counted.reads_under_way + counted.writes_under_way +
			       counted.others_under_way,
		       counted.flushes);
	file(name, text);
}

/* The same of the file `inflight`. */
static void write_under_way(const char *name, struct counted counted)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%8u %8u\n", counted.reads_under_way,
		       counted.writes_under_way);
	file(name, text);
}

static void count(const char *name, struct counted counted)
{
	char at[64];

	(void)snprintf(at, sizeof(at), "sys/devices/%s/stat", name);
	write_done(at, counted);
	(void)snprintf(at, sizeof(at), "sys/devices/%s/inflight", name);
	write_under_way(at, counted);
}

/* Counters of a device: writes that are done, and under way. */
static void counters(const char *name, unsigned done, unsigned under_way)
{
	count(name, (struct counted){ .writes = done, .writes_under_way = under_way });
}

/* Task TID of process PID waits in STATE, in FUNCTION, and was on a CPU so many times. */
static void waits(int pid, int tid, char state, const char *flags, const char *function,
		  unsigned runs)
{
	char at[64], text[512];

	task_that_ran(pid, tid, state, flags, runs);
	(void)snprintf(at, sizeof(at), "proc/%d/task/%d/stack", pid, tid);
	(void)snprintf(text, sizeof(text), "[<0>] %s+0x1/0x2\n[<0>] do_syscall_64+0x3/0x4\n",
		       function);
	file(at, text);
	(void)snprintf(at, sizeof(at), "proc/%d/task/%d/wchan", pid, tid);
	file(at, function);
}

static void remove_task(int pid, int tid)
{
	static const char *const files[] = { "stat", "status", "stack", "wchan", "" };
	char at[64];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(at, sizeof(at), "proc/%d/task/%d/%s", pid, tid, files[i]);
		CHECK(remove(below(at)) == 0);
	}
}

/* Writes to the file AT what status tells of the task TID. */
static void status(const char *at, int tid, const char *name, char state, unsigned threads,
		   unsigned runs)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "Name:\t%s\nState:\t%c (any)\nPid:\t%d\nThreads:\t%u\n"
		       "voluntary_ctxt_switches:\t%u\nnonvoluntary_ctxt_switches:\t0\n",
		       name, state, tid, threads, runs);
	file(at, text);
}

/* The process PID has one task, of that NAME. */
static void process(int pid, const char *name, char state, unsigned runs)
{
	char at[64];

	(void)snprintf(at, sizeof(at), "proc/%d/status", pid);
	status(at, pid, name, state, 1, runs);
}

/* Process PID of one task waits in a system call on descriptor 3, which is a file of mount ID. */
static void client(int pid, char state, const char *function, const char *call, const char *id)
{
	char at[64], text[128];

	waits(pid, pid, state, UNMARKED, function, 1);
	process(pid, "writer", state, 1);
	(void)snprintf(at, sizeof(at), "proc/%d/task/%d/syscall", pid, pid);
	file(at, call);
	(void)snprintf(at, sizeof(at), "proc/%d/fd/3", pid);
	symlink_to(at, "/any");
	(void)snprintf(at, sizeof(at), "proc/%d/fdinfo/3", pid);
	(void)snprintf(text, sizeof(text), "pos:\t0\nmnt_id:\t%s\n", id);
	file(at, text);
}

#define WRITES "1 0x3 0x0 0x0 0x0 0x0 0x0 0x7ff 0x7fe\n"

static void set_up_watcher(void)
{
	watcher_destroy(watcher);
	set_up();
	task(100, 100, MARKED);
	counters("sda1", 7, 0);
	counters("loop0", 7, 0);
	file("sys/fs/fuse/connections/50/waiting", "0\n");
	now_ms = 1000;
	CHECK_EQ(watcher_create(&watcher, &machine.system, STALL_S * 1000), 0);
}

static void look(void)
{
	watcher->next_full_ms = watcher->next_scan_ms = 0; /* a test may be slow */
	CHECK_EQ(watcher_look(watcher, now_ms), 0);
	now_ms += 1000;
}

/* Looks for SECONDS, and returns what is found at the end. */
static const char *found(int seconds)
{
	static char text[2 * CHAIN_TEXT_SIZE];
	const struct chains *chains = &watcher->chains;

	for (int i = 0; i <= seconds; i++)
		look();
	text[0] = '\0';
	for (uint32_t i = 0; i < chains->count; i++) {
		size_t len = strlen(text);

		CHECK(len + CHAIN_TEXT_SIZE < sizeof(text));
		(void)snprintf(text + len, sizeof(text) - len, "%s", i ? "; " : "");
		len = strlen(text);
		chain_text(chains, &chains->chain[i], text + len, sizeof(text) - len);
	}
	return text;
}

/* The loop device has requests under way, which its server doesn't do: one of its tasks is in
 * FUNCTION, with FLAGS. */
static void plant(const char *flags, const char *function)
{
	set_up_watcher();
	counters("loop0", 7, 4);
	file("sys/fs/fuse/connections/50/waiting", "4\n");
	waits(100, 101, 'D', flags, function, 3);
	client(300, 'D', "balance_dirty_pages", WRITES, "31");
}

#define CYCLE                                                                                      \
	"CYCLE for 5 s: writer(300) writes xfs /mnt/top -> loop0 -> fuse.server /mnt/with blank "  \
	"-> server(100) -> its task 101 (a) b) waits until there are fewer dirty pages "           \
	"(balance_dirty_pages) -> xfs /mnt/top"

static void finds_the_throttle(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	CHECK_STR(found(STALL_S - 1), "");
	CHECK_STR(found(0), CYCLE);
	/* a throttled task wakes up now and then, and a look may miss it */
	task(100, 101, UNMARKED);
	CHECK(strstr(found(0), "CYCLE for 6 s"));
	waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", 9);
	CHECK(strstr(found(0), "CYCLE for 7 s"));
	/* but one that was away for longer isn't held there */
	task(100, 101, UNMARKED);
	CHECK(!strstr(found(2), "CYCLE"));
}

/* Without any part of the cycle there is none. */
static void finds_no_cycle_without_an_edge(void)
{
	/* the server is marked */
	plant(MARKED, "balance_dirty_pages");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* requests are done, slowly */
	plant(UNMARKED, "balance_dirty_pages");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		counters("loop0", 7 + i / 2, 4);
		waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", i);
		CHECK_STR(found(0), "");
	}
	/* nothing lies on what it serves */
	plant(UNMARKED, "balance_dirty_pages");
	file("proc/self/mountinfo", "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
				    "30 20 0:50 / /mnt/x rw - fuse.server /srv rw,user_id=0\n");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* another process has the mount */
	plant(UNMARKED, "balance_dirty_pages");
	CHECK(unlink(below("proc/100/fd/3")) == 0);
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* it is another process's task */
	plant(UNMARKED, "balance_dirty_pages");
	task(100, 101, UNMARKED);
	waits(200, 201, 'D', UNMARKED, "balance_dirty_pages", 3);
	file("proc/200/status", "Name:\ta\nState:\tS (any)\nPid:\t200\nThreads:\t2\n");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
}

/* What else waits for the server of a cycle is a part of that. */
static void tells_a_cycle_once(void)
{
	const char *text;

	plant(UNMARKED, "balance_dirty_pages");
	device("loop1", 7, 1);
	file("sys/devices/loop1/loop/backing_file", "/mnt/with blank/other\n");
	file("proc/swaps", "Filename Type Size Used Priority\n/dev/loop1\tpartition\t9\t0\t-2\n");
	counters("loop1", 7, 4);
	text = found(STALL_S + 3);
	CHECK(strstr(text, "CYCLE"));
	CHECK(!strstr(text, ";"));
	/* without the cycle, it is told */
	waits(100, 101, 'S', UNMARKED, "io_cqring_wait", 4);
	CHECK(strstr(found(STALL_S), "loop1 -> fuse.server"));
}

/* The server is busy, and unmarked: at each look a task of it is throttled, each time anew. */
static void is_silent_about_a_busy_server(void)
{
	for (int is_new = 1; is_new >= 0; is_new--) {
		plant(UNMARKED, "balance_dirty_pages");
		for (unsigned i = 0; i <= STALL_S; i++) {
			char text[64];

			(void)snprintf(text, sizeof(text), "18 0x4 0x0 0x1000 0x%x 0x0 0x0\n",
				       is_new * i << 12);
			waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", 3 + 10 * i);
			file("proc/100/task/101/syscall", text);
			look();
		}
		CHECK_EQ(strstr(found(0), "CYCLE") != NULL, !is_new);
	}
}

static void finds_reclaim(void)
{
	plant(UNMARKED, "try_to_free_pages");
	CHECK(strstr(found(STALL_S), "(try_to_free_pages) -> xfs /mnt/top"));
	/* also to make a thread */
	plant(UNMARKED, "try_to_free_pages");
	file("proc/100/task/101/stack", "[<0>] try_to_free_pages+0x1/0x2\n"
					"[<0>] copy_process+0x1/0x2\n"
					"[<0>] kernel_clone+0x1/0x2\n");
	CHECK(strstr(found(STALL_S), "(try_to_free_pages) -> xfs /mnt/top"));
	/* though a request is done now and then: this one isn't */
	plant(UNMARKED, "try_to_free_pages");
	for (unsigned i = 0; i <= STALL_S; i++) {
		counters("loop0", 7 + i, 4);
		look();
	}
	CHECK(strstr(found(0), "CYCLE for 6 s"));
	/* marked: reclaim doesn't enter what is above */
	plant(MARKED, "mempool_alloc");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* but nobody gets memory if swap is above */
	plant(MARKED, "mempool_alloc");
	file("proc/swaps", "Filename Type Size Used Priority\n/dev/loop0\tpartition\t9\t0\t-2\n");
	CHECK(strstr(found(STALL_S), "(mempool_alloc) -> swap /dev/loop0"));
}

/* A task of the server uses what depends on the server. */
static void finds_a_file_above(void)
{
	static const char *const calls[] = {
		"1 0x5 0x0 0x0\n",	     /* write(5, ...) */
		"87 0x10 0x0 0x0\n",	     /* unlink("/mnt/top/log") */
		"263 0x5 0x19 0x0\n",	     /* unlinkat(5, "log") */
		"263 0xffffff9c 0x19 0x0\n", /* unlinkat(AT_FDCWD, "log") */
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		plant(MARKED, "folio_wait_bit_common");
		symlink_to("proc/100/fd/5", i == 2 ? "/mnt/top" : "/mnt/top/log");
		symlink_to("proc/100/cwd", i == 3 ? "/mnt/top" : "/");
		file("proc/100/fdinfo/5", "mnt_id:\t31\n");
		file("proc/100/mem", "................/mnt/top/log");
		file("proc/100/task/101/syscall", calls[i]);
		CHECK(strstr(found(STALL_S), "its task 101 (a) b) waits for I/O "
					     "(folio_wait_bit_common) -> xfs /mnt/top"));
	}
}

/* What is below the server is slow, or doesn't answer. */
static void tells_slow_from_dead(void)
{
	set_up_watcher();
	counters("loop0", 7, 4);
	client(300, 'D', "folio_wait_bit_common", WRITES, "31");
	waits(100, 101, 'D', MARKED, "io_schedule", 3);
	file("proc/100/task/101/syscall", "1 0x4 0x0\n");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		counters("sda1", 7 + i / 2, 1);
		CHECK_STR(found(0), "");
	}
	counters("sda1", 99, 2);
	CHECK_STR(found(STALL_S),
		  "no cycle, but a hang for 5 s: writer(300) writes xfs /mnt/top -> loop0 -> "
		  "fuse.server /mnt/with blank -> server(100) -> its task 101 (a) b) waits for I/O "
		  "(io_schedule) -> ext4 / -> sda1 (part), the end: 2 requests under way, none "
		  "done");
}

/* A device that does flushes at once, and nothing else that was asked of it, is stuck. */
static void tells_flushes_from_writes(void)
{
	struct counted counted = { .writes = 7, .writes_under_way = 1 };

	plant(UNMARKED, "balance_dirty_pages");
	for (unsigned i = 0; i < STALL_S; i++) {
		count("loop0", counted);
		waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", i);
		CHECK_STR(found(0), "");
		counted.flushes++;
		counted.writes_ms += 5;
	}
	CHECK(strstr(found(0), "CYCLE for 5 s"));
	/* requests without data that took as long as they were under way: resets of zones */
	plant(UNMARKED, "balance_dirty_pages");
	counted = (struct counted){ .writes = 7, .writes_under_way = 99 };
	for (unsigned i = 0; i < 4 * STALL_S; i++) {
		if (i % 3 == 0) {
			counted.flushes++;
			counted.writes_ms += 1000 * i;
			counted.writes_under_way--;
		}
		count("loop0", counted);
		waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", i);
		CHECK_STR(found(0), "");
	}
}

/* The kernel counts a flush that is under way as no write, and not as the driver's. */
static void finds_a_flush_that_hangs(void)
{
	struct counted counted = { .writes = 7, .others_under_way = 1 };

	plant(UNMARKED, "balance_dirty_pages");
	count("loop0", counted);
	CHECK_STR(found(STALL_S - 1), "");
	CHECK_STR(found(0), CYCLE);
	/* what is held back by a scheduler, while others are done */
	plant(UNMARKED, "balance_dirty_pages");
	for (unsigned i = 0; i < 2 * STALL_S; i++) {
		counted.reads++;
		count("loop0", counted);
		waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", i);
		CHECK_STR(found(0), "");
	}
}

/* Reads that go on don't hide writes that don't, or the other way round. */
static void tells_reads_from_writes(void)
{
	struct counted counted = { .reads_under_way = 2, .writes = 7, .writes_under_way = 4 };

	plant(UNMARKED, "balance_dirty_pages");
	for (unsigned i = 0; i < STALL_S; i++) {
		counted.reads = i;
		count("loop0", counted);
		waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", i);
		CHECK_STR(found(0), "");
	}
	CHECK_STR(found(0), CYCLE);
	set_up_watcher();
	counted = (struct counted){ .reads_under_way = 2, .writes_under_way = 4 };
	for (unsigned i = 0; i < STALL_S; i++) {
		counted.writes = i;
		count("sda1", counted);
		CHECK_STR(found(0), "");
	}
	CHECK_STR(found(0),
		  "no cycle, but a hang for 5 s: sda1 (part), the end: 2 requests under way, "
		  "none done");
}

static void halt_server(char state)
{
	task_in(100, 100, state, MARKED);
	task_in(100, 101, state, MARKED);
}

static void finds_servers_that_do_nothing(void)
{
	static const char start[] = "no cycle, but a hang for 5 s: writer(300) reads fuse.server "
				    "/mnt/with blank";
	char wanted[512];

	/* it sleeps, as a task of FUSE's client does at first */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "30");
	(void)snprintf(wanted, sizeof(wanted),
		       "%s -> server(100), which doesn't answer; none of its tasks waits for "
		       "storage",
		       start);
	CHECK_STR(found(STALL_S), wanted);
	/* it runs */
	task_in(100, 101, 'R', MARKED);
	CHECK_STR(found(0), "");
	/* or has begun to wait for a disk */
	waits(100, 101, 'D', MARKED, "io_schedule", 9);
	CHECK_STR(found(0), "");
	/* it is stopped */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "30");
	halt_server('T');
	(void)snprintf(wanted, sizeof(wanted),
		       "%s -> server(100), which is stopped by a signal (T)", start);
	CHECK_STR(found(STALL_S), wanted);
	/* the same, while no client waits in the kernel */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	CHECK_STR(found(3 * STALL_S), "");
	halt_server('T');
	CHECK_STR(found(STALL_S - 1), "");
	/* a debugger lets it go on */
	halt_server('S');
	CHECK_STR(found(0), "");
	halt_server('T');
	CHECK_STR(found(STALL_S - 1), "");
	CHECK_STR(found(0), "no cycle, but a hang for 5 s: fuse.server /mnt/with blank -> "
			    "server(100), which is stopped by a signal (T)");
	/* nobody serves it */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	CHECK(unlink(below("proc/100/fd/3")) == 0);
	client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "30");
	(void)snprintf(wanted, sizeof(wanted), "%s, which nobody is seen to serve", start);
	CHECK_STR(found(STALL_S), wanted);
	/* a request at a time is answered: the client has run between */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "30");
		process(300, "writer", 'S', i / 2);
		CHECK_STR(found(0), "");
	}
	/* somebody else has locked a file: he may */
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	client(300, 'S', "request_wait_answer", "72 0x3 0x0\n", "30");
	file("proc/300/task/300/stack", "[<0>] request_wait_answer+0x1/0x2\n"
					"[<0>] fuse_setlk+0x1/0x2\n");
	CHECK_STR(found(3 * STALL_S), "");
}

static void finds_what_nobody_wakes(void)
{
	static const char *const locks[] = { "cgroup_attach_task_all", "copy_process",
					     "exit_signals", "cpus_read_lock" };

	/* a frozen filesystem */
	set_up_watcher();
	client(300, 'D', "percpu_rwsem_wait", WRITES, "31");
	CHECK_STR(found(STALL_S), "no cycle, but a hang for 5 s: writer(300) writes xfs /mnt/top, "
				  "which is frozen (fsfreeze)");
	/* in which the server has its log */
	plant(MARKED, "percpu_rwsem_wait");
	symlink_to("proc/100/fd/5", "/mnt/top/log");
	file("proc/100/fdinfo/5", "mnt_id:\t31\n");
	file("proc/100/task/101/syscall", "1 0x5 0x0 0x0\n");
	CHECK(strstr(found(STALL_S), "no cycle, but a hang for 5 s: writer(300) writes xfs "
				     "/mnt/top -> loop0 -> fuse.server /mnt/with blank -> "
				     "server(100) -> its task 101 (a) b) waits for a frozen "
				     "filesystem (percpu_rwsem_wait) -> xfs /mnt/top, which is "
				     "frozen (fsfreeze)"));
	/* other locks of that kind */
	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		char text[128];

		set_up_watcher();
		client(300, 'D', "percpu_rwsem_wait", WRITES, "999");
		(void)snprintf(text, sizeof(text),
			       "[<0>] percpu_rwsem_wait+0x1/0x2\n[<0>] "
			       "%s+0x1/0x2\n[<0>] vfs_write+0x1/0x2\n",
			       locks[i]);
		file("proc/300/task/300/stack", text);
		CHECK(strstr(found(STALL_S), "writer(300): waits for a lock"));
	}
	/* a lock, while the disk has nothing to do */
	set_up_watcher();
	client(300, 'D', "rwsem_down_write_slowpath", WRITES, "31");
	CHECK_STR(found(STALL_S), "no cycle, but a hang for 5 s: writer(300) writes xfs /mnt/top: "
				  "waits for a lock (rwsem_down_write_slowpath), for whom isn't "
				  "known");
	/* and while it has */
	set_up_watcher();
	client(300, 'D', "rwsem_down_write_slowpath", WRITES, "31");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		counters("sda1", 7 + i, 1);
		CHECK_STR(found(0), "");
	}
}

/* Nothing of this is a hang of storage. */
static void is_silent_about_the_rest(void)
{
	static const char *const functions[] = {
		"kernel_clone",	  /* the parent of a vfork(2) */
		"__refrigerator", /* a frozen control group */
		"something",	  /* such as a driver */
	};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		set_up_watcher();
		client(300, 'D', functions[i], "58 0x0\n", "31");
		CHECK_STR(found(3 * STALL_S), "");
	}
	/* a disk that completes requests, whatever is under way when it is looked at */
	set_up_watcher();
	client(300, 'D', "folio_wait_bit_common", WRITES, "20");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		counters("sda1", 7 + i / 2, 0);
		CHECK_STR(found(0), "");
	}
	/* sync(2), which is anywhere */
	set_up_watcher();
	client(300, 'D', "wb_wait_for_completion", "162 0x0\n", "31");
	for (unsigned i = 0; i < 3 * STALL_S; i++) {
		counters("sda1", 7 + i, 1);
		CHECK_STR(found(0), "");
	}
}

/* The client of a server that does nothing waits for a page, and the machine's disk is busy. */
static void finds_reads_ahead(void)
{
	set_up_watcher();
	file("sys/fs/fuse/connections/50/waiting", "1\n");
	client(300, 'D', "folio_wait_bit_common", "0 0x3 0x0\n", "30");
	for (unsigned i = 0; i <= STALL_S; i++) {
		counters("sda1", 7 + i, 1);
		look();
	}
	CHECK(strstr(found(0), "-> server(100), which doesn't answer"));
	/* if the server uses io_uring, nobody waits for its I/O */
	symlink_to("proc/100/fd/6", "anon_inode:[io_uring]");
	watcher->is_stale = true;
	CHECK_STR(found(0), "");
}

/* What was unmounted with -l is still there for those who use it: no other mount is accused. */
static void accuses_no_other_mount(void)
{
	for (int is_detached = 0; is_detached <= 1; is_detached++) {
		set_up_watcher();
		file("sys/fs/fuse/connections/50/waiting", "1\n");
		if (is_detached)
			file("sys/fs/fuse/connections/51/waiting", "1\n");
		client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "999");
		CHECK_EQ(strstr(found(STALL_S), "server(100)") != NULL, !is_detached);
	}
	CHECK(strstr(found(0), "writer(300): waits for an answer (request_wait_answer), for whom "
			       "isn't known"));
}

/* A client that is served all the time, and whose status is longer than what is read of it. */
static void counts_runs_of_any_user(void)
{
	static char text[32768];

	for (int groups = 0; groups <= 2000; groups += 500) {
		set_up_watcher();
		file("sys/fs/fuse/connections/50/waiting", "1\n");
		for (unsigned i = 0; i <= 2 * STALL_S; i++) {
			int len = snprintf(text, sizeof(text),
					   "Name:\twriter\nState:\tS (any)\nPid:\t300\nGroups:\t");

			client(300, 'S', "request_wait_answer", "0 0x3 0x0\n", "30");
			for (int at = 0; at < groups; at++)
				len += snprintf(text + len, sizeof(text) - (size_t)len, "%d ",
						1710000000 + at);
			(void)snprintf(text + len, sizeof(text) - (size_t)len,
				       "\nThreads:\t1\nvoluntary_ctxt_switches:\t%u\n"
				       "nonvoluntary_ctxt_switches:\t0\n",
				       1 + i);
			file("proc/300/status", text);
			CHECK_STR(found(0), "");
		}
	}
}

/* fuseblk has the number of its disk, and its connection the whole of that. */
static void finds_servers_of_disks(void)
{
	set_up_watcher();
	device("sdb1", 8, 17);
	counters("sdb1", 7, 0);
	file("proc/self/mountinfo", "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
				    "40 20 8:17 / /mnt/disk rw - fuseblk /dev/sdb1 rw,user_id=0\n");
	file("proc/100/fdinfo/3", "pos:\t0\nmnt_id:\t24\nfuse_connection:\t8388625\n");
	file("sys/fs/fuse/connections/8388625/waiting", "4\n");
	halt_server('T');
	CHECK(strstr(found(2 * STALL_S), "fuseblk /mnt/disk -> server(100), which is stopped"));
}

/* A server of which one task waits for another: the other can answer. */
static void counts_idle_tasks(void)
{
	plant(MARKED, "folio_wait_bit_common");
	symlink_to("proc/100/fd/5", "/mnt/top/log");
	file("proc/100/fdinfo/5", "mnt_id:\t31\n");
	file("proc/100/task/101/syscall", "1 0x5 0x0 0x0\n");
	file("proc/100/task/100/wchan", "fuse_dev_do_read");
	CHECK(strstr(found(2 * STALL_S), "-> server(100), which doesn't answer"));
	file("proc/100/task/100/wchan", "futex_wait_queue");
	CHECK(strstr(found(0), "CYCLE"));
}

static bool has_lost_threads(struct reader *reader)
{
	bool has = false;

	CHECK_EQ(pthread_mutex_lock(&reader->mutex), 0);
	for (uint32_t i = 0; i < reader->threads; i++)
		has |= reader->thread[i].is_lost;
	CHECK_EQ(pthread_mutex_unlock(&reader->mutex), 0);
	return has;
}

/* A file of /proc that hangs costs a thread of the reader, and no more. */
static void outlives_files_that_hang(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	client(400, 'D', "folio_wait_bit_common", WRITES, "31");
	CHECK(unlink(below("proc/400/task/400/stack")) == 0);
	CHECK(mkfifo(path, 0600) == 0); /* open() waits for a writer */
	CHECK_STR(found(STALL_S), CYCLE);
	CHECK(watcher->waiters.unread > 0);
	/* let it go, or the reader's memory is left to it */
	CHECK(has_lost_threads(watcher->stack.reader));
	CHECK(close(open(below("proc/400/task/400/stack"), O_WRONLY | O_CLOEXEC)) == 0);
	while (has_lost_threads(watcher->stack.reader))
		(void)sched_yield();
}

#define WORKER	    60
#define OF_KERNEL   "2097216" /* 0x200040 */
#define BUSY_WORKER "3670080" /* 0x380040: it does I/O for a loop device */

/* A worker of the kernel. */
static void worker(const char *name, char state, const char *flags, const char *function,
		   unsigned runs)
{
	waits(WORKER, WORKER, state, flags, function, runs);
	status("proc/60/task/60/status", WORKER, name, state, 1, runs);
	process(WORKER, name, state, runs);
}

/* Workers of the kernel tell by their names what they work for. */
static void places_workers(void)
{
	static const struct {
		const char *comm, *place;
	} workers[] = {
		{ "kworker/u4:1+loop0", "/mnt/with blank" },
		{ "kworker/u4:1+flush-7:0", "loop0" },
		{ "kworker/0:2+xfs-buf/loop0", "loop0" },
		{ "xfsaild/loop0", "loop0" },
		{ "jbd2/sda1-8", "sda1" },
		{ "kworker/0:1+events", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(workers); i++) {
		uint32_t place;

		set_up_watcher();
		worker(workers[i].comm, 'D', OF_KERNEL, "something", 1);
		look();
		CHECK_EQ(watcher->waiters.count, 1u);
		place = watcher->waiters.waiter[0].place;
		if (workers[i].place) {
			CHECK(place != GRAPH_NONE);
			CHECK_STR(watcher->stack.graph.nodes[place].name, workers[i].place);
		} else {
			CHECK_EQ(place, GRAPH_NONE);
		}
	}
}

/*
 * A zloop device has requests under way, and where its files are isn't known. The one FUSE mount
 * with requests that nobody is seen to wait for has them.
 */
static void plant_zloop(void)
{
	set_up_watcher();
	CHECK(unlink(below("sys/class/block/loop0")) == 0);
	device("zloop0", 7, 0);
	counters("zloop0", 7, 4);
	file("sys/fs/fuse/connections/50/waiting", "4\n");
	waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", 3);
	client(300, 'D', "balance_dirty_pages", WRITES, "31");
}

static bool has_files(const char *name)
{
	const struct graph *graph = &watcher->stack.graph;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_DEVICE && strcmp(graph->nodes[i].name, name) == 0)
			return graph->nodes[i].first_lower != GRAPH_NONE;
	}
	return false;
}

static void finds_files_of_zloop(void)
{
	plant_zloop();
	CHECK_STR(
		found(STALL_S),
		"CYCLE for 5 s: writer(300) writes xfs /mnt/top -> zloop0 -> probably fuse.server "
		"/mnt/with blank -> server(100) -> its task 101 (a) b) waits until there are "
		"fewer dirty pages (balance_dirty_pages) -> xfs /mnt/top");
	CHECK(watcher_counts_fuse(watcher));
	/* fusectl isn't mounted */
	plant_zloop();
	CHECK(unlink(below("sys/fs/fuse/connections/50/waiting")) == 0);
	CHECK(!strstr(found(STALL_S), "CYCLE"));
	CHECK(!watcher_counts_fuse(watcher));
	/* nor here, but a worker of the device waits for an answer */
	plant_zloop();
	CHECK(unlink(below("sys/fs/fuse/connections/50/waiting")) == 0);
	worker("kworker/u4:1+zloop0", 'D', OF_KERNEL, "fuse_direct_IO", 1);
	CHECK(strstr(found(STALL_S), "zloop0 -> fuse.server"));
	/* of two devices, as dm-zoned takes them */
	plant_zloop();
	device("zloop1", 7, 1);
	counters("zloop1", 7, 1);
	file("proc/self/mountinfo", MOUNTS "32 20 7:1 / /mnt/second rw - xfs /dev/zloop1 rw\n");
	watcher->is_stale = true;
	CHECK(strstr(found(2 * STALL_S), "CYCLE"));
	CHECK(has_files("zloop0"));
	CHECK(has_files("zloop1"));
	/* the requests are of a client, which is seen */
	plant_zloop();
	client(301, 'S', "request_wait_answer", WRITES, "30");
	CHECK(!strstr(found(STALL_S), "CYCLE"));
	/* or there are none */
	plant_zloop();
	file("sys/fs/fuse/connections/50/waiting", "0\n");
	CHECK(!strstr(found(STALL_S), "CYCLE"));
	/* or another mount may have them as well */
	plant_zloop();
	file("proc/self/mountinfo",
	     "29 20 0:51 / /mnt/other rw,relatime - fuse /other rw,user_id=0\n" MOUNTS);
	file("sys/fs/fuse/connections/51/waiting", "1\n");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* or that mount lies on the device */
	plant_zloop();
	file("proc/100/fdinfo/4", "pos:\t0\nmnt_id:\t31\n");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* or a worker of the device waits for a disk */
	plant_zloop();
	worker("kworker/u4:1+zloop0", 'D', OF_KERNEL, "ext4_file_write_iter", 1);
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* or they are of another device */
	plant_zloop();
	device("loop1", 7, 1);
	file("sys/devices/loop1/loop/backing_file", "/mnt/with blank/image\n");
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	/* or the device gets on */
	plant_zloop();
	for (unsigned i = 0; i <= STALL_S; i++) {
		counters("zloop0", 8 + i, 4);
		CHECK(!strstr(found(0), "CYCLE"));
	}
}

/* A stack can't be read: the innermost function has to do. */
static void guesses_without_stacks(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	CHECK(unlink(below("proc/100/task/101/stack")) == 0);
	CHECK_STR(found(STALL_S), CYCLE);
	CHECK(watcher->waiters.waiter[0].is_guess || watcher->waiters.waiter[1].is_guess);
}

/* A watcher of a healthy machine, which has its server's files open, and a worker's. */
static void set_up_held(bool with_swap)
{
	set_up_watcher();
	worker("kworker/u4:1-loop0", 'I', BUSY_WORKER, "worker_thread", 2);
	waits(100, 100, 'S', MARKED, "do_poll", 2);
	waits(100, 101, 'S', MARKED, "io_cqring_wait", 2);
	if (with_swap)
		file("proc/swaps",
		     "Filename Type Size Used Priority\n/dev/loop0\tpartition\t9\t0\t-2\n");
	look();
	CHECK(!watcher->waiters.is_short);
}

/*
 * Without memory, opening a file takes for ever. Here a FIFO has whoever opens it wait; it stands
 * for a process, and in the place of all files that the watch has open already.
 */
static const char *const blocked[] = {
	"proc/77/status",
	"proc/100/task/101/status",
	"proc/100/task/101/stat",
	"proc/100/task/101/stack",
	"proc/60/task/60/status",
	"proc/60/task/60/stat",
	"proc/60/task/60/stack",
	"sys/devices/loop0/stat",
	"sys/devices/sda1/stat",
	"sys/devices/loop0/inflight",
	"sys/devices/sda1/inflight",
};

/* The name of a file of these meanwhile. */
static const char *aside_of(const char *name)
{
	static char aside[128];

	(void)snprintf(aside, sizeof(aside), "%s.held", name);
	return aside;
}

static void move(const char *from, const char *to)
{
	char old[PATH_MAX];

	(void)snprintf(old, sizeof(old), "%s", below(from));
	CHECK(rename(old, below(to)) == 0);
}

static void block_proc(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
		if (i)
			move(blocked[i], aside_of(blocked[i]));
		CHECK(mkfifo(below(blocked[i]), 0600) == 0);
	}
}

/* Makes FUNCTION what the open file of a task's stack, which was at NAME, tells. */
static void held_stack(const char *name, const char *function)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "[<0>] %s+0x1/0x2\n", function);
	file(aside_of(name), text);
}

/* As waits(), for the server's task, of which only open files tell. */
static void held_waits(char state, const char *function, unsigned runs)
{
	status(aside_of("proc/100/task/101/status"), 101, "a) b", state, 2, runs);
	held_stack("proc/100/task/101/stack", function);
}

/* As waits(), for the worker, of which only open files tell. */
static void worker_waits(const char *name, char state, const char *function, unsigned runs)
{
	status(aside_of("proc/60/task/60/status"), WORKER, name, state, 1, runs);
	held_stack("proc/60/task/60/stack", function);
}

/* As counters(), for loop0, of which only open files tell. */
static void held_counters(unsigned done, unsigned under_way)
{
	struct counted counted = { .writes = done, .writes_under_way = under_way };

	write_done(aside_of("sys/devices/loop0/stat"), counted);
	write_under_way(aside_of("sys/devices/loop0/inflight"), counted);
}

/* Lets those go on that wait, until the watch sees everything again. */
static void unblock_proc(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
		autoclose int fd = open(below(blocked[i]), O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		CHECK(unlink(path) == 0);
		if (i)
			move(aside_of(blocked[i]), blocked[i]);
	}
	waits(100, 101, 'S', MARKED, "io_cqring_wait", 9);
	worker("kworker/u4:1-loop0", 'I', BUSY_WORKER, "worker_thread", 9);
	counters("loop0", 99, 0);
	while (watcher->waiters.is_short)
		look();
}

/* The server waits for memory, with nothing but its files that are open already to tell of that. */
static void goes_on_without_memory(void)
{
	/* S as in throttle_direct_reclaim(), R when it looks for pages */
	for (size_t i = 0; i < strlen("DSR"); i++) {
		set_up_held(true);
		block_proc();
		held_counters(7, 4);
		for (unsigned second = 0; second < STALL_S; second++) {
			/* by turns */
			held_waits("DSR"[i], second % 2 ? "try_to_free_pages" : "mempool_alloc",
				   3 + second);
			CHECK_STR(found(0), "");
		}
		held_waits("DSR"[i], "mempool_alloc", 99);
		CHECK_STR(found(0),
			  "CYCLE for 5 s: swap /dev/loop0 -> loop0 -> fuse.server /mnt/with blank "
			  "-> server(100) -> its task 101 (a) b) waits for memory (mempool_alloc) "
			  "-> swap /dev/loop0");
		CHECK(watcher->waiters.is_short);
		/* it gets some, and serves */
		held_waits('S', "io_cqring_wait", 100);
		held_counters(9, 4);
		CHECK_STR(found(1), "");
		unblock_proc();
		CHECK_STR(found(0), "");
	}
}

/* Without any part of the cycle there is none then, either. */
static void finds_no_cycle_without_memory(void)
{
	enum { ALL, NOT_SWAP, NOT_STUCK, NOT_WAITING, WAYS };

	for (int way = ALL; way < WAYS; way++) {
		set_up_held(way != NOT_SWAP); /* without swap a mark is enough */
		block_proc();
		held_counters(7, 4);
		for (unsigned second = 0; second <= 2 * STALL_S; second++) {
			if (way == NOT_STUCK) /* it only takes long */
				held_counters(7 + second, 4);
			held_waits('D', way == NOT_WAITING ? "io_schedule" : "mempool_alloc",
				   way == NOT_STUCK ? second : 3);
			CHECK_EQ(strlen(found(0)) > 0, way == ALL && second >= STALL_S);
		}
		CHECK(watcher->waiters.is_short);
		unblock_proc();
	}
}

#define WORKER_CYCLE                                                                               \
	"CYCLE for 5 s: swap /dev/loop0 -> loop0 -> its worker 60 (kworker/u4:1+loop0) waits for " \
	"memory (mempool_alloc) -> swap /dev/loop0"

/* The server waits for requests, but the loop device's worker needs memory to send it one. */
static void finds_a_worker(void)
{
	static const struct {
		const char *name;
		char state;
		unsigned runs, done; /* of it, and requests, a second */
		bool is_cycle;
	} ways[] = {
		{ "kworker/u4:1+loop0", 'D', 1, 0, true },
		{ "kworker/u4:1+loop0", 'R', 1, 0, true },
		{ "kworker/u4:1+loop0", 'R', 1, 1, false },
		{ "kworker/u4:1+loop0", 'D', 0, 1, false },
		{ "kworker/u4:1-loop0", 'D', 1, 0, false }, /* not any more */
		{ "kworker/u4:1+flush-8:1", 'D', 1, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		set_up_held(true);
		block_proc();
		for (unsigned second = 0; second <= STALL_S; second++) {
			held_counters(7 + second * ways[i].done, 4);
			worker_waits(ways[i].name, ways[i].state, "mempool_alloc",
				     3 + second * ways[i].runs);
			CHECK_STR(found(0),
				  second == STALL_S && ways[i].is_cycle ? WORKER_CYCLE : "");
		}
		CHECK(watcher->waiters.is_short);
		unblock_proc();
	}
	/* with memory enough to look at all tasks; not without swap, as the worker is marked */
	for (int has_swap = 0; has_swap <= 1; has_swap++) {
		set_up_held(has_swap);
		counters("loop0", 7, 4);
		worker("kworker/u4:1+loop0", 'D', BUSY_WORKER, "mempool_alloc", 3);
		CHECK_EQ(strcmp(found(STALL_S), WORKER_CYCLE) == 0, has_swap);
	}
	/* of two cycles with that device, the server's is told */
	waits(100, 101, 'D', MARKED, "mempool_alloc", 3);
	CHECK_STR(found(STALL_S),
		  "CYCLE for 11 s: swap /dev/loop0 -> loop0 -> fuse.server /mnt/with blank "
		  "-> server(100) -> its task 101 (a) b) waits for memory (mempool_alloc) "
		  "-> swap /dev/loop0");
}

/* What waited before memory was short isn't new after that. */
static void keeps_count_without_memory(void)
{
	set_up_held(false);
	client(300, 'D', "balance_dirty_pages", WRITES, "31");
	counters("loop0", 7, 4);
	look();
	look();
	block_proc();
	held_counters(7, 4);
	CHECK_STR(found(STALL_S), "");
	CHECK(watcher->waiters.is_short);
	unblock_proc();
	counters("loop0", 99, 4);
	look();
	for (uint32_t i = 0; i < watcher->waiters.count; i++) {
		const struct waiter *waiter = &watcher->waiters.waiter[i];

		if (waiter->pid == 300)
			CHECK(watcher->waiters.now_ms - waiter->since_ms >= STALL_S * 1000);
	}
	CHECK(watcher->waiters.count >= 1);
}

/* A server that marks itself after it was first seen. */
static void sees_the_mark(void)
{
	set_up_held(false);
	waits(100, 101, 'S', UNMARKED, "io_cqring_wait", 3);
	look();
	counters("loop0", 7, 4);
	client(300, 'D', "balance_dirty_pages", WRITES, "31");
	waits(100, 101, 'D', MARKED, "balance_dirty_pages", 4);
	CHECK(!strstr(found(2 * STALL_S), "CYCLE"));
	waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", 5);
	CHECK(strstr(found(STALL_S), "CYCLE"));
}

/* However seldom all tasks are looked at, a hang is told in time. */
static void tells_in_time(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	CHECK_STR(found(1), "");
	for (int second = 2; second <= STALL_S; second++) {
		CHECK_EQ(watcher->chains.count, 0);
		watcher->next_full_ms = INT64_MAX;
		CHECK_EQ(watcher_look(watcher, now_ms), 0);
		now_ms += 1000;
	}
	CHECK_EQ(watcher->chains.count, 1);
	/* once is enough */
	watcher->next_full_ms = INT64_MAX;
	CHECK_EQ(watcher_look(watcher, now_ms), 0);
	CHECK(watcher->chains.now_ms < now_ms);
}

/* More tasks wait than are handed over at a time. */
static void sees_many(void)
{
	enum { MANY = 2 * SIGHTS_MAX + 44 };

	set_up_watcher();
	for (int i = 0; i < MANY; i++)
		client(1000 + i, 'D', "balance_dirty_pages", WRITES, "31");
	look();
	CHECK_EQ(watcher->waiters.count, (uint32_t)MANY);
	look();
	CHECK_EQ(watcher->waiters.count, (uint32_t)MANY);
}

static int count_file(void *arg, const char *name)
{
	(void)name;
	++*(uint32_t *)arg;
	return 0;
}

static uint32_t open_files(void)
{
	struct system own = { .root_fd = AT_FDCWD };
	uint32_t count = 0;

	CHECK_EQ(system_names(&own, "/proc/self/fd", count_file, &count), 0);
	return count;
}

/* What is open for tasks and mounts that are gone is closed. */
static void closes_what_is_gone(void)
{
	uint32_t count;

	set_up_held(false);
	count = open_files();
	CHECK_EQ(watcher->waiters.held.count, 2u);
	waits(100, 102, 'S', MARKED, "do_poll", 2);
	look();
	CHECK_EQ(watcher->waiters.held.count, 3u);
	CHECK_EQ(open_files(), count + HELD_FILES);
	remove_task(100, 102);
	look();
	CHECK_EQ(open_files(), count);
	file("proc/self/mountinfo", "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n");
	watcher->is_stale = true;
	look();
	CHECK_EQ(watcher->waiters.held.count, 0u);
	CHECK_EQ(open_files(), count - 2 * HELD_FILES);
	watcher_destroy(watcher);
	watcher = NULL;
	CHECK(open_files() < count - 2 * HELD_FILES);
}

/* What hung goes on. */
static void sees_the_end(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	CHECK_STR(found(STALL_S), CYCLE);
	counters("loop0", 8, 4);
	waits(100, 101, 'D', UNMARKED, "balance_dirty_pages", 4);
	CHECK_STR(found(0), "");
}

/* A stack that is made while the watch runs. */
static void reads_the_stack_again(void)
{
	plant(UNMARKED, "balance_dirty_pages");
	file("proc/self/mountinfo", "20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
				    "30 20 0:50 / /mnt/with\\040blank rw - fuse.server /srv rw\n");
	CHECK(!strstr(found(STALL_S), "CYCLE"));
	file("proc/self/mountinfo", MOUNTS);
	watcher->is_stale = true;
	CHECK(strstr(found(0), "CYCLE"));
}

/* The stack is also read now and then if nothing tells that it has changed, or all the time. */
static void reads_the_stack_in_time(void)
{
	int64_t scanned_ms;

	set_up_watcher();
	client(300, 'D', "io_schedule", WRITES, "20");
	look();
	scanned_ms = watcher->scanned_ms;
	for (unsigned i = 0; i < 130; i++) {
		process(300, "writer", 'D', i);
		counters("sda1", 7 + i, 1);
		look();
	}
	CHECK(watcher->scanned_ms > scanned_ms);
	/* mounts come and go */
	scanned_ms = watcher->scanned_ms;
	watcher->is_stale = true;
	watcher->next_scan_ms = now_ms + 2000;
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(watcher->scanned_ms, scanned_ms);
		CHECK_EQ(watcher_look(watcher, now_ms), 0);
		now_ms += 1000;
	}
	CHECK(watcher->scanned_ms > scanned_ms);
	CHECK(!watcher->is_stale);
}

int main(void)
{
	make_machine();
	RUN(finds_the_throttle);
	RUN(finds_no_cycle_without_an_edge);
	RUN(tells_a_cycle_once);
	RUN(is_silent_about_a_busy_server);
	RUN(finds_reclaim);
	RUN(finds_a_file_above);
	RUN(tells_slow_from_dead);
	RUN(tells_flushes_from_writes);
	RUN(finds_a_flush_that_hangs);
	RUN(tells_reads_from_writes);
	RUN(finds_servers_that_do_nothing);
	RUN(finds_what_nobody_wakes);
	RUN(is_silent_about_the_rest);
	RUN(finds_reads_ahead);
	RUN(accuses_no_other_mount);
	RUN(counts_runs_of_any_user);
	RUN(finds_servers_of_disks);
	RUN(counts_idle_tasks);
	RUN(outlives_files_that_hang);
	RUN(places_workers);
	RUN(finds_files_of_zloop);
	RUN(guesses_without_stacks);
	RUN(goes_on_without_memory);
	RUN(finds_no_cycle_without_memory);
	RUN(finds_a_worker);
	RUN(keeps_count_without_memory);
	RUN(sees_the_mark);
	RUN(tells_in_time);
	RUN(sees_many);
	RUN(closes_what_is_gone);
	RUN(sees_the_end);
	RUN(reads_the_stack_again);
	RUN(reads_the_stack_in_time);
	watcher_destroy(watcher);
	remove_machine();
	return test_result();
}
