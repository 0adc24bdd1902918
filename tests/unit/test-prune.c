/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking for inodes back, with a socket in the kernel's place. */
#include "handlers/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/fuse-kernel.h"
#include "store/fs.h"
#include "test.h"

enum { INODES = 64, WAIT_MS = 10000 };

static struct arena arena;
static struct fs fs;
static struct prune prune;
static int kernel_fd, dev_fd; /* the two ends */
static pthread_t thread;

struct prune_message {
	struct fuse_out_header header;
	struct caisson_fuse_notify_prune_out prune;
	uint64_t nodeids[256];
};

static void *run(void *arg)
{
	(void)arg;
	prune_run(&prune, dev_fd);
	return NULL;
}

static void make(void)
{
	int ends[2], root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(root_fd >= 0);
	memset(&fs, 0, sizeof(fs));
	arena_init(&arena);
	CHECK_EQ(inode_table_plan(&arena, INODES), 0);
	CHECK_EQ(arena_create(&arena), 0);
	CHECK_EQ(inode_table_init(&fs.inodes, &arena), 0);
	CHECK_EQ(inode_table_set_root(&fs.inodes, root_fd), 0);
	CHECK(close(root_fd) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	kernel_fd = ends[0];
	dev_fd = ends[1];
	CHECK_EQ(prune_init(&prune, &fs), 0);
}

static void end(void)
{
	prune_stop(&prune);
	CHECK(pthread_join(thread, NULL) == 0);
	prune_destroy(&prune);
	CHECK(close(kernel_fd) == 0 && close(dev_fd) == 0);
	inode_table_destroy(&fs.inodes);
	arena_destroy(&arena);
}

static void fill(uint64_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct statx stx = { .stx_dev_major = 200,
				     .stx_ino = first + i,
				     .stx_mode = S_IFREG };
		int fd = open("/dev/null", O_PATH | O_CLOEXEC);
		struct inode *inode;

		CHECK(fd >= 0);
		CHECK_EQ(inode_remember(&fs.inodes, &fd, &stx, &inode), 0);
	}
}

static void receive(struct prune_message *message)
{
	struct pollfd poll_fd = { .fd = kernel_fd, .events = POLLIN };
	ssize_t len;

	CHECK_EQ(poll(&poll_fd, 1, WAIT_MS), 1);
	len = read(kernel_fd, message, sizeof(*message));
	CHECK_EQ((size_t)len, message->header.len);
	CHECK_EQ(message->header.unique, 0u);
	CHECK_EQ(message->header.error, CAISSON_FUSE_NOTIFY_PRUNE);
	CHECK_EQ(message->header.len,
		 sizeof(message->header) + sizeof(message->prune) + 8 * message->prune.count);
	CHECK(message->prune.count > 0);
}

static void fill_until_short(void)
{
	static uint64_t number = 100000;

	while (!inode_is_pressed(&fs.inodes))
		fill(number++, 1);
}

/* ROUNDS times: what is asked for is given back after DELAY_MS, and is used up at once. */
static void give_back(unsigned rounds, int delay_ms)
{
	struct prune_message message;

	for (unsigned round = 0; round < rounds; round++) {
		fill_until_short();
		/* an answer that was late for the last round is one too */
		receive(&message);
		CHECK_EQ(poll(NULL, 0, delay_ms), 0);
		for (uint32_t i = 0; i < message.prune.count; i++)
			inode_forget(&fs.inodes, message.nodeids[i], 1);
	}
	CHECK_EQ(atomic_load(&fs.inodes.refusals), 0u);
	CHECK(atomic_load(&prune.asked) >= rounds);
}

/* A kernel that gives back what it is asked for keeps the table usable without end. */
static void what_is_asked_for_makes_room(void)
{
	struct pollfd poll_fd = { .events = POLLIN };

	make();
	CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
	fill(1000, INODES / 2);
	poll_fd.fd = kernel_fd;
	CHECK_EQ(poll(&poll_fd, 1, 50), 0); /* nothing is short: nobody is asked */
	give_back(50, 0);
	CHECK(atomic_load(&fs.inodes.prunable));
	end();
}

/* Nobody else tells that it is short: what was looked up while others were waited for counts. */
static void what_comes_late_makes_room_too(void)
{
	make();
	CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
	give_back(3, 20);
	end();
}

static void an_older_kernel_isnt_asked_again(void)
{
	make();
	/* a descriptor that can't be written to, as /dev/fuse refuses what it doesn't know */
	CHECK(dup3(open("/dev/null", O_RDONLY | O_CLOEXEC), dev_fd, O_CLOEXEC) == dev_fd);
	CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
	CHECK(atomic_load(&fs.inodes.prunable));
	fill(1000, INODES - 1);
	for (int ms = 0; ms < WAIT_MS && atomic_load(&fs.inodes.prunable); ms++)
		CHECK_EQ(poll(NULL, 0, 1), 0);
	CHECK(!atomic_load(&fs.inodes.prunable));
	CHECK(!inode_is_low_on_rows(&fs.inodes)); /* slowing down would serve nobody */
	CHECK_EQ(atomic_load(&prune.asked), 0u);
	end();
}

int main(void)
{
	RUN(what_is_asked_for_makes_room);
	RUN(what_comes_late_makes_room_too);
	RUN(an_older_kernel_isnt_asked_again);
	return test_result();
}
