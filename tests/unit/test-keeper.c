/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The keeper around a real mount and a server that does nothing: who ends whom, the exit codes,
 * and that nothing stays mounted. The FUSE connection is never initialised; a server sees in its
 * device that the mount has gone (POLLERR), as a real one does.
 *
 * Each case runs keeper_run() in a process of its own, in a mount namespace of the test's.
 */
#define FUSE_USE_VERSION 312

#include "host/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/exit-code.h"
#include "base/macro.h"
#include "base/mountinfo.h"
#include "host/upgrade.h"
#include "test.h"

static char mountpoint[] = "/tmp/test-keeper.XXXXXX";

/* What a server tells the test: lines of one word each. */
static int news_fd[2];

static void tell(const char *word)
{
	CHECK(write(news_fd[1], word, strlen(word)) == (ssize_t)strlen(word));
}

/* Waits for exactly WORD. */
static void expect(const char *word)
{
	char got[64] = "";
	size_t len = strlen(word);
	struct pollfd news = { .fd = news_fd[0], .events = POLLIN };

	for (size_t at = 0; at < len; at++) {
		CHECK(poll(&news, 1, 20000) == 1);
		CHECK(read(news_fd[0], got + at, 1) == 1);
	}
	CHECK_STR(got, word);
}

static bool is_mounted(void)
{
	struct mountinfo info;
	int r = mountinfo_find(mountpoint, &info);

	CHECK(r == 0 || r == -ENOENT);
	return r == 0;
}

/* -- Servers -- */

static struct fuse_session *session;

static int leave_at_once(void *arg, const struct keeper_link *link)
{
	(void)link;
	return *(int *)arg;
}

static int die(void *arg, const struct keeper_link *link)
{
	(void)arg;
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	CHECK_EQ(keeper_ready(link, -1), 0);
	(void)raise(SIGKILL);
	return 0;
}

/* Serves as caissond does: until the mount has gone (0), or the keeper says stop (0). */
static int serve(void *arg, const struct keeper_link *link)
{
	struct pollfd fds[] = {
		{ .fd = link->fd, .events = POLLIN },
		{ .fd = fuse_session_fd(session), .events = 0 },
		{ .fd = link->keeper_fd, .events = POLLIN },
	};
	struct keeper_message message;
	char cwd[8];

	(void)arg;
	CHECK_EQ(link->keeper, getppid());
	CHECK(getcwd(cwd, sizeof(cwd)));
	CHECK_STR(cwd, "/");
	CHECK_EQ(log_start(LOG_TARGET_STDERR, NULL), 0);
	CHECK_EQ(keeper_ready(link, -1), 0);
	tell("ready;");
	for (;;) {
		CHECK(poll(fds, ARRAY_SIZE(fds), -1) > 0);
		if (fds[1].revents & POLLERR) {
			tell("unmounted;");
			break;
		}
		switch (keeper_listen(link, &message)) {
		case KEEPER_NOTHING:
		case KEEPER_SPARE:
			continue;
		case KEEPER_UPGRADE:
			CHECK_EQ(message.fd, 1);
			CHECK_EQ(message.outcome, UPGRADE_NO_RECOVERY);
			tell("upgrade;");
			continue;
		case KEEPER_STOP:
			tell("stop;");
			break;
		case KEEPER_GONE:
			fds[0].fd = fds[2].fd = -1;
			tell("gone;");
			continue;
		}
		break;
	}
	log_stop();
	return 0;
}

/* As caissond does whose connection was aborted. */
static int fail_when_severed(void *arg, const struct keeper_link *link)
{
	return serve(arg, link) == 0 ? EXIT_CANNOT_SERVE : 0;
}

/* -- Keepers -- */

static void silence(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	CHECK(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
}

/* Mounts and runs a keeper as main() does. Returns its pid. */
static pid_t start(int (*server)(void *, const struct keeper_link *), int code, bool foreground)
{
	static const struct fuse_lowlevel_ops none;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		char *argv[] = { (char *)"test", (char *)"-o", (char *)"fsname=x,subtype=caisson",
				 NULL };
		struct fuse_args args = FUSE_ARGS_INIT(3, argv);
		struct keeper_config config = {
			.mountpoint = mountpoint,
			.status = "serving a\nMAINPID=1",
			.foreground = foreground,
			.log = LOG_TARGET_STDERR,
			.serve = server,
			.arg = &code,
		};

		session = fuse_session_new(&args, &none, sizeof(none), NULL);
		CHECK(session);
		CHECK(fuse_session_mount(session, mountpoint) == 0);
		silence();
		_exit(keeper_run(&config, session));
	}
	return pid;
}

static void expect_exit(pid_t pid, int code)
{
	int status;

	alarm(30); /* a case that hangs ends */
	CHECK(waitpid(pid, &status, 0) == pid);
	alarm(0);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), code);
}

static void hands_on_the_exit_code(void)
{
	static const int codes[] = { 0, EXIT_USAGE, EXIT_CANNOT_SERVE, EXIT_UNSAFE };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		expect_exit(start(leave_at_once, codes[i], true), codes[i]);
		CHECK(!is_mounted());
	}
	/* an exit code of nobody's, as a sanitizer's */
	expect_exit(start(leave_at_once, 99, true), EXIT_CANNOT_SERVE);
	CHECK(!is_mounted());
}

static void unmounts_after_a_crash(void)
{
	expect_exit(start(die, 0, true), EXIT_CANNOT_SERVE);
	CHECK(!is_mounted());
}

static void ends_with_the_mount(void)
{
	pid_t pid = start(serve, 0, true);

	expect("ready;");
	CHECK(is_mounted());
	CHECK(umount2(mountpoint, MNT_DETACH) == 0);
	expect("unmounted;");
	expect_exit(pid, 0);
}

static void unmounts_what_was_aborted(void)
{
	struct mountinfo info;
	char path[64];
	pid_t pid;
	int fd;

	if (mount("none", "/sys/fs/fuse/connections", "fusectl", 0, NULL) < 0 && errno != EBUSY) {
		SKIP("needs fusectl");
		return;
	}
	pid = start(fail_when_severed, 0, true);
	expect("ready;");
	CHECK(mountinfo_find(mountpoint, &info) == 0);
	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", info.minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && write(fd, "1", 1) == 1);
	close(fd);
	expect("unmounted;");
	expect_exit(pid, EXIT_CANNOT_SERVE);
	CHECK(!is_mounted());
}

static void a_signal_unmounts_and_waits(void)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid = start(serve, 0, true);

		expect("ready;");
		CHECK(kill(pid, signals[i]) == 0);
		expect("unmounted;"); /* there was no user: so at once */
		expect_exit(pid, 0);
		CHECK(!is_mounted());
	}
}

/* Here it can't be had. Then nothing happens, and the server is told. */
static void a_hangup_asks_for_an_upgrade(void)
{
	pid_t pid = start(serve, 0, true);

	expect("ready;");
	CHECK(kill(pid, SIGHUP) == 0);
	expect("upgrade;");
	CHECK(is_mounted());
	CHECK(kill(pid, SIGTERM) == 0);
	expect("unmounted;");
	expect_exit(pid, 0);
}

/* With a user left, the first signal takes the mount out of sight, and the second the server. */
static void a_second_signal_stops(void)
{
	pid_t pid = start(serve, 0, true);
	int user;

	expect("ready;");
	user = open(mountpoint, O_PATH | O_CLOEXEC);
	CHECK(user >= 0);
	CHECK(kill(pid, SIGTERM) == 0);
	for (int i = 0; is_mounted(); i++) {
		CHECK(i < 2000);
		(void)poll(NULL, 0, 10);
	}
	CHECK(waitpid(pid, NULL, WNOHANG) == 0);
	CHECK(kill(pid, SIGTERM) == 0);
	expect("stop;");
	expect_exit(pid, 0);
	close(user);
}

/* S8: whoever killed the keeper, those above keep their storage. */
static void the_server_outlives_its_keeper(void)
{
	pid_t pid;

	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	pid = start(serve, 0, true);
	expect("ready;");
	CHECK(kill(pid, SIGKILL) == 0);
	CHECK(waitpid(pid, NULL, 0) == pid);
	expect("gone;");
	CHECK(is_mounted());
	CHECK(umount2(mountpoint, MNT_DETACH) == 0);
	expect("unmounted;");
	CHECK(waitpid(-1, NULL, 0) > 0);
}

static void leaves_the_mount_of_others_alone(void)
{
	pid_t pid = start(serve, 0, true);

	expect("ready;");
	CHECK(umount2(mountpoint, MNT_DETACH) == 0);
	CHECK(mount("none", mountpoint, "tmpfs", 0, NULL) == 0);
	expect("unmounted;");
	expect_exit(pid, 0);
	CHECK(is_mounted());
	CHECK(umount2(mountpoint, 0) == 0);
}

/* A datagram of lines: what is in a path must not be one of them. */
static void a_path_is_no_field_for_the_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[32], text[256], *status;
	pid_t pid;
	ssize_t n;

	CHECK(snprintf(name, sizeof(name), "@test-keeper-%d", (int)getpid()) > 0);
	memcpy(address.sun_path + 1, name + 1, strlen(name + 1));
	CHECK(bind(fd, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	CHECK(setenv("NOTIFY_SOCKET", name, 1) == 0);
	pid = start(serve, 0, true);
	expect("ready;");
	CHECK(umount2(mountpoint, MNT_DETACH) == 0);
	expect("unmounted;");
	expect_exit(pid, 0);
	CHECK(unsetenv("NOTIFY_SOCKET") == 0);
	n = recv(fd, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = '\0';
	status = strstr(text, "\nSTATUS=");
	CHECK(status);
	CHECK_STR(status, "\nSTATUS=serving a?MAINPID=1");
	close(fd);
}

static void the_launcher_returns_when_ready(void)
{
	pid_t keeper;

	expect_exit(start(serve, 0, false), 0);
	expect("ready;");
	CHECK(is_mounted());
	CHECK(umount2(mountpoint, MNT_DETACH) == 0);
	expect("unmounted;");
	keeper = waitpid(-1, NULL, 0); /* we are its reaper */
	CHECK(keeper > 0);
}

static void the_launcher_tells_a_failure(void)
{
	expect_exit(start(leave_at_once, EXIT_UNSAFE, false), EXIT_UNSAFE);
	CHECK(!is_mounted());
	CHECK(waitpid(-1, NULL, 0) > 0);
}

static bool can_mount(void)
{
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0)
		return false;
	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void can_run(void)
{
	SKIP("needs root and /dev/fuse");
}

int main(void)
{
	if (!can_mount()) {
		RUN(can_run);
		return test_result();
	}
	CHECK(mkdtemp(mountpoint));
	CHECK(pipe2(news_fd, O_CLOEXEC) == 0);

	RUN(hands_on_the_exit_code);
	RUN(unmounts_after_a_crash);
	RUN(ends_with_the_mount);
	RUN(unmounts_what_was_aborted);
	RUN(a_signal_unmounts_and_waits);
	RUN(a_hangup_asks_for_an_upgrade);
	RUN(a_second_signal_stops);
	RUN(the_server_outlives_its_keeper);
	RUN(leaves_the_mount_of_others_alone);
	RUN(a_path_is_no_field_for_the_manager);
	RUN(the_launcher_returns_when_ready);
	RUN(the_launcher_tells_a_failure);

	CHECK(rmdir(mountpoint) == 0);
	return test_result();
}
