/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine against real files: completeness, short I/O, ends of files, errors, io-wq bounds. */
#include "serve/engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macro.h"
#include "base/stats.h"
#include "test.h"

enum { DEPTH = 8, BUFFER = 1 << 20 };

struct bench {
	struct arena arena;
	struct stats_queue *stats;
	struct engine engine;
	uint8_t *buffers;
	int64_t results[DEPTH];
	unsigned completions[DEPTH];
	unsigned done;
	unsigned others;
};

static void done(void *arg, uint32_t index, int64_t result)
{
	struct bench *bench = arg;

	bench->results[index] = result;
	bench->completions[index]++;
	bench->done++;
}

static void woken(void *arg, uint32_t index, int result)
{
	struct bench *bench = arg;

	CHECK(index == 77 && result == 8);
	bench->others++;
}

static bool pinned;		    /* the buffers */
static struct engine_shared shared; /* as if there were no other queue, unless a test says so */

static void bench_open(struct bench *bench)
{
	struct engine_config config;

	memset(bench, 0, sizeof(*bench));
	arena_init(&bench->arena);
	CHECK(arena_plan(&bench->arena, ARENA_QUEUE_STATS, sizeof(struct stats_queue), 1, 64) == 0);
	CHECK(arena_plan(&bench->arena, ARENA_IOS, sizeof(struct io), DEPTH, 64) == 0);
	CHECK(arena_plan(&bench->arena, ARENA_DATA_BUFFERS, BUFFER, DEPTH, PAGE_BYTES) == 0);
	CHECK(arena_create(&bench->arena) == 0);
	bench->stats = arena_table(&bench->arena, ARENA_QUEUE_STATS);
	bench->buffers = arena_table(&bench->arena, ARENA_DATA_BUFFERS);
	config = (struct engine_config){
		.arena = &bench->arena,
		.stats = bench->stats,
		.owner = { .arg = bench, .done = done },
		.shared = &shared,
		.depth = DEPTH,
		.others = 4,
		.workers = 2,
		.buf_off = arena_off(&bench->arena, bench->buffers),
		.buf_len = pinned ? (uint64_t)DEPTH * BUFFER : 0,
	};
	CHECK(engine_init(&bench->engine, &config) == 0);
	CHECK(engine_start(&bench->engine) == 0);
	CHECK(geteuid() != 0 ||
	      bench->engine.pinned == pinned); /* others may have no room for it */
}

static void bench_close(struct bench *bench)
{
	engine_destroy(&bench->engine);
	arena_destroy(&bench->arena);
}

static uint8_t *buffer(struct bench *bench, uint32_t index)
{
	return bench->buffers + (size_t)index * BUFFER;
}

static void submit(struct bench *bench, uint32_t index, struct io io)
{
	io.buf_off = arena_off(&bench->arena, buffer(bench, index));
	bench->engine.ios[index] = io;
	engine_submit(&bench->engine, index);
}

static void wait_for(struct bench *bench, unsigned count)
{
	while (bench->done < count)
		CHECK(engine_turn(&bench->engine, 0) == 0);
}

static int64_t run(struct bench *bench, struct io io)
{
	submit(bench, 0, io);
	wait_for(bench, bench->done + 1);
	return bench->results[0];
}

static int temp_file(int flags)
{
	char path[] = "/var/tmp/caisson-test-engine-XXXXXX";
	int fd = mkstemp(path), again;

	CHECK(fd >= 0);
	again = open(path, O_RDWR | flags);
	unlink(path);
	close(fd);
	return again;
}

static void moves_every_byte(void)
{
	struct bench bench;
	int fd = temp_file(0);

	bench_open(&bench);
	for (uint32_t i = 0; i < DEPTH; i++) {
		memset(buffer(&bench, i), (int)(i + 1), BUFFER);
		submit(&bench, i,
		       (struct io){ .op = IO_WRITE,
				    .fd = fd,

				    .off = (uint64_t)i * BUFFER,
				    .len = BUFFER });
	}
	wait_for(&bench, DEPTH);
	for (uint32_t i = 0; i < DEPTH; i++) {
		CHECK(bench.results[i] == BUFFER);
		CHECK(bench.completions[i] == 1);
		memset(buffer(&bench, i), 0, BUFFER);
		submit(&bench, i,
		       (struct io){ .op = IO_READ,
				    .fd = fd,

				    .off = (uint64_t)i * BUFFER,
				    .len = BUFFER });
	}
	wait_for(&bench, 2 * DEPTH);
	for (uint32_t i = 0; i < DEPTH; i++) {
		CHECK(bench.results[i] == BUFFER);
		CHECK(buffer(&bench, i)[0] == i + 1 && buffer(&bench, i)[BUFFER - 1] == i + 1);
	}
	CHECK(bench.engine.in_flight == 0);
	close(fd);
	bench_close(&bench);
}

static void reads_stop_at_the_end(void)
{
	struct bench bench;
	int fd = temp_file(0);

	bench_open(&bench);
	CHECK(pwrite(fd, "0123456789", 10, 0) == 10);
	CHECK(run(&bench, (struct io){ .op = IO_READ, .fd = fd, .len = 4096 }) == 10);
	CHECK(run(&bench, (struct io){ .op = IO_READ, .fd = fd, .off = 10, .len = 4096 }) == 0);
	close(fd);
	bench_close(&bench);
}

/* A pipe gives what it has: the engine must come back for the rest. */
static void goes_on_when_short(void)
{
	struct bench bench;
	int ends[2];

	bench_open(&bench);
	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], "aaaa", 4) == 4);
	submit(&bench, 0, (struct io){ .op = IO_READ, .fd = ends[0], .len = 10 });
	CHECK(engine_turn(&bench.engine, 0) == 0);
	CHECK(bench.done == 0);
	CHECK(write(ends[1], "bbbbbb", 6) == 6);
	wait_for(&bench, 1);
	CHECK(bench.results[0] == 10);
	CHECK(memcmp(buffer(&bench, 0), "aaaabbbbbb", 10) == 0);
	CHECK(stat_get(&bench.stats->resumed) == 1);
	close(ends[0]);
	close(ends[1]);
	bench_close(&bench);
}

static void passes_errors_up_exactly(void)
{
	struct bench bench;
	int full = open("/dev/full", O_WRONLY);
	int null = open("/dev/null", O_RDONLY);

	bench_open(&bench);
	CHECK(full >= 0 && null >= 0);
	CHECK(run(&bench, (struct io){ .op = IO_WRITE, .fd = full, .len = 512 }) == -ENOSPC);
	CHECK(run(&bench, (struct io){ .op = IO_WRITE, .fd = null, .len = 512 }) == -EBADF);
	CHECK(run(&bench, (struct io){ .op = IO_FSYNC, .fd = 9999 }) == -EBADF);
	close(full);
	close(null);
	bench_close(&bench);
}

/* With a limit on the file's size the first part is written and the second can't be. */
static void reports_what_moved_before_an_error(void)
{
	struct rlimit old, limit;
	struct bench bench;
	int fd = temp_file(0);

	bench_open(&bench);
	CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
	limit = (struct rlimit){ .rlim_cur = 100000, .rlim_max = old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(run(&bench, (struct io){ .op = IO_WRITE, .fd = fd, .len = 200000 }) == 100000);
	CHECK(run(&bench, (struct io){ .op = IO_WRITE, .fd = fd, .off = 100000, .len = 4096 }) ==
	      -EFBIG);
	CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
	close(fd);
	bench_close(&bench);
}

/* O_DIRECT on what isn't aligned is refused by the filesystem, and the owner is told so. */
static void refuses_what_is_not_aligned(void)
{
	char path[] = "/var/tmp/caisson-test-engine-XXXXXX";
	struct bench bench;
	int buffered = mkstemp(path), direct = open(path, O_RDWR | O_DIRECT);

	unlink(path);
	close(buffered);
	if (direct < 0) {
		SKIP("no O_DIRECT on /var/tmp's filesystem");
		return;
	}
	bench_open(&bench);
	/* align 1: the caller thought that anything goes */
	CHECK(run(&bench, (struct io){ .op = IO_WRITE, .fd = direct, .align = 1, .len = 1000 }) ==
	      -EINVAL);
	CHECK(bench.engine.ios[0].error == -EINVAL);
	close(direct);
	bench_close(&bench);
}

/* What is allocated before a write is more than the write needs, and may fail without harm. */
static void allocates_before_a_write(void)
{
	struct bench bench;
	struct stat st;
	int fd = temp_file(0);
	struct io io = { .op = IO_WRITE, .fd = fd, .len = 4096, .alloc_len = 1 << 20 };

	bench_open(&bench);
	CHECK(run(&bench, io) == 4096);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 4096 && st.st_blocks >= 2048);
	io.alloc_off = INT64_MAX;
	CHECK(run(&bench, io) == 4096);
	close(fd);
	bench_close(&bench);
}

static void allocates_and_punches(void)
{
	struct bench bench;
	struct stat st;
	int fd = temp_file(0);

	bench_open(&bench);
	CHECK(run(&bench, (struct io){ .op = IO_FALLOCATE, .fd = fd, .len = 1 << 20 }) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 1 << 20 && st.st_blocks >= 2048);
	CHECK(run(&bench, (struct io){ .op = IO_FALLOCATE,
				       .fd = fd,
				       .len = 1 << 20,
				       .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE }) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_blocks < 64);
	CHECK(run(&bench, (struct io){ .op = IO_FDATASYNC, .fd = fd }) == 0);
	close(fd);
	bench_close(&bench);
}

/* Set-id bits stay when root writes or allocates, and go with either of the other identities. */
static void identities_clear_setid(void)
{
	static const enum io_identity identities[] = { IO_WITHOUT_FSETID, IO_AS_USER };
	static const enum io_op ops[] = { IO_WRITE, IO_FALLOCATE };
	struct bench bench;
	struct stat st;
	int fd = temp_file(0);

	bench_open(&bench);
	if (!bench.engine.personality[IO_AS_USER]) {
		SKIP("no CAP_FSETID: the kernel clears the bits for us anyway");
		goto out;
	}
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct io io = { .op = (uint8_t)ops[i], .fd = fd, .len = 512 };
		int64_t all = ops[i] == IO_WRITE ? 512 : 0;

		CHECK(fchmod(fd, 04755) == 0 && run(&bench, io) == all);
		CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 04755);
		for (size_t j = 0; j < ARRAY_SIZE(identities); j++) {
			io.identity = (uint8_t)identities[j];
			CHECK(fchmod(fd, 04755) == 0 && run(&bench, io) == all);
			CHECK(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0755);
		}
	}
out:
	close(fd);
	bench_close(&bench);
}

static unsigned count_iowq_workers(void)
{
	struct dirent *entry;
	unsigned workers = 0;
	DIR *tasks = opendir("/proc/self/task");

	CHECK(tasks != NULL);
	while ((entry = readdir(tasks))) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "r");
		if (file && fgets(comm, sizeof(comm), file) && !strncmp(comm, "iou-wrk-", 8))
			workers++;
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return workers;
}

/* One worker is there before anything needs it (S7), and never more than were allowed. */
static void has_its_workers_from_the_start(void)
{
	struct bench bench;
	int fd = temp_file(0);

	bench_open(&bench);
	CHECK(count_iowq_workers() >= 1);
	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < DEPTH; i++)
			submit(&bench, i, (struct io){ .op = IO_FSYNC, .fd = fd });
		wait_for(&bench, bench.done + DEPTH);
		CHECK(count_iowq_workers() <= 2 + 1);
	}
	close(fd);
	bench_close(&bench);
}

static void tells_the_user_of_a_tag(void)
{
	struct bench bench;
	struct io_uring_sqe *sqe;
	uint64_t value = 1;
	int fd = eventfd(5, 0);

	bench_open(&bench);
	engine_on(&bench.engine, ENGINE_WAKE, &(struct engine_user){ woken, &bench });
	sqe = engine_sqe(&bench.engine, ENGINE_WAKE, 77);
	io_uring_prep_read(sqe, fd, &value, sizeof(value), 0);
	while (!bench.others)
		CHECK(engine_turn(&bench.engine, 0) == 0);
	CHECK(value == 5);
	close(fd);
	bench_close(&bench);
}

static void run_all(void)
{
	RUN(moves_every_byte);
	RUN(reads_stop_at_the_end);
	RUN(goes_on_when_short);
	RUN(passes_errors_up_exactly);
	RUN(reports_what_moved_before_an_error);
	RUN(refuses_what_is_not_aligned);
	RUN(allocates_before_a_write);
	RUN(allocates_and_punches);
	RUN(identities_clear_setid);
	RUN(has_its_workers_from_the_start);
	RUN(tells_the_user_of_a_tag);
}

int main(void)
{
	run_all();
	pinned = true;
	run_all();
	return test_result();
}
