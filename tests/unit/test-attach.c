/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking over the tables of inodes and files from a process that was killed at any moment: between
 * two instructions of each operation, one by one, or while several threads work on the tables. That
 * process shares its descriptors with this one. It writes down what it is about to do and what it
 * has done, in memory that outlives it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd-marks.h"
#include "base/macro.h"
#include "killed.h"
#include "store/cached-open.h"
#include "store/file.h"
#include "store/inode-rows.h"
#include "store/inode.h"
#include "store/store.h"
#include "test.h"

#define NAMES	   24
#define OPENS	   12
#define THREADS	   3
#define ROUNDS	   100
#define STOPS	   30	/* of an operation, at which it is killed */
#define STOPS_LONG 2000 /* the same with CAISSON_LONG=1 */
#define ROUND_US   3000
#define OWN_FDS	   64

/* How often something was begun and done. */
struct tally {
	_Atomic uint64_t begun, done;
};

/* One place for an open file. */
struct place {
	uint64_t fh; /* 0: none */
	uint32_t name;
	bool busy; /* being opened or closed */
};

/* Outlives the process. Each thread has its own part. */
struct diary {
	struct {
		struct tally looked_up[NAMES], forgotten[NAMES];
		uint64_t nodeid[NAMES]; /* while it has lookups of this thread, or 0 */
		uint64_t lookups[NAMES];
		struct place places[OPENS];
	} thread[THREADS];
};

static struct diary *diary;
static struct arena arena;
static struct inode_table inodes;
static struct file_table files;
static char path[64]; /* of the directory */
static int dir_fd;
static ino_t numbers[NAMES];
static int own_fds[OWN_FDS]; /* descriptors that are neither table's */
static int own_count;
static bool reopens; /* files can be opened by their handles here */

static const char *name_of(uint32_t i)
{
	static __thread char name[16];

	(void)snprintf(name, sizeof(name), "%u", i);
	return name;
}

static int open_path(uint32_t i)
{
	int fd = openat(dir_fd, name_of(i), O_PATH | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static struct inode *look_up(uint32_t i)
{
	int fd = open_path(i);
	struct inode *inode;
	struct statx stx;

	CHECK_EQ(store_statx(fd, INODE_STATX_MASK, &stx), 0);
	CHECK_EQ(inode_remember(&inodes, &fd, &stx, &inode), 0);
	return inode;
}

static void do_look_up(int self, uint32_t i)
{
	struct tally *tally = &diary->thread[self].looked_up[i];
	struct inode *inode;

	atomic_fetch_add(&tally->begun, 1);
	inode = look_up(i);
	diary->thread[self].nodeid[i] = inode_nodeid(&inodes, inode);
	diary->thread[self].lookups[i]++;
	KILL_FENCE();
	atomic_fetch_add(&tally->done, 1);
}

static void do_forget(int self, uint32_t i)
{
	struct tally *tally = &diary->thread[self].forgotten[i];
	uint64_t lookups = diary->thread[self].lookups[i];

	if (!lookups)
		return;
	atomic_fetch_add(&tally->begun, lookups);
	diary->thread[self].lookups[i] = 0;
	inode_forget(&inodes, diary->thread[self].nodeid[i], lookups);
	atomic_fetch_add(&tally->done, lookups);
}

static void do_open(int self, struct place *place, uint32_t i)
{
	bool write = i & 1;
	struct file fill = { .fd = -1, .buffered_fd = -1, .flags = write ? O_RDWR : O_RDONLY };
	struct inode *inode;

	place->name = i;
	KILL_FENCE();
	place->busy = true;
	KILL_FENCE();
	do_look_up(self, i); /* the kernel knows a file that it opens */
	inode = inode_get(&inodes, diary->thread[self].nodeid[i]);
	CHECK(inode != NULL);
	fill.fd = openat(dir_fd, name_of(i), (int)fill.flags | O_CLOEXEC);
	fill.buffered_fd = write ? openat(dir_fd, name_of(i), O_RDWR | O_CLOEXEC) : -1;
	CHECK(fill.fd >= 0);
	CHECK_EQ(file_open(&files, inode, &fill, &place->fh), 0);
	(void)inode_unpin(0);
	KILL_FENCE();
	place->busy = false;
}

static void do_close(struct place *place)
{
	struct file *file = file_get(&files, place->fh);

	CHECK(file != NULL);
	place->busy = true;
	KILL_FENCE();
	file_close(&files, file);
	place->fh = 0;
	KILL_FENCE();
	place->busy = false;
}

/* Drops descriptors of files that aren't open. */
static void drop(void)
{
	(void)inode_make_room(&inodes);
}

static void *work(void *arg)
{
	int self = (int)(intptr_t)arg;
	unsigned seed = (unsigned)(getpid() * THREADS + self);

	for (;;) {
		uint32_t i = (uint32_t)rand_r(&seed) % NAMES;
		struct place *place = &diary->thread[self].places[i % OPENS];

		switch (rand_r(&seed) % 5) {
		case 0:
			do_look_up(self, i);
			break;
		case 1:
			do_forget(self, i);
			break;
		case 2:
			drop();
			break;
		default:
			if (place->fh)
				do_close(place);
			else
				do_open(self, place, i);
			break;
		}
	}
	return NULL;
}

/* Lets a process work on the tables for a while, and kills it. */
static void live_and_die(unsigned us)
{
	pid_t pid = fork_with_files();

	if (pid == 0) {
		pthread_t thread;

		for (intptr_t i = 1; i < THREADS; i++)
			CHECK_EQ(pthread_create(&thread, NULL, work, (void *)i), 0);
		(void)work(NULL);
	}
	(void)usleep(us);
	CHECK(kill(pid, SIGKILL) == 0);
	await_kill(pid);
}

static uint64_t sum_done(int what, uint32_t i, bool begun)
{
	uint64_t sum = 0;

	for (int self = 0; self < THREADS; self++) {
		struct tally *tally = what ? &diary->thread[self].forgotten[i]
					   : &diary->thread[self].looked_up[i];

		sum += atomic_load(begun ? &tally->begun : &tally->done);
	}
	return sum;
}

static bool fd_is(int fd, ino_t number)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == number;
}

/* The open files that are known to be open are there with what they had, and no others. */
static void check_files(void)
{
	uint32_t known = 0, used = atomic_load(&files.used), busy = 0;

	for (int self = 0; self < THREADS; self++) {
		for (int i = 0; i < OPENS; i++) {
			const struct place *place = &diary->thread[self].places[i];
			const struct file *file = place->fh ? file_get(&files, place->fh) : NULL;

			if (place->busy) {
				busy++;
				continue;
			}
			if (!place->fh)
				continue;
			CHECK(file != NULL);
			CHECK(fd_is(file->fd, numbers[place->name]));
			known++;
		}
	}
	for (uint32_t row = 0; row < files.count; row++) {
		const struct file *file = &files.rows[row];
		ino_t number = inode_at(&inodes, file->known)->ino;

		if (!file_is_used(file))
			continue;
		CHECK(fd_is(file->fd, number));
		CHECK(file->buffered_fd < 0 || fd_is(file->buffered_fd, number));
	}
	CHECK(used >= known && used <= known + busy);
	CHECK_EQ(files.count - used, atomic_load(&files.pool.free));
}

static struct inode *find(uint32_t i)
{
	for (uint32_t row = 0; row < inode_row_count(&inodes); row++) {
		struct inode *inode = inode_at(&inodes, row);

		if (atomic_load(&inode->used) && inode->ino == numbers[i])
			return inode;
	}
	return NULL;
}

/* Each inode has its lookups, its opens and its descriptor, and is found by its nodeid. */
static void check_inodes(void)
{
	uint32_t opens = 0, used = 1; /* the root */

	for (uint32_t i = 0; i < NAMES; i++) {
		uint64_t most = sum_done(0, i, true) - sum_done(1, i, false);
		uint64_t least = sum_done(0, i, false) - sum_done(1, i, true);
		struct inode *inode = find(i);

		CHECK(inode != NULL || least == 0);
		if (!inode)
			continue;
		used++;
		opens += inode->opens;
		CHECK(inode->nlookup >= least && inode->nlookup <= most);
		CHECK(inode->nlookup > 0 || inode->opens > 0);
		CHECK(inode->fd < 0 ? inodes.common->mounts[0].reopens
				    : fd_is(inode->fd, numbers[i]));
		CHECK(inode_get(&inodes, inode->nodeid) == inode);
		(void)inode_unpin(0);
		CHECK(fd_is(inode->fd, numbers[i]));
		CHECK(inode->sync_fd < 0 || (inode->opens && fd_is(inode->sync_fd, numbers[i])));
		CHECK(look_up(i) == inode);
		inode_forget(&inodes, inode->nodeid, 1);
	}
	CHECK_EQ(opens, atomic_load(&files.used));
	CHECK_EQ(used, atomic_load(&inodes.used));
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and the directory itself */

	CHECK(dir != NULL);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

#define STRAY_FD 900 /* below the usual soft limit of 1024 */

/* Closes what neither table has, and checks that nothing else is open afterwards. */
static void sweep(void)
{
	struct fd_marks marks;
	int marked = 0;

	CHECK_EQ(fd_marks_init(&marks), 0);
	/* opened since then, far above all others */
	CHECK_EQ(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STRAY_FD), STRAY_FD);
	for (int i = 0; i < own_count; i++)
		fd_marks_add(&marks, own_fds[i]);
	inode_table_mark_fds(&inodes, &marks);
	file_table_mark_fds(&files, &marks);
	fd_marks_sweep(&marks);
	for (uint32_t i = 0; i < marks.count / 64; i++)
		marked += __builtin_popcountll(marks.bits[i]);
	fd_marks_destroy(&marks);
	CHECK_EQ(count_fds(), marked);
}

/* What the diary doesn't know for sure is forgotten, so that it is true of the tables again. */
static void start_afresh(void)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		struct inode *inode = find(i);
		uint64_t nodeid = inode ? inode->nodeid : 0;

		if (!inode)
			continue;
		if (inode->nlookup)
			inode_forget(&inodes, nodeid, inode->nlookup);
	}
	for (uint32_t row = 0; row < files.count; row++) {
		if (file_is_used(&files.rows[row]))
			file_close(&files, &files.rows[row]);
	}
	memset(diary, 0, sizeof(*diary));
	inodes.common->mounts[0].reopens = reopens;
	CHECK_EQ(atomic_load(&inodes.used), 1u);
}

static void detach(void)
{
	pool_destroy(&files.pool);
	inode_rows_close(&inodes);
}

static void attach(void)
{
	CHECK_EQ(inode_table_prepare(&inodes, &arena), 0);
	CHECK_EQ(inode_table_attach(&inodes), 0);
	inodes.session_fd = -1;
	CHECK_EQ(file_table_prepare(&files, &arena, &inodes), 0);
	file_table_attach(&files);
	cached_open_attach(&files);
	inode_table_free_unheld(&inodes);
}

static void note_own_fds(void)
{
	own_count = 0;
	for (int fd = 0; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) >= 0) {
			CHECK(own_count < OWN_FDS);
			own_fds[own_count++] = fd;
		}
	}
}

static void make(uint32_t rows)
{
	const char *tmp = getenv("TMPDIR");
	struct stat st;
	int fd;

	CHECK(snprintf(path, sizeof(path), "%s/caisson-test-XXXXXX", tmp ? tmp : "/tmp") <
	      (int)sizeof(path));
	CHECK(mkdtemp(path) != NULL);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir_fd >= 0);
	for (uint32_t i = 0; i < NAMES; i++) {
		fd = openat(dir_fd, name_of(i), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		CHECK(fd >= 0 && fstat(fd, &st) == 0);
		numbers[i] = st.st_ino;
		CHECK(close(fd) == 0);
	}
	arena_init(&arena);
	CHECK_EQ(inode_table_plan(&arena, rows), 0);
	CHECK_EQ(file_table_plan(&arena, THREADS * OPENS), 0);
	CHECK_EQ(arena_create(&arena), 0);
	note_own_fds();
	CHECK_EQ(inode_table_init(&inodes, &arena), 0);
	CHECK_EQ(file_table_init(&files, &arena, &inodes), 0);
	CHECK_EQ(inode_table_set_root(&inodes, dir_fd), 0);
	reopens = inodes.common->mounts[0].reopens;
	diary = mmap(NULL, sizeof(*diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	CHECK(diary != MAP_FAILED);
}

static void end(void)
{
	for (uint32_t i = 0; i < NAMES; i++)
		CHECK(unlinkat(dir_fd, name_of(i), 0) == 0);
	CHECK(rmdir(path) == 0);
	file_table_destroy(&files);
	inode_table_destroy(&inodes);
	arena_destroy(&arena);
	CHECK(munmap(diary, sizeof(*diary)) == 0);
	CHECK(close(dir_fd) == 0);
}

static void take_over(void)
{
	detach();
	attach();
	check_files();
	check_inodes();
	sweep();
	start_afresh();
}

/* -- One operation, stopped after any number of instructions -- */

static struct place *first, *second; /* of thread 0; for files that may be written to */

static void look_up_new(void)
{
	do_look_up(0, 1);
}

static void forget(void)
{
	do_forget(0, 1);
}

static void open_first(void)
{
	do_open(0, first, 1);
}

static void open_second(void)
{
	do_open(0, second, 1);
}

static void close_first(void)
{
	do_close(first);
}

/* As if the kernel refused to open files by their handles, which dropping one finds out. */
static void fail_to_reopen(void)
{
	inodes.common->mounts[0].reopens = false;
}

static const struct operation {
	const char *name;
	void (*before[4])(void);
	void (*act)(void);
} operations[] = {
	{ "look up for the first time", { NULL }, look_up_new },
	{ "look up again", { look_up_new }, look_up_new },
	{ "forget", { look_up_new }, forget },
	{ "forget an open one", { open_first }, forget },
	{ "open", { look_up_new }, open_first },
	{ "open again", { open_first }, open_second },
	{ "close one of two", { open_first, open_second }, close_first },
	{ "close the last one", { open_first }, close_first },
	{ "close a forgotten one", { open_first, forget }, close_first },
	{ "drop a descriptor", { look_up_new }, drop },
	{ "drop one that is needed", { look_up_new, fail_to_reopen }, drop },
};

/* Kills OPERATION after STOP instructions, or at its end. Returns how many it took. */
static uint64_t try(const struct operation *operation, uint64_t stop)
{
	uint64_t steps;

	for (int i = 0; operation->before[i]; i++)
		operation->before[i]();
	steps = kill_after(operation->act, stop);
	take_over();
	return steps;
}

static void tables_survive_between_any_two_instructions(void)
{
	uint64_t stops = getenv("CAISSON_LONG") ? STOPS_LONG : STOPS;

	if (!can_kill_after())
		return;
	make(NAMES + 1);
	first = &diary->thread[0].places[0];
	second = &diary->thread[0].places[1];
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		uint64_t all = try(&operations[i], UINT64_MAX);

		CHECK(all > 100); /* each step was seen */
		for (uint64_t n = 0; n < stops; n++)
			(void)try(&operations[i], kill_stop(all, n, stops));
	}
	end();
}

static void tables_survive_a_kill_of_many_threads(void)
{
	unsigned seed = (unsigned)getpid();

	make(NAMES / 2); /* more are made */
	for (int round = 0; round < ROUNDS; round++) {
		live_and_die((unsigned)rand_r(&seed) % ROUND_US);
		take_over();
	}
	end();
}

int main(void)
{
	srandom((unsigned)getpid());
	RUN(tables_survive_between_any_two_instructions);
	RUN(tables_survive_a_kill_of_many_threads);
	return test_result();
}
