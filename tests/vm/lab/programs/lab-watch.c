/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lab-watch: looks at the kernel while a stack is under load, and writes what it sees into the
 * kernel's log (and so to the console), where it gets its time.
 *
 *	lab-watch [--reads] DISK PID...
 *
 * Twice a second, until SIGTERM, a line `lab: sample sectors=N dirty_kib=N writeback_kib=N
 * free_kib=N`: what has been written to DISK (a name in /sys/block), the measure of progress; with
 * --reads, what has been read from it counts as well. As often, a second thread reads the kernel
 * stack of every task of the processes PID and of their children, and tells of one that waits where
 * a daemon under a stack must not:
 *
 *	lab: stack throttle	in the dirty page throttle (balance_dirty_pages())
 *	lab: stack reclaim	in a filesystem or in a wait for I/O, called by memory reclaim
 *
 * each kind of each task once, with its innermost frames. At the end: `lab: stacks looked=N
 * throttle=N reclaim=N longest_ms=N`, the last being the longest time from the beginning of one
 * such look to that of the next.
 *
 * It has all its memory locked and allocates none, and the files of a sample stay open, so that
 * samples go on when little else does. To read stacks it opens files, which may take for ever then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS   500
#define TASKS_TOLD    64
#define FRAMES_TOLD   14
#define PROCESSES_MAX 32
#define LINE	      1000
#define STACK	      65536 /* bytes, of the second thread */

enum badness { FINE, THROTTLE, RECLAIM, BADNESSES };

static const char *const badness_names[] = { "fine", "throttle", "reclaim" };

/* Frames of memory reclaim; what it has called stands above them in a stack. */
static const char *const reclaim_frames[] = {
	"try_to_free_pages", "try_to_free_mem_cgroup_pages", "shrink_node", "shrink_slab",
	"do_shrink_slab",
};
/*
 * What reclaim must not be in the middle of, in a task that the stack above waits for. Not
 * super_cache_count(): it counts, whatever the allocation may do, and waits for nothing.
 */
static const char *const forbidden_frames[] = {
	"super_cache_scan", "prune_icache", "prune_dcache", " evict+",	     "pageout",
	"writeback",	    "wait_on_page", "io_schedule",  "reclaim_inode", "writepage",
};

static atomic_bool ended;
static int kmsg_fd;
static _Atomic uint64_t looked, seen[BADNESSES];
static _Atomic int64_t began_ms, longest_ms; /* of looks at the stacks */

static void on_term(int signal)
{
	(void)signal;
	ended = true;
}

static void say(const char *line, size_t len)
{
	/* a log that can't be written to has nobody to tell it to */
	(void)!write(kmsg_fd, line, len);
}

/* The whole of a small open file into TEXT, ended by 0: its length, or 0 when it can't be read. */
static size_t read_open(int fd, char *text, size_t cap)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len + 1 < cap) {
		n = pread(fd, text + len, cap - 1 - len, (off_t)len);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = 0;
	return len;
}

/* The same for a file by its path. */
static size_t read_file(const char *path, char *text, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = read_open(fd, text, cap);

	if (fd >= 0)
		close(fd);
	return len;
}

/* The number after WORD in TEXT, 0 if it isn't there. */
static uint64_t number_after(const char *text, const char *word)
{
	const char *p = strstr(text, word);

	return p ? strtoull(p + strlen(word), NULL, 10) : 0;
}

/* What is sampled. */
struct files {
	int disk_fd, meminfo_fd;
	bool reads; /* count, too */
};

static void sample(const struct files *files)
{
	static char text[8192], line[LINE];
	uint64_t sectors = 0, read_sectors = 0, dirty, writeback, unused;
	int len;

	/*
	 * fields 3 and 7: sectors read, written; when they complete (Documentation/block/stat.rst)
	 */
	if (read_open(files->disk_fd, text, sizeof(text)))
		(void)sscanf(text, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &read_sectors,
			     &sectors);
	sectors += files->reads ? read_sectors : 0;
	(void)read_open(files->meminfo_fd, text, sizeof(text));
	dirty = number_after(text, "\nDirty:");
	writeback = number_after(text, "\nWriteback:");
	unused = number_after(text, "\nMemFree:");
	len = snprintf(line, sizeof(line),
		       "lab: sample sectors=%" PRIu64 " dirty_kib=%" PRIu64
		       " writeback_kib=%" PRIu64 " free_kib=%" PRIu64 "\n",
		       sectors, dirty, writeback, unused);
	say(line, (size_t)len);
}

/* STACK is /proc/PID/task/TID/stack: `[<0>] name+0x1/0x2`, the innermost frame first. */
static enum badness judge(const char *stack)
{
	const char *reclaim = NULL;

	if (strstr(stack, "balance_dirty_pages"))
		return THROTTLE;
	for (size_t i = 0; i < sizeof(reclaim_frames) / sizeof(*reclaim_frames); i++) {
		const char *at = strstr(stack, reclaim_frames[i]);

		if (at && (!reclaim || at < reclaim))
			reclaim = at;
	}
	if (!reclaim)
		return FINE;
	for (size_t i = 0; i < sizeof(forbidden_frames) / sizeof(*forbidden_frames); i++) {
		const char *at = strstr(stack, forbidden_frames[i]);

		if (at && at < reclaim)
			return RECLAIM;
	}
	return FINE;
}

/* True the first time that it is asked about BADNESS of task TID. */
static bool is_news(uint64_t tid, enum badness badness)
{
	static struct {
		uint64_t tid;
		enum badness badness;
	} told[TASKS_TOLD];
	static unsigned count;

	for (unsigned i = 0; i < count; i++) {
		if (told[i].tid == tid && told[i].badness == badness)
			return false;
	}
	if (count == TASKS_TOLD)
		return false;
	told[count].tid = tid;
	told[count].badness = badness;
	count++;
	return true;
}

static void tell(uint64_t tid, const char *comm, enum badness badness, const char *stack)
{
	static char line[LINE];
	size_t len;
	const char *p = stack;

	len = (size_t)snprintf(line, sizeof(line),
			       "lab: stack %s %" PRIu64 " %.*s:", badness_names[badness], tid,
			       (int)strcspn(comm, "\n"), comm);
	for (unsigned i = 0; i < FRAMES_TOLD && (p = strstr(p, "[<0>] ")); i++) {
		p += strlen("[<0>] ");
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%.*s", i ? " < " : " ",
					(int)strcspn(p, "+ \n"), p);
		if (len + 2 >= sizeof(line)) {
			len = sizeof(line) - 2;
			break;
		}
	}
	line[len++] = '\n';
	say(line, len);
}

static void look_at_task(const char *pid, const char *tid)
{
	static char stack[8192], comm[64], path[128];
	enum badness badness;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/stack", pid, tid);
	if (!read_file(path, stack, sizeof(stack)))
		return;
	looked++;
	badness = judge(stack);
	seen[badness]++;
	if (badness == FINE || !is_news(strtoull(tid, NULL, 10), badness))
		return;
	snprintf(path, sizeof(path), "/proc/%s/task/%s/comm", pid, tid);
	(void)read_file(path, comm, sizeof(comm));
	tell(strtoull(tid, NULL, 10), comm, badness, stack);
}

struct dirent64_head {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* opendir() would allocate. */
static void look_at_process(const char *pid)
{
	static union {
		char bytes[16384];
		struct dirent64_head align;
	} entries;
	char path[64];
	long n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	while ((n = syscall(SYS_getdents64, fd, entries.bytes, sizeof(entries.bytes))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64_head *entry = (void *)(entries.bytes + at);

			if (entry->name[0] != '.')
				look_at_task(pid, entry->name);
			at += entry->reclen;
		}
	}
	close(fd);
}

static void look_with_children(const char *pid)
{
	static char children[1024];
	char path[128], *child, *rest;

	look_at_process(pid);
	snprintf(path, sizeof(path), "/proc/%s/task/%s/children", pid, pid);
	(void)read_file(path, children, sizeof(children));
	for (child = strtok_r(children, " \n", &rest); child; child = strtok_r(NULL, " \n", &rest))
		look_at_process(child);
}

static void pause_between(void)
{
	const struct timespec interval = { .tv_nsec = INTERVAL_MS * 1000000L };

	(void)nanosleep(&interval, NULL); /* a signal ends it early, as it should */
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long the look has taken that is under way; or an earlier one, if that took longer. */
static int64_t longest_look_ms(void)
{
	int64_t this_ms = now_ms() - began_ms, other_ms = longest_ms;

	return this_ms > other_ms ? this_ms : other_ms;
}

/* Looks at the processes ARG, a list that ends with NULL, time and again. */
static void *look_at_stacks(void *arg)
{
	char *const *pids = arg;

	while (!ended) {
		for (int i = 0; pids[i]; i++)
			look_with_children(pids[i]);
		pause_between();
		longest_ms = longest_look_ms();
		began_ms = now_ms();
	}
	return NULL;
}

/* Starts that thread, without SIGTERM and with a small stack. Returns 0 or -errno. */
static int start_thread(char **pids)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t term;
	int r;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	r = -pthread_attr_init(&attr);
	if (r < 0)
		return r;
	(void)pthread_attr_setstacksize(&attr, STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_BLOCK, &term, NULL);
	r = -pthread_create(&thread, &attr, look_at_stacks, pids);
	(void)pthread_sigmask(SIG_UNBLOCK, &term, NULL);
	(void)pthread_attr_destroy(&attr);
	return r;
}

static int open_files(struct files *files, const char *disk)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/stat", disk);
	files->disk_fd = open(path, O_RDONLY | O_CLOEXEC);
	files->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	return files->disk_fd < 0 || files->meminfo_fd < 0 || kmsg_fd < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };
	struct files files = { .reads = argc > 1 && strcmp(argv[1], "--reads") == 0 };
	char line[LINE];
	int r, len;

	argv += files.reads;
	argc -= files.reads;
	if (argc < 2 || argc > 2 + PROCESSES_MAX) {
		fprintf(stderr, "usage: lab-watch [--reads] DISK PID...\n");
		return 1;
	}
	r = open_files(&files, argv[1]);
	if (r == 0 &&
	    (sigaction(SIGTERM, &action, NULL) < 0 || mlockall(MCL_CURRENT | MCL_FUTURE) < 0))
		r = -errno;
	began_ms = now_ms();
	if (r == 0)
		r = start_thread(argv + 2);
	if (r < 0) {
		fprintf(stderr, "lab-watch: start: %s\n", strerror(-r));
		return 1;
	}
	while (!ended) {
		sample(&files);
		pause_between();
	}
	sample(&files);
	len = snprintf(line, sizeof(line),
		       "lab: stacks looked=%" PRIu64 " throttle=%" PRIu64 " reclaim=%" PRIu64
		       " longest_ms=%" PRId64 "\n",
		       looked, seen[THROTTLE], seen[RECLAIM], longest_look_ms());
	say(line, (size_t)len);
	return 0;
}
