/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task audit: on the files of a made-up /proc, and on this very process while its threads and
 * io_uring workers come and go.
 */
#include "caisson/reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "reclaim/proc.h"
#include "shadow.h"
#include "test.h"

#define MARKED "1572864" /* CAISSON_FLUSHER_MASK */

/* -- A made-up /proc -- */

static char root[64];
static int root_fd;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void root_open(void)
{
	strcpy(root, "/tmp/caisson-test-audit-XXXXXX");
	CHECK(mkdtemp(root) != NULL);
	root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(root_fd >= 0);
}

static void root_close(void)
{
	CHECK_EQ(close(root_fd), 0);
	CHECK_EQ(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put(const char *path, const char *text)
{
	int fd = openat(root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t len = strlen(text);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, len), (ssize_t)len);
	CHECK_EQ(close(fd), 0);
}

static void make_dir(const char *path)
{
	CHECK(mkdirat(root_fd, path, 0755) == 0 || errno == EEXIST);
}

#define STATUS                                                                                     \
	"Name:\tx\nTgid:\t10\nUid:\t1\t2\t3\t4\nVmSize:\t    1000 kB\nVmLck:\t     900 kB\n"       \
	"VmRSS:\t     800 kB\nCapEff:\t00000000a80425fb\n"
#define SMAP_LOCKED                                                                                \
	"55ff00000000-55ff00001000 r--p 00000000 fe:00 1 /bin/x y\nSize: 4 kB\nRss: 4 kB\n"        \
	"VmFlags: rd mr mw me lo \n"
#define SMAP_UNLOCKED                                                                              \
	"7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \nSize: 8 kB\nRss: 0 kB\n"                \
	"VmFlags: rd wr mr mw me ac \n"
#define SMAP_RING                                                                                  \
	"7f1000000000-7f1000001000 rw-s 00000000 00:10 9 anon_inode:[io_uring]\nRss: 4 kB\n"       \
	"VmFlags: rd wr sh mr mw ms de mm \n"
#define SMAP_VSYSCALL                                                                              \
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nRss: 0 kB\n"          \
	"VmFlags: ex \n"

/* Task TID of process 10, with FIELDS from the name on; all that is asked of a first task. */
static void put_task(int tid, const char *fields)
{
	char path[64], text[256];

	make_dir("10");
	make_dir("10/task");
	snprintf(path, sizeof(path), "10/task/%d", tid);
	make_dir(path);
	snprintf(path, sizeof(path), "10/task/%d/stat", tid);
	snprintf(text, sizeof(text), "%d %s", tid, fields);
	put(path, text);
	snprintf(path, sizeof(path), "10/task/%d/status", tid);
	put(path, STATUS);
	snprintf(path, sizeof(path), "10/task/%d/oom_score_adj", tid);
	put(path, "-1000\n");
	snprintf(path, sizeof(path), "10/task/%d/smaps", tid);
	put(path, SMAP_LOCKED SMAP_RING SMAP_VSYSCALL);
}

struct seen {
	unsigned int count, marked;
	int fail_with;
};

static int count_task(const struct caisson_task *task, void *arg)
{
	struct seen *seen = arg;

	seen->count++;
	seen->marked += caisson_flags_are_marked(task->flags);
	return seen->fail_with;
}

static int audit_10(struct caisson_audit_summary *ret_summary)
{
	return caisson_audit_at(root_fd, 10, NULL, NULL, ret_summary);
}

static void sums_up(void)
{
	struct caisson_audit_summary summary;
	struct seen seen = { 0 };

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	put_task(11, "(half) S 1 2 3 4 -1 524288 7 8 9 0\n");
	put_task(12, "(iou-wrk-10) S 1 2 3 4 -1 1572880 7 8 9 0\n");
	put_task(13, "(dead) Z 1 2 3 4 -1 0 7 8 9 0\n");
	put_task(14, "(deader) X 1 2 3 4 -1 0 7 8 9 0\n");
	make_dir("10/task/15"); /* gone before it was read: no stat */
	make_dir("10/task/not-a-number");
	CHECK_EQ(caisson_audit_at(root_fd, 10, count_task, &seen, &summary), 0);
	CHECK_EQ(seen.count, 3u);
	CHECK_EQ(seen.marked, 2u);
	CHECK_EQ(summary.pid, 10);
	CHECK_EQ(summary.uid, 2u);
	CHECK_EQ(summary.cap_effective, 0xa80425fbu);
	CHECK_EQ(summary.oom_score_adj, -1000);
	CHECK_EQ(summary.tasks, 3u);
	CHECK_EQ(summary.marked, 2u);
	CHECK_EQ(summary.io_workers, 1u);
	CHECK_EQ(summary.vanished, 3u);
	CHECK_EQ(summary.passes, 2u);
	CHECK_EQ(summary.settled, 1u);
	CHECK_EQ(summary.vm_size_bytes, 1000u << 10);
	CHECK_EQ(summary.vm_lck_bytes, 900u << 10);
	CHECK_EQ(summary.vm_rss_bytes, 800u << 10);
	CHECK_EQ(summary.memory, CAISSON_MEMORY_LOCKED);
	CHECK_EQ(summary.special_bytes, 8192u);
	CHECK(!caisson_audit_is_marked(&summary));
	CHECK(caisson_audit_is_locked(&summary));
	put_task(11, "(whole) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	CHECK_EQ(audit_10(&summary), 0);
	CHECK(caisson_audit_is_marked(&summary));
	root_close();
}

static void callback_ends_the_audit(void)
{
	struct caisson_audit_summary summary = { .pid = 77 };
	struct seen seen = { .fail_with = -ECANCELED };

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 0 7 8 9 0\n");
	put_task(11, "(more) S 1 2 3 4 -1 0 7 8 9 0\n");
	CHECK_EQ(caisson_audit_at(root_fd, 10, count_task, &seen, &summary), -ECANCELED);
	CHECK_EQ(seen.count, 1u);
	CHECK_EQ(summary.pid, 77);
	root_close();
}

struct births {
	int next, last; /* TIDs that are still to be born, one at each callback */
	unsigned int count;
};

static int give_birth(const struct caisson_task *task, void *arg)
{
	struct births *births = arg;

	(void)task;
	births->count++;
	if (births->next <= births->last)
		put_task(births->next++, "(young) S 1 2 3 4 -1 0 7 8 9 0\n");
	return 0;
}

/* A list that is read already can't hold who is made now: it takes another. */
static void lists_again_until_nobody_is_new(void)
{
	struct births births = { .next = 20, .last = 23 };
	struct caisson_audit_summary summary;

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	CHECK_EQ(caisson_audit_at(root_fd, 10, give_birth, &births, &summary), 0);
	CHECK_EQ(births.count, 5);
	CHECK_EQ(summary.tasks, 5);
	CHECK_EQ(summary.marked, 1);
	CHECK_EQ(summary.settled, 1);
	CHECK(summary.passes >= 3);
	root_close();
}

static void gives_up_where_tasks_come_too_fast(void)
{
	struct births births = { .next = 20, .last = INT_MAX - 1 };
	struct caisson_audit_summary summary;

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	CHECK_EQ(caisson_audit_at(root_fd, 10, give_birth, &births, &summary), 0);
	CHECK_EQ(summary.settled, 0);
	CHECK_EQ(summary.passes, 16);
	summary.marked = summary.tasks; /* even if all that were seen were marked */
	CHECK(!caisson_audit_is_marked(&summary));
	root_close();
}

static int bury(const struct caisson_task *task, void *arg)
{
	(void)arg;
	/* whichever of the two comes first takes the other with it */
	CHECK_EQ(unlinkat(root_fd, task->tid == 10 ? "10/task/11/stat" : "10/task/10/stat", 0), 0);
	return 0;
}

static void tasks_may_vanish_after_listing(void)
{
	struct caisson_audit_summary summary;

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	put_task(11, "(other) S 1 2 3 4 -1 0 7 8 9 0\n");
	CHECK_EQ(caisson_audit_at(root_fd, 10, bury, NULL, &summary), 0);
	CHECK_EQ(summary.tasks, 1);
	CHECK_EQ(summary.vanished, 1);
	CHECK_EQ(summary.settled, 1);
	root_close();
}

static void too_many_tasks(void)
{
	struct caisson_audit_summary summary;

	root_open();
	for (int tid = 10; tid <= 10 + CAISSON_AUDIT_TASKS_MAX; tid++) {
		put_task(tid, "(one) S 1 2 3 4 -1 0 7 8 9 0\n");
		if (tid == 9 + CAISSON_AUDIT_TASKS_MAX) {
			CHECK_EQ(audit_10(&summary), 0);
			CHECK_EQ(summary.tasks, CAISSON_AUDIT_TASKS_MAX);
			CHECK_EQ(summary.settled, 1);
		}
	}
	CHECK_EQ(audit_10(&summary), -E2BIG);
	root_close();
}

static enum caisson_memory_state judge(const char *smaps, struct caisson_audit_summary *ret_summary)
{
	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 0 7 8 9 0\n");
	put("10/task/10/smaps", smaps);
	CHECK_EQ(audit_10(ret_summary), 0);
	root_close();
	return ret_summary->memory;
}

static void one_unlocked_mapping_is_enough(void)
{
	struct caisson_audit_summary summary;

	CHECK_EQ(judge(SMAP_LOCKED SMAP_UNLOCKED SMAP_LOCKED, &summary), CAISSON_MEMORY_UNLOCKED);
	CHECK_EQ(summary.unlocked_maps, 1u);
	CHECK_EQ(summary.unlocked_bytes, 8192u);
	CHECK_EQ(summary.unlocked_address, 0x7f0000000000u);
}

static void locked_on_fault_counts_once_present(void)
{
	static const char present[] =
		"1000-2000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr lo lf \n";
	static const char absent[] =
		"1000-2000 rw-p 00000000 00:00 0 \nRss: 0 kB\nVmFlags: rd wr lo lf \n";
	struct caisson_audit_summary summary;

	CHECK_EQ(judge(present, &summary), CAISSON_MEMORY_LOCKED);
	CHECK_EQ(judge(absent, &summary), CAISSON_MEMORY_UNLOCKED);
}

static void tells_what_is_absent(void)
{
	static const char smaps[] =
		"1000-5000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr lo \n"
		"5000-9000 ---p 00000000 00:00 0 \nRss: 0 kB\nVmFlags: lo \n";
	struct caisson_audit_summary summary;

	CHECK_EQ(judge(smaps, &summary), CAISSON_MEMORY_LOCKED);
	CHECK_EQ(summary.absent_bytes, 0x3000u);
}

/* Flags are words, not substrings: "xlo" or "lo" across a blank isn't the lock. */
static void flags_are_words(void)
{
	struct caisson_audit_summary summary;

	CHECK_EQ(judge("1000-2000 rw-p 0 0:0 0\nRss: 4 kB\nVmFlags: rd wl ox nolo\n", &summary),
		 CAISSON_MEMORY_UNLOCKED);
	CHECK_EQ(judge("1000-2000 rw-p 0 0:0 0\nRss: 4 kB\nVmFlags: lo", &summary),
		 CAISSON_MEMORY_LOCKED);
}

/* A mapping's path may be 16 KiB long, escaped; its own lines still count. */
static void long_lines_are_cut(void)
{
	static char smaps[20000];
	struct caisson_audit_summary summary;
	size_t len = (size_t)snprintf(smaps, sizeof(smaps), "1000-2000 rw-p 0 0:0 0 /");

	memset(smaps + len, 'x', 16384);
	strcpy(smaps + len + 16384, "\nRss: 4 kB\nVmFlags: rd wr lo \n");
	CHECK_EQ(judge(smaps, &summary), CAISSON_MEMORY_LOCKED);
	CHECK_EQ(summary.absent_bytes, 0u);
}

static void smaps_that_says_nothing_is_no_lock(void)
{
	static const char *const broken[] = {
		"rubbish\n",			       /* no mapping at all */
		"1000-2000 rw-p 0 0:0 0\nRss: 4 kB\n", /* cut short */
		"1000-2000 rw-p 0 0:0 0\n1000-2000 rw-p 0 0:0 0\nVmFlags: lo\n",
		"2000-1000 rw-p 0 0:0 0\nVmFlags: lo\n",
		"1000-2000 rw-p 0 0:0 0\nRss: x kB\nVmFlags: lo\n",
		"1000-2000 rw-p 0 0:0 0\nRss: 99999999999999999999 kB\nVmFlags: lo\n",
		"VmFlags: lo\n",
		"",
	};
	struct caisson_audit_summary summary;

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		CHECK_EQ(judge(broken[i], &summary), CAISSON_MEMORY_UNKNOWN);
		CHECK(summary.memory_error == -EBADMSG || summary.memory_error == -ESRCH);
		CHECK(!caisson_audit_is_locked(&summary));
	}
}

/* smaps is only for those who may trace the process; status is for all. */
static void without_smaps(void)
{
	struct caisson_audit_summary summary;

	root_open();
	put_task(10, "(main) S 1 2 3 4 -1 0 7 8 9 0\n");
	CHECK_EQ(unlinkat(root_fd, "10/task/10/smaps", 0), 0);
	CHECK_EQ(symlinkat("smaps", root_fd, "10/task/10/smaps"), 0); /* ELOOP for anybody */
	CHECK_EQ(audit_10(&summary), 0);
	CHECK_EQ(summary.memory, CAISSON_MEMORY_UNKNOWN);
	CHECK_EQ(summary.memory_error, -ELOOP);
	put("10/task/10/status", "Tgid: 10\nUid: 0 0 0 0\nVmSize: 8 kB\nVmLck: 0 kB\n"
				 "VmRSS: 4 kB\nCapEff: 0\n");
	CHECK_EQ(audit_10(&summary), 0);
	CHECK_EQ(summary.memory, CAISSON_MEMORY_UNLOCKED);
	root_close();
}

/* main() may end while its threads go on: a zombie without memory is the first in the list. */
static void asks_a_living_task(void)
{
	struct caisson_audit_summary summary;

	root_open();
	put_task(10, "(main) Z 1 2 3 4 -1 4 7 8 9 0\n");
	put_task(11, "(leaving) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	put("10/task/11/status", "Tgid: 10\nUid: 0 0 0 0\nCapEff: 0\n");
	put("10/task/11/smaps", "");
	put_task(12, "(goes-on) S 1 2 3 4 -1 " MARKED " 7 8 9 0\n");
	put("10/task/10/status", "Tgid: 10\nUid: 0 0 0 0\nCapEff: 0\n");
	CHECK_EQ(audit_10(&summary), 0);
	CHECK_EQ(summary.tasks, 2u);
	CHECK_EQ(summary.vm_size_bytes, 1000u << 10);
	CHECK(caisson_audit_is_marked(&summary));
	CHECK(caisson_audit_is_locked(&summary));
	root_close();
}

static void process_errors(void)
{
	struct caisson_audit_summary summary;

	root_open();
	CHECK_EQ(audit_10(&summary), -ESRCH);
	CHECK_EQ(caisson_audit_at(root_fd, -1, NULL, NULL, &summary), -EINVAL);
	put_task(10, "(main) Z 1 2 3 4 -1 4 7 8 9 0\n");
	CHECK_EQ(audit_10(&summary), -ESRCH);
	put_task(10, "(kthread) S 1 2 3 4 -1 2097152 7 8 9 0\n");
	CHECK_EQ(audit_10(&summary), -EINVAL);
	put_task(10, "(main) S 1 2\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	put("10/task/10/stat", "11 (other) S 1 2 3 4 -1 0 7 8 9 0\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	put_task(10, "(main) S 1 2 3 4 -1 0 7 8 9 0\n");
	put("10/task/10/oom_score_adj", "many\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	put("10/task/10/oom_score_adj", "1000\n");
	put("10/task/10/status", "Tgid: 10\nUid: 0\nCapEff: 0\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	put("10/task/10/status", "Tgid: 10\nUid: 0 0 0 0\nCapEff: 0\nVmSize: 4 kB\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	put("10/task/10/status", "Uid: 0 0 0 0\nCapEff: 0\n");
	CHECK_EQ(audit_10(&summary), -EBADMSG);
	root_close();
}

/* -- This process -- */

enum { LASTING = 24, AUDITS = 60 };

struct crowd {
	_Atomic int tids[LASTING];
	_Atomic bool stop;
	pthread_barrier_t ready;
};

static void *last(void *arg)
{
	struct crowd *crowd = arg;
	static _Atomic int next;

	atomic_store(&crowd->tids[atomic_fetch_add(&next, 1)], gettid());
	pthread_barrier_wait(&crowd->ready);
	pthread_barrier_wait(&crowd->ready); /* until the audits are done */
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

static void *churn(void *arg)
{
	struct crowd *crowd = arg;

	while (!atomic_load(&crowd->stop)) {
		pthread_t threads[4];

		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			CHECK_EQ(pthread_create(&threads[i], NULL, nothing, NULL), 0);
		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			CHECK_EQ(pthread_join(threads[i], NULL), 0);
	}
	return NULL;
}

struct roll {
	const struct crowd *crowd;
	unsigned int found[LASTING];
};

static int call_roll(const struct caisson_task *task, void *arg)
{
	struct roll *roll = arg;

	for (size_t i = 0; i < LASTING; i++)
		if (atomic_load(&roll->crowd->tids[i]) == task->tid)
			roll->found[i]++;
	return 0;
}

/* Threads that stay are all found, once each, whatever comes and goes around them. */
static void misses_nobody_in_a_crowd(void)
{
	static struct crowd crowd;
	pthread_t lasting[LASTING], churning;
	unsigned int vanished = 0, unsettled = 0;

	CHECK_EQ(pthread_barrier_init(&crowd.ready, NULL, LASTING + 1), 0);
	CHECK_EQ(pthread_create(&churning, NULL, churn, &crowd), 0);
	for (size_t i = 0; i < LASTING; i++)
		CHECK_EQ(pthread_create(&lasting[i], NULL, last, &crowd), 0);
	pthread_barrier_wait(&crowd.ready);
	for (int i = 0; i < AUDITS; i++) {
		struct roll roll = { .crowd = &crowd };
		struct caisson_audit_summary summary;

		errno = 12345;
		CHECK_EQ(caisson_audit(0, call_roll, &roll, &summary), 0);
		CHECK_EQ(errno, 12345);
		for (size_t j = 0; j < LASTING; j++)
			CHECK_EQ(roll.found[j], 1u);
		CHECK_EQ(summary.pid, getpid());
		CHECK_EQ(summary.uid, geteuid());
		vanished += summary.vanished;
		unsettled += !summary.settled;
	}
	printf("      %u tasks vanished, %u audits didn't settle\n", vanished, unsettled);
	atomic_store(&crowd.stop, true);
	CHECK_EQ(pthread_join(churning, NULL), 0);
	pthread_barrier_wait(&crowd.ready);
	for (size_t i = 0; i < LASTING; i++)
		CHECK_EQ(pthread_join(lasting[i], NULL), 0);
	CHECK_EQ(pthread_barrier_destroy(&crowd.ready), 0);
}

struct workers {
	unsigned int workers;
	uint32_t flags;
};

static int find_worker(const struct caisson_task *task, void *arg)
{
	struct workers *found = arg;

	if (task->kind == CAISSON_TASK_IO_WORKER) {
		found->workers++;
		found->flags = task->flags;
	}
	return 0;
}

/* A worker that io_uring has made is a task as any other, and has its owner's mark or none. */
static void finds_io_uring_workers(void)
{
	struct caisson_audit_summary summary;
	struct workers found = { 0 };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	uint32_t mine;
	char byte;
	int pipe_fds[2];
	int r = io_uring_queue_init(4, &ring, 0);

	if (r < 0) {
		SKIP("no io_uring: %s", strerror(-r));
		return;
	}
	CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, pipe_fds[0], &byte, 1, 0);
	sqe->flags |= IOSQE_ASYNC; /* which a worker does, and blocks in */
	CHECK_EQ(io_uring_submit(&ring), 1);
	do { /* it is made when the kernel gets to it; the test's time-out is the limit */
		found = (struct workers){ 0 };
		CHECK_EQ(caisson_audit(0, find_worker, &found, &summary), 0);
	} while (found.workers == 0);
	CHECK_EQ(summary.io_workers, found.workers);
	CHECK_EQ(caisson_flusher_state(0, &mine), 0);
	CHECK_EQ(found.flags & CAISSON_FLUSHER_MASK, mine);
	CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
	CHECK_EQ(io_uring_wait_cqe(&ring, &cqe), 0);
	CHECK_EQ(cqe->res, 1);
	io_uring_queue_exit(&ring);
	CHECK_EQ(close(pipe_fds[0]), 0);
	CHECK_EQ(close(pipe_fds[1]), 0);
}

static void finds_its_own_odd_name(void)
{
	char before[CAISSON_COMM_SIZE], comm[] = ") R 1 (\n\xff";
	struct caisson_task task;

	CHECK_EQ(prctl(PR_GET_NAME, before), 0);
	CHECK_EQ(prctl(PR_SET_NAME, comm), 0);
	CHECK_EQ(caisson_proc_stat(AT_FDCWD, "/proc/thread-self/stat", &task), 0);
	CHECK_STR(task.comm, comm);
	CHECK_EQ(task.tid, gettid());
	CHECK_EQ(prctl(PR_SET_NAME, before), 0);
}

static void others_and_nobody(void)
{
	struct caisson_audit_summary summary;
	siginfo_t info;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* if a check fails, it mustn't stay */
		pause();
		_exit(0);
	}
	CHECK_EQ(caisson_audit(child, NULL, NULL, &summary), 0);
	CHECK_EQ(summary.pid, child);
	CHECK_EQ(summary.tasks, 1u + HAS_SHADOW_THREAD);
	CHECK_EQ(kill(child, SIGKILL), 0);
	CHECK_EQ(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	CHECK_EQ(caisson_audit(child, NULL, NULL, &summary), -ESRCH); /* a zombie */
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_EQ(caisson_audit(child, NULL, NULL, &summary), -ESRCH);
}

static void sealed_life(void)
{
	struct caisson_audit_summary summary;
	struct rusage before, after;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory;

	CHECK_EQ(caisson_memory_lock(0), 0);
	CHECK_EQ(caisson_stack_prefault(CAISSON_AUDIT_STACK), 0);
	CHECK_EQ(caisson_audit(0, NULL, NULL, &summary), 0); /* binds the symbols */
	CHECK(caisson_audit_is_locked(&summary));
	CHECK_EQ(summary.absent_bytes, 0u);
	CHECK_EQ(getrusage(RUSAGE_SELF, &before), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(caisson_audit(0, NULL, NULL, &summary), 0);
	CHECK_EQ(getrusage(RUSAGE_SELF, &after), 0);
	CHECK_EQ(after.ru_minflt + after.ru_majflt, before.ru_minflt + before.ru_majflt);

	/* and one page that isn't locked is found among all the others */
	memory = mmap(NULL, 16 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_EQ(munlock(memory + 7 * page, page), 0);
	CHECK_EQ(caisson_audit(0, NULL, NULL, &summary), 0);
	CHECK_EQ(summary.memory, CAISSON_MEMORY_UNLOCKED);
	CHECK_EQ(summary.unlocked_maps, 1u);
	CHECK_EQ(summary.unlocked_bytes, page);
	CHECK_EQ(summary.unlocked_address, (uintptr_t)memory + 7 * page);
}

static void audits_a_sealed_process_without_a_fault(void)
{
	uint64_t limit;
	pid_t child;
	int status;

	CHECK_EQ(caisson_memory_limit(&limit), 0);
	if (limit != UINT64_MAX) {
		SKIP("no CAP_IPC_LOCK, and RLIMIT_MEMLOCK is %llu bytes",
		     (unsigned long long)limit);
		return;
	}
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		sealed_life();
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

int main(void)
{
	RUN(sums_up);
	RUN(callback_ends_the_audit);
	RUN(lists_again_until_nobody_is_new);
	RUN(gives_up_where_tasks_come_too_fast);
	RUN(tasks_may_vanish_after_listing);
	RUN(too_many_tasks);
	RUN(one_unlocked_mapping_is_enough);
	RUN(locked_on_fault_counts_once_present);
	RUN(tells_what_is_absent);
	RUN(flags_are_words);
	RUN(long_lines_are_cut);
	RUN(smaps_that_says_nothing_is_no_lock);
	RUN(without_smaps);
	RUN(asks_a_living_task);
	RUN(process_errors);
	RUN(finds_its_own_odd_name);
	RUN(others_and_nobody);
	RUN(finds_io_uring_workers);
	RUN(misses_nobody_in_a_crowd);
	if (!HAS_SHADOW)
		RUN(audits_a_sealed_process_without_a_fault);
	return test_result();
}
