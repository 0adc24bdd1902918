/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dropper: what is dropped before which answer, and that each is given once. */
#include "serve/dropper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "serve/request.h"
#include "store/fs.h"
#include "test.h"

enum { REQUESTS = 64, INODES = 200, FILE_ROW = 7 };

struct notification {
	struct fuse_out_header header;
	struct fuse_notify_inval_inode_out inode;
};

static struct arena arena;
static struct fs fs;
static struct dropper dropper;
static struct request *requests;
static pthread_t thread;
static int kernel_fd;			      /* where notifications arrive */
static _Atomic unsigned answers[REQUESTS];    /* by request */
static _Atomic uint32_t answered;	      /* of all */
static _Atomic int last_to_be_looked_at = -1; /* the request before whose answer … */
static uint32_t seen_before_last;	      /* … so many notifications have come */

static uint32_t count_notifications(struct notification *ret_last)
{
	struct notification got;
	uint32_t count = 0;

	while (read(kernel_fd, &got, sizeof(got)) == sizeof(got)) {
		CHECK_EQ(got.header.error, FUSE_NOTIFY_INVAL_INODE);
		if (ret_last)
			*ret_last = got;
		count++;
	}
	return count;
}

static void dropped(void *arg, struct request *request)
{
	CHECK(arg == &arena);
	CHECK_EQ(request_state(request), REQUEST_REPLY);
	if (atomic_load(&last_to_be_looked_at) == (int)request->index)
		seen_before_last = count_notifications(NULL);
	atomic_fetch_add(&answers[request->index], 1);
	atomic_fetch_add(&answered, 1);
}

static struct inode *inode_of(uint32_t row)
{
	struct inode *inode = inode_at(&fs.inodes, row);

	inode->used = true;
	inode->nodeid = 3ull << 32 | (row + 1);
	return inode;
}

static void open_all(uint32_t max_waiting)
{
	int ends[2];

	memset(&fs, 0, sizeof(fs));
	arena_init(&arena);
	CHECK(arena_plan(&arena, ARENA_REQUESTS, sizeof(struct request), REQUESTS, 64) == 0);
	CHECK(inode_table_plan(&arena, INODES) == 0);
	CHECK(arena_create(&arena) == 0);
	CHECK(inode_table_init(&fs.inodes, &arena) == 0);
	requests = arena_table(&arena, ARENA_REQUESTS);
	for (uint32_t i = 0; i < REQUESTS; i++) {
		request_init(&requests[i], i, 0, 0, PAGE_BYTES);
		request_move(&requests[i], REQUEST_RUN);
		request_move(&requests[i], REQUEST_REPLY);
		requests[i].drop = (struct cached_drop){
			.reason = DROP_WRITTEN,
			.row = FILE_ROW,
			.off = i * 4096,
			.len = 4096,
		};
	}
	atomic_store(&inode_of(FILE_ROW)->cached_opens, 1); /* a reader */
	memset(answers, 0, sizeof(answers));
	atomic_store(&answered, 0);
	seen_before_last = 0;
	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	kernel_fd = ends[0];
	fs.inodes.session_fd = ends[1];
	dropper_init(&dropper, &fs, requests, max_waiting, dropped, &arena);
}

static void *run(void *arg)
{
	dropper_run(arg);
	return NULL;
}

static void start(void)
{
	CHECK(pthread_create(&thread, NULL, run, &dropper) == 0);
}

static void stop(void)
{
	dropper_stop(&dropper);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* When all that was put has been answered, and what is owed been paid. */
static void stop_at_leisure(void)
{
	while (atomic_load(&dropper.waiting))
		sched_yield();
	stop();
}

static void close_all(void)
{
	dropper_destroy(&dropper);
	CHECK(close(kernel_fd) == 0);
	CHECK(close(fs.inodes.session_fd) == 0);
	for (uint32_t row = 0; row < INODES; row++)
		inode_at(&fs.inodes, row)->used = false;
	inode_table_destroy(&fs.inodes);
	arena_destroy(&arena);
}

static void drops_and_then_answers(void)
{
	struct notification last;

	open_all(8);
	CHECK(dropper_put(&dropper, &requests[5]));
	CHECK_EQ(atomic_load(&dropper.waiting), 1u);
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answers[5]), 1u);
	CHECK_EQ(atomic_load(&dropper.waiting), 0u);
	CHECK_EQ(count_notifications(&last), 1u);
	CHECK_EQ(last.inode.ino, 3ull << 32 | (FILE_ROW + 1));
	CHECK_EQ(last.inode.off, 5 * 4096);
	CHECK_EQ(last.inode.len, 4096);
	close_all();
}

static void the_order_is_kept(void)
{
	open_all(8);
	requests[0].drop.reason = DROP_NONE;
	CHECK(dropper_put(&dropper, &requests[1]));
	CHECK(dropper_put(&dropper, &requests[2]));
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->drops), 2u); /* not who waits for these */
	atomic_store(&last_to_be_looked_at, 0);
	start();
	stop_at_leisure();
	atomic_store(&last_to_be_looked_at, -1);
	CHECK_EQ(atomic_load(&answered), 3u);
	CHECK_EQ(seen_before_last, 2u);
	CHECK_EQ(count_notifications(NULL), 0u);
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->drops), 0u);
	close_all();
}

/* Somebody has found the file changed, and comes to wait after another one who waits for that. */
static void what_is_due_is_dropped_by_who_comes_first(void)
{
	open_all(8);
	requests[0].drop = (struct cached_drop){ .row = FILE_ROW };
	requests[1].drop = (struct cached_drop){ .row = FILE_ROW };
	atomic_store(&inode_of(FILE_ROW)->drop_due, true);
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	atomic_store(&last_to_be_looked_at, 0);
	start();
	stop_at_leisure();
	atomic_store(&last_to_be_looked_at, -1);
	CHECK_EQ(atomic_load(&answered), 2u);
	CHECK_EQ(seen_before_last, 1u);
	CHECK_EQ(count_notifications(NULL), 0u);
	close_all();
}

static void a_writer_keeps_the_pages(void)
{
	open_all(8);
	atomic_fetch_add(&inode_of(FILE_ROW)->cached_opens, CACHED_OPEN_WRITER);
	inode_of(FILE_ROW)->seen.sure = true;
	CHECK(dropper_put(&dropper, &requests[1]));
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answered), 1u);
	CHECK_EQ(count_notifications(NULL), 0u);
	CHECK(!inode_of(FILE_ROW)->seen.sure); /* the next open drops them */
	close_all();
}

static void who_cannot_wait_is_owed_a_drop(void)
{
	struct notification last;

	open_all(4);
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	for (uint32_t i = 2; i < REQUESTS; i++)
		CHECK(!dropper_put(&dropper, &requests[i]));
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answered), 2u);
	CHECK_EQ(atomic_load(&dropper.waiting), 0u);
	CHECK_EQ(count_notifications(&last), 3u);
	CHECK_EQ(last.inode.ino, 3ull << 32 | (FILE_ROW + 1)); /* all of it */
	CHECK_EQ(last.inode.off, 0);
	CHECK_EQ(last.inode.len, 0);
	close_all();
}

/* They take half of the places; the debt of the third one counts as well. */
static void direct_writes_leave_places_for_opens(void)
{
	open_all(4);
	requests[3].drop = (struct cached_drop){ .reason = DROP_CHANGED, .row = FILE_ROW };
	requests[4].drop = (struct cached_drop){ .row = FILE_ROW };
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	CHECK(!dropper_put(&dropper, &requests[2]));
	CHECK(dropper_put(&dropper, &requests[3]));
	CHECK(!dropper_put(&dropper, &requests[4]));
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answered), 3u);
	close_all();
}

/* One must be left for what the drop may wait for, whoever waits for a lease with the other. */
static void of_a_cpu_with_few_entries_none_waits(void)
{
	open_all(8);
	requests[0].few = true;
	CHECK(!dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answered), 1u);
	CHECK_EQ(count_notifications(NULL), 2u);
	close_all();
}

/* More than are looked for at a time. */
static void all_inodes_are_paid(void)
{
	open_all(0);
	for (uint32_t row = 1; row < INODES; row++) {
		atomic_store(&inode_of(row)->cached_opens, 1);
		requests[0].drop.row = row;
		CHECK(!dropper_put(&dropper, &requests[0]));
	}
	start();
	stop_at_leisure();
	CHECK_EQ(count_notifications(NULL), INODES - 1u);
	close_all();
}

/* A drop takes long: the kernel doesn't take the notification. */
static void nobody_waits_for_a_drop_that_takes_long(void)
{
	static const char junk[4096];
	const struct timespec patience = { .tv_nsec = (DROPPER_PATIENCE_MS + 1) * 1000000l };
	char got[sizeof(junk)];

	open_all(16);
	CHECK(fcntl(fs.inodes.session_fd, F_SETFL, 0) == 0); /* waits where the pipe is full */
	CHECK(fcntl(fs.inodes.session_fd, F_SETPIPE_SZ, sizeof(junk)) == sizeof(junk));
	CHECK(write(fs.inodes.session_fd, junk, sizeof(junk)) == sizeof(junk));
	for (uint32_t i = 1; i <= 3; i++) {
		requests[i].drop.row = FILE_ROW + i;
		atomic_store(&inode_of(FILE_ROW + i)->cached_opens, 1);
	}
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	start();
	while (!atomic_load(&dropper.since))
		sched_yield();
	CHECK(dropper_put(&dropper, &requests[2]));
	dropper_look(&dropper); /* not yet */
	CHECK_EQ(atomic_load(&answered), 0u);

	CHECK(nanosleep(&patience, NULL) == 0);
	CHECK(!dropper_put(&dropper, &requests[3]));
	CHECK(dropper_put(&dropper, &requests[4])); /* of the same file */
	dropper_look(&dropper);
	CHECK_EQ(atomic_load(&answered), 2u);
	CHECK_EQ(atomic_load(&answers[0]) + atomic_load(&answers[4]), 0u);

	CHECK(read(kernel_fd, got, sizeof(got)) == sizeof(got));
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answers[0]), 1u);
	CHECK_EQ(atomic_load(&answers[4]), 1u);
	CHECK_EQ(count_notifications(NULL), 5u); /* those who didn't wait were owed theirs */
	for (uint32_t i = 0; i <= 3; i++)
		CHECK_EQ(atomic_load(&inode_of(FILE_ROW + i)->drops), 0u);
	CHECK_EQ(atomic_load(&dropper.waiting), 0u);
	close_all();
}

/* A file that has changed, and somebody waits to have it open for writing. */
static void why_it_is_owed_is_kept(void)
{
	open_all(0);
	requests[0].drop.reason = DROP_CHANGED;
	CHECK(!dropper_put(&dropper, &requests[1]));
	CHECK(!dropper_put(&dropper, &requests[0]));
	CHECK(!dropper_put(&dropper, &requests[1]));
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->drops), 1u); /* for who opens it meanwhile */
	atomic_fetch_add(&inode_of(FILE_ROW)->cached_opens, CACHED_OPEN_WAITING);
	start();
	stop_at_leisure();
	CHECK_EQ(count_notifications(NULL), 1u);
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->drops), 0u);
	close_all();
}

/* He is one as soon as he is answered: the next drop leaves his pages alone. */
static void who_waits_to_write_becomes_a_writer(void)
{
	open_all(8);
	atomic_fetch_add(&inode_of(FILE_ROW)->cached_opens, CACHED_OPEN_WAITING);
	requests[0].drop.reason = DROP_CHANGED;
	requests[0].drop.by_writer = true;
	requests[1].drop.reason = DROP_CHANGED;
	CHECK(dropper_put(&dropper, &requests[0]));
	CHECK(dropper_put(&dropper, &requests[1]));
	start();
	stop_at_leisure();
	CHECK_EQ(atomic_load(&answered), 2u);
	CHECK_EQ(count_notifications(NULL), 1u);
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->cached_opens),
		 CACHED_OPEN_WRITER + CACHED_OPEN_READER);
	close_all();
}

/* Also where he can't wait. */
static void who_is_refused_becomes_a_writer(void)
{
	open_all(0);
	atomic_fetch_add(&inode_of(FILE_ROW)->cached_opens, CACHED_OPEN_WAITING);
	requests[0].drop.by_writer = true;
	CHECK(!dropper_put(&dropper, &requests[0]));
	CHECK_EQ(atomic_load(&inode_of(FILE_ROW)->cached_opens),
		 CACHED_OPEN_WRITER + CACHED_OPEN_READER);
	start();
	stop_at_leisure();
	CHECK_EQ(count_notifications(NULL), 0u);
	close_all();
}

struct putter {
	pthread_t thread;
	uint32_t first;
	uint32_t put; /* … of its sixteen requests, that can wait */
};

static void *put_some(void *arg)
{
	struct putter *putter = arg;

	for (uint32_t i = 0; i < 16; i++)
		putter->put += dropper_put(&dropper, &requests[putter->first + i]);
	return NULL;
}

/* Whoever was let in is answered once, and the thread ends, in whatever moment it is stopped. */
static void ends_at_any_time(void)
{
	for (unsigned round = 0; round < 500; round++) {
		struct putter putters[REQUESTS / 16] = { { 0 } };
		uint32_t put = 0;

		open_all(round % 4 * 3);
		start();
		for (uint32_t i = 0; i < ARRAY_SIZE(putters); i++) {
			putters[i].first = i * 16;
			CHECK(pthread_create(&putters[i].thread, NULL, put_some, &putters[i]) == 0);
		}
		stop();
		for (uint32_t i = 0; i < ARRAY_SIZE(putters); i++) {
			CHECK(pthread_join(putters[i].thread, NULL) == 0);
			put += putters[i].put;
		}
		CHECK_EQ(atomic_load(&answered), put);
		for (uint32_t i = 0; i < REQUESTS; i++)
			CHECK(atomic_load(&answers[i]) <= 1);
		close_all();
	}
}

static void *owe_some(void *arg)
{
	struct request *request = arg;

	for (unsigned i = 0; i < 100000; i++)
		(void)dropper_put(&dropper, request);
	return NULL;
}

/* What is counted while a drop is owed is given back, whenever it is paid. */
static void debts_are_counted_once(void)
{
	pthread_t threads[2];

	open_all(0);
	for (uint32_t i = 0; i < 2; i++) {
		atomic_store(&inode_of(FILE_ROW + i)->cached_opens, 1);
		requests[i].drop.row = FILE_ROW + i;
	}
	start();
	for (uint32_t i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, owe_some, &requests[i]) == 0);
	for (uint32_t i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	stop_at_leisure();
	for (uint32_t i = 0; i < 2; i++)
		CHECK_EQ(atomic_load(&inode_of(FILE_ROW + i)->drops), 0u);
	close_all();
}

int main(void)
{
	RUN(drops_and_then_answers);
	RUN(the_order_is_kept);
	RUN(what_is_due_is_dropped_by_who_comes_first);
	RUN(a_writer_keeps_the_pages);
	RUN(who_cannot_wait_is_owed_a_drop);
	RUN(direct_writes_leave_places_for_opens);
	RUN(of_a_cpu_with_few_entries_none_waits);
	RUN(all_inodes_are_paid);
	RUN(why_it_is_owed_is_kept);
	RUN(who_waits_to_write_becomes_a_writer);
	RUN(who_is_refused_becomes_a_writer);
	RUN(nobody_waits_for_a_drop_that_takes_long);
	RUN(debts_are_counted_once);
	RUN(ends_at_any_time);
	return test_result();
}
