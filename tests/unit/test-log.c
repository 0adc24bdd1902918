/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: what comes out, in which order, and that no caller ever waits for it. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "test.h"

#define OUTPUT_LEN (4u << 20)

static int real_stderr = -1, captured = -1;
static char output[OUTPUT_LEN];

/* Standard error goes to a memfd, or to FD, until capture_end(). */
static void capture_to(int fd)
{
	real_stderr = dup(STDERR_FILENO);
	CHECK(real_stderr >= 0);
	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

static void capture_start(void)
{
	captured = memfd_create("stderr", MFD_CLOEXEC);
	CHECK(captured >= 0);
	capture_to(captured);
}

static void capture_end(void)
{
	CHECK(dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO);
	close(real_stderr);
}

static const char *capture_read(void)
{
	ssize_t n;

	capture_end();
	n = pread(captured, output, sizeof(output) - 1, 0);
	CHECK(n >= 0);
	output[n] = '\0';
	close(captured);
	return output;
}

static int64_t now_ms(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void writes_at_once_before_the_start(void)
{
	capture_start();
	errno = ENOTTY;
	log_fail("%s: %s: %s", "object", "action", "reason");
	CHECK_EQ(errno, ENOTTY);
	CHECK_STR(capture_read(), "caissond: object: action: reason\n");
}

static void is_one_line_of_limited_length(void)
{
	char name[1000];
	const char *text;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	capture_start();
	log_warn("%s", name);
	log_warn("two\nlines\tand \033[31m");
	text = capture_read();
	CHECK_EQ(strcspn(text, "\n"), strlen("caissond: ") + 511);
	CHECK_STR(strchr(text, '\n') + 1, "caissond: two?lines?and ?[31m\n");
}

static void keeps_order_through_the_thread(void)
{
	const char *text;
	char expected[64];

	capture_start();
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	for (int i = 0; i < 100; i++) {
		errno = EDOM;
		log_info("line %d", i);
		CHECK_EQ(errno, EDOM);
	}
	log_stop();
	log_stop(); /* twice is fine */
	log_info("after the end");
	text = capture_read();
	for (int i = 0; i < 100; i++) {
		snprintf(expected, sizeof(expected), "caissond: line %d\n", i);
		CHECK(strncmp(text, expected, strlen(expected)) == 0);
		text += strlen(expected);
	}
	CHECK_STR(text, "caissond: after the end\n");
}

#define PRODUCERS 8
#define EACH	  2000

static void *produce(void *arg)
{
	for (int i = 0; i < EACH; i++) {
		log_info("producer %d message %d end", *(int *)arg, i);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* Every message came out once, whole and in its thread's order, or was counted as dropped. */
static void loses_nothing_untold(void)
{
	pthread_t threads[PRODUCERS];
	int numbers[PRODUCERS], next[PRODUCERS] = { 0 };
	uint64_t dropped_before = log_dropped(), dropped, told = 0, written = 0;
	const char *line;

	capture_start();
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	for (int i = 0; i < PRODUCERS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, produce, &numbers[i]) == 0);
	}
	for (int i = 0; i < PRODUCERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	log_stop();
	dropped = log_dropped() - dropped_before;

	for (line = capture_read(); *line; line = strchr(line, '\n') + 1) {
		int producer, message, end = 0;
		unsigned long long n;

		if (sscanf(line, "caissond: log: write: %llu lines were dropped", &n) == 1) {
			told += n;
			continue;
		}
		CHECK(sscanf(line, "caissond: producer %d message %d end%n", &producer, &message,
			     &end) == 2);
		CHECK(end && line[end] == '\n');
		CHECK(producer >= 0 && producer < PRODUCERS);
		CHECK(message >= next[producer]);
		next[producer] = message + 1;
		written++;
	}
	CHECK_EQ(written + dropped, (uint64_t)PRODUCERS * EACH);
	CHECK_EQ(told, dropped);
}

/* The terminal doesn't take any more: callers go on, and what is lost is counted and told. */
static void a_stuck_target_holds_up_nobody(void)
{
	uint64_t dropped_before = log_dropped();
	int fds[2], total = 20000, lines = 0;
	char piece[4096], *at;
	struct pollfd reader;
	size_t len = 0;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	capture_to(fds[1]);
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	/* a pipe holds 64 KiB, this is more than a megabyte: whoever waited would wait for ever */
	for (int i = 0; i < total; i++)
		log_info("message %d of a flood that nobody reads for the time being", i);
	CHECK(log_dropped() > dropped_before);

	/* the reader wakes up: everything that was kept comes out */
	reader = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	while (poll(&reader, 1, 500) > 0) {
		ssize_t n = read(fds[0], piece, sizeof(piece));

		CHECK(n > 0 && len + (size_t)n < sizeof(output));
		memcpy(output + len, piece, (size_t)n);
		len += (size_t)n;
	}
	output[len] = '\0';
	log_stop();
	capture_end();
	close(fds[0]);
	close(fds[1]);
	for (at = strstr(output, "message "); at; at = strstr(at + 1, "message "))
		lines++;
	CHECK_EQ((uint64_t)lines + (log_dropped() - dropped_before), (uint64_t)total);
	CHECK(strstr(output, "lines were dropped"));
}

/* A pipe that takes nothing more. Nobody reads it. */
static int full_pipe(void)
{
	static const char piece[4096];
	int fds[2];

	CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
	while (write(fds[1], piece, sizeof(piece)) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK(fcntl(fds[1], F_SETFL, 0) == 0); /* blocking, as a terminal is */
	return fds[1];
}

static void stopping_waits_a_second_at_most(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		int64_t began;

		capture_to(full_pipe());
		CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
		log_info("a message that nobody ever reads");
		began = now_ms();
		log_stop();
		/* it can't have been written: it did wait, and it did give up */
		if (now_ms() - began < 900 || now_ms() - began > 5000)
			_exit(2);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

/* A mount namespace of our own, where /dev has nothing but what a case puts there. */
static bool have_own_dev(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/dev", "tmpfs", 0, NULL) == 0;
}

static int listen_syslog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	(void)unlink(address.sun_path);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

/* "<PRI>Mmm dd hh:mm:ss caissond[PID]: TEXT" */
static void expect_packet(int fd, int priority, const char *text)
{
	char packet[1024], month[4], expected[128];
	int got_priority, day, hour, minute, second, pid, at = 0;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	CHECK(poll(&poll_fd, 1, 10000) == 1);
	n = recv(fd, packet, sizeof(packet) - 1, 0);
	CHECK(n > 0);
	packet[n] = '\0';
	CHECK_EQ(sscanf(packet, "<%d>%3s %d %d:%d:%d caissond[%d]: %n", &got_priority, month, &day,
			&hour, &minute, &second, &pid, &at),
		 7);
	CHECK_EQ(got_priority, priority);
	CHECK_EQ(pid, getpid());
	snprintf(expected, sizeof(expected), "%s", text);
	CHECK_STR(packet + at, expected);
}

static void talk_to_syslog(void)
{
	uint64_t dropped;
	int fd, again;

	capture_start();
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	log_info("to the terminal");
	fd = listen_syslog();
	CHECK_EQ(log_retarget(LOG_TARGET_SYSLOG), 0);
	log_fail("failed");
	log_warn("warned");
	log_info("told");
	expect_packet(fd, 24 + 3, "failed");
	expect_packet(fd, 24 + 4, "warned");
	expect_packet(fd, 24 + 6, "told");

	/* a listener that was started anew */
	again = listen_syslog();
	close(fd);
	log_info("to the new one");
	expect_packet(again, 24 + 6, "to the new one");

	/* none: lost, counted, and told to the next one */
	dropped = log_dropped();
	close(again);
	log_info("to nobody");
	log_stop();
	CHECK_EQ(log_dropped(), dropped + 1);
	CHECK_STR(capture_read(), "caissond: to the terminal\n");

	/* without one at the start, it waits for one */
	CHECK(unlink("/dev/log") == 0);
	CHECK_EQ(log_start(LOG_TARGET_SYSLOG, NULL), 0);
	fd = listen_syslog();
	log_info("late");
	expect_packet(fd, 24 + 6, "late");
	log_stop();
	close(fd);

	/* a terminal that is for what is urgent, until all goes elsewhere */
	fd = listen_syslog();
	capture_start();
	log_split(LOG_LEVEL_WARN);
	log_info("quietly");
	expect_packet(fd, 24 + 6, "quietly");
	log_warn("aloud");
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	log_fail("louder");
	log_info("still quietly");
	expect_packet(fd, 24 + 6, "still quietly");
	CHECK_EQ(log_retarget(LOG_TARGET_STDERR), 0);
	log_info("aloud as well");
	log_stop();
	CHECK_STR(capture_read(), "caissond: aloud\ncaissond: louder\ncaissond: aloud as well\n");
	close(fd);

	/* nor does it say there that the quiet ones found nobody */
	CHECK(unlink("/dev/log") == 0);
	capture_start();
	log_split(LOG_LEVEL_WARN);
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	dropped = log_dropped();
	log_info("to nobody");
	log_stop();
	CHECK_EQ(log_dropped(), dropped + 1);
	CHECK_STR(capture_read(), "");
}

static void speaks_to_syslog(void)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		if (!have_own_dev())
			_exit(TEST_EXIT_SKIPPED);
		talk_to_syslog();
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_SKIPPED) {
		SKIP("needs the right to mount in a namespace of its own");
		return;
	}
	CHECK_EQ(status, 0);
}

int main(void)
{
	RUN(writes_at_once_before_the_start);
	RUN(is_one_line_of_limited_length);
	RUN(keeps_order_through_the_thread);
	RUN(loses_nothing_untold);
	RUN(a_stuck_target_holds_up_nobody);
	RUN(stopping_waits_a_second_at_most);
	RUN(speaks_to_syslog);
	return test_result();
}
