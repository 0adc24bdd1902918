/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A successor's descriptors: the files of the old table under the same numbers, and its own
 * where the old one has none. Each case has a child that is the old keeper, and one that succeeds.
 */
#include "host/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macro.h"
#include "test.h"

#define COUNT 100u /* numbers that a successor asks for */

static int news_fd[2], orders_fd[2]; /* from the old keeper, and to it */

static void say(int fd)
{
	CHECK(write(fd, "x", 1) == 1);
}

static void hear(int fd)
{
	char byte;

	CHECK(read(fd, &byte, 1) == 1);
}

/* Opens a file of its own under the number FD. */
static void open_as(int fd)
{
	int made = memfd_create("test", MFD_CLOEXEC);

	CHECK(made >= 0);
	if (made != fd) {
		CHECK(dup3(made, fd, O_CLOEXEC) == fd);
		close(made);
	}
}

/* The old keeper: has FIRST, tells that, and when it is told to, has SECOND instead of some. */
static pid_t start_keeper(const int *first, size_t firsts, const int *second, size_t seconds)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	for (size_t i = 0; i < firsts; i++)
		open_as(first[i]);
	say(news_fd[1]);
	hear(orders_fd[0]);
	close(first[0]);
	for (size_t i = 0; i < seconds; i++)
		open_as(second[i]);
	say(news_fd[1]);
	(void)pause();
	_exit(1);
}

static void end_keeper(pid_t pid)
{
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

static bool is_same(pid_t keeper, int fd)
{
	return syscall(SYS_kcmp, keeper, getpid(), KCMP_FILE, fd, fd) == 0;
}

/* Runs CHECKS as a process that has no descriptors but the standard ones and the pipes. */
static void as_successor(void (*checks)(pid_t keeper), pid_t keeper)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		checks(keeper);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	end_keeper(keeper);
}

static void make_pipes(void)
{
	/* far from the numbers that the old keeper uses */
	CHECK(pipe2(news_fd, O_CLOEXEC) == 0 && pipe2(orders_fd, O_CLOEXEC) == 0);
}

static const int some[] = { 40, 41, 100, 1000, 3000 };
static const int others[] = { 40, 70, 101, 2999, 3001 };

static bool is_apart_from(const struct succession *succession, uint32_t first, uint32_t count)
{
	return succession->first >= first + count || succession->first + succession->count <= first;
}

static void expect_the_same_files(pid_t keeper)
{
	struct succession succession;
	int own;

	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK(succession.count >= COUNT);
	CHECK(is_apart_from(&succession, 0, 3002));
	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		CHECK(is_same(keeper, some[i]));
	own = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(own >= (int)succession.first && own < (int)(succession.first + succession.count));

	say(orders_fd[1]);
	hear(news_fd[0]);
	CHECK(!is_same(keeper, others[0])); /* it is another file now */
	CHECK_EQ(succession_fetch(&succession), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CHECK(is_same(keeper, others[i]));
	CHECK(fcntl(own, F_GETFD) == FD_CLOEXEC);
	succession_end(&succession);
	CHECK_EQ(succession.keeper_fd, -1);
}

static void the_files_are_the_same(void)
{
	pid_t keeper = start_keeper(some, ARRAY_SIZE(some), others, ARRAY_SIZE(others));

	hear(news_fd[0]);
	as_successor(expect_the_same_files, keeper);
}

/* The region that the first successor would choose is in use, as after an upgrade. */
static int used[1];

static void expect_another_region(pid_t keeper)
{
	struct succession succession;

	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK(is_apart_from(&succession, (uint32_t)used[0], 1));
	CHECK(is_same(keeper, used[0]));
}

static void expect_first_region(pid_t keeper)
{
	struct succession succession;

	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK(write(news_fd[1], &succession.first, sizeof(succession.first)) ==
	      (ssize_t)sizeof(succession.first));
}

static uint32_t find_first_region(void)
{
	pid_t keeper = start_keeper(some, 1, NULL, 0);
	uint32_t first;

	hear(news_fd[0]);
	as_successor(expect_first_region, keeper);
	CHECK(read(news_fd[0], &first, sizeof(first)) == (ssize_t)sizeof(first));
	return first;
}

static void a_region_in_use_is_avoided(void)
{
	pid_t keeper;

	used[0] = (int)find_first_region() + 1;
	keeper = start_keeper(used, 1, NULL, 0);
	hear(news_fd[0]);
	as_successor(expect_another_region, keeper);
}

static void expect_a_collision(pid_t keeper)
{
	struct succession succession;

	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK_EQ(succession.first, (uint32_t)used[0] - 1);
	say(orders_fd[1]);
	hear(news_fd[0]);
	CHECK_EQ(succession_fetch(&succession), -EBUSY);
}

static void what_grows_into_the_region_is_refused(void)
{
	pid_t keeper;

	used[0] = (int)find_first_region() + 1;
	keeper = start_keeper(some, 1, used, 1);
	hear(news_fd[0]);
	as_successor(expect_a_collision, keeper);
}

static void expect_nothing(pid_t keeper)
{
	struct succession succession;
	struct pollfd end = { .events = POLLIN };

	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK_EQ(kill(keeper, SIGKILL), 0);
	end.fd = succession.keeper_fd;
	CHECK_EQ(poll(&end, 1, 20000), 1);
	CHECK_EQ(succession_fetch(&succession), -ESRCH);
}

/* It is a zombie then, whose list of descriptors is empty. */
static void a_dead_process_has_lost_its_files(void)
{
	pid_t keeper = start_keeper(some, ARRAY_SIZE(some), NULL, 0);

	hear(news_fd[0]);
	as_successor(expect_nothing, keeper);
}

/* Nobody but root may see the list of a zombie of any user. */
static void a_dead_process_of_a_user_has_lost_its_files(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_EQ(setresuid(65534, 65534, 65534), 0);
		CHECK_EQ(prctl(PR_SET_DUMPABLE, 1), 0); /* or its files in /proc are root's */
		a_dead_process_has_lost_its_files();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

/* A process that does nothing. */
static pid_t start_idle(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		(void)pause();
		_exit(1);
	}
	return pid;
}

static bool ends(int pidfd)
{
	struct pollfd end = { .fd = pidfd, .events = POLLIN };

	return poll(&end, 1, 20000) == 1;
}

/* What was copied counts only if the keeper, whose death lets its server go on, died later. */
static void a_seal_needs_the_keeper(void)
{
	struct succession succession = { 0 };

	for (int i = 0; i < 2; i++) {
		bool is_alive = i == 0;
		pid_t keeper = start_idle(), server = start_idle();

		succession.keeper = keeper;
		succession.keeper_fd = pidfd_open(keeper, 0);
		succession.server_fd = pidfd_open(server, 0);
		CHECK(succession.keeper_fd >= 0 && succession.server_fd >= 0);
		if (!is_alive) {
			CHECK_EQ(kill(keeper, SIGKILL), 0);
			CHECK(ends(succession.keeper_fd));
		}
		CHECK_EQ(succession_seal(&succession), is_alive ? 0 : -ESRCH);
		CHECK(ends(succession.server_fd));
		end_keeper(keeper);
		CHECK(waitpid(server, NULL, 0) == server);
		CHECK(close(succession.keeper_fd) == 0 && close(succession.server_fd) == 0);
	}
	succession.server_fd = -1; /* there was none */
	CHECK_EQ(succession_seal(&succession), 0);
}

static void limit(rlim_t count)
{
	struct rlimit nofile;

	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &nofile), 0);
	nofile.rlim_cur = count;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &nofile), 0);
}

static void expect_low_numbers(pid_t keeper)
{
	struct succession succession;

	limit(1024);
	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), 0);
	CHECK(succession.first + succession.count <= 1024);
	CHECK(is_same(keeper, some[0]));
}

static void expect_none(pid_t keeper)
{
	struct succession succession;

	limit(64);
	succession_init(&succession, -1);
	CHECK_EQ(succession_copy(&succession, keeper, COUNT), -EMFILE);
}

static void a_low_limit_is_kept(void)
{
	pid_t keeper = start_keeper(some, 2, NULL, 0);

	hear(news_fd[0]);
	as_successor(expect_low_numbers, keeper);
	keeper = start_keeper(some, 2, NULL, 0);
	hear(news_fd[0]);
	as_successor(expect_none, keeper);
}

int main(void)
{
	make_pipes();
	RUN(the_files_are_the_same);
	RUN(a_region_in_use_is_avoided);
	RUN(what_grows_into_the_region_is_refused);
	RUN(a_dead_process_has_lost_its_files);
	if (geteuid() == 0)
		RUN(a_dead_process_of_a_user_has_lost_its_files);
	RUN(a_seal_needs_the_keeper);
	RUN(a_low_limit_is_kept);
	return test_result();
}
