/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket from both sides. The server's loop runs in a thread; /run is a tmpfs of our
 * own where that is permitted.
 */
#include "host/control.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/mountinfo.h"
#include "host/control-path.h"
#include "status-fixture.h"
#include "test.h"

#define MAJOR 4242 /* no device has it: nobody's mount is meant */

static char run_dir[] = "/tmp/test-control.XXXXXX";

struct server {
	struct control control;
	struct control_loop loop;
	pthread_t thread;
	_Atomic unsigned ticks;
	int stop_fd, result;
};

static void fill(void *arg, struct status *status)
{
	(void)arg;
	fill_example(status);
}

static void tick(void *arg)
{
	struct server *server = arg;

	server->ticks++;
}

static bool ready(void *arg, uint32_t i)
{
	(void)arg;
	CHECK_EQ(i, 1u);
	return false;
}

static void *run(void *arg)
{
	struct server *server = arg;

	server->result = control_run(&server->control, &server->loop);
	return NULL;
}

static void server_start(struct server *server, uint32_t minor)
{
	*server = (struct server){ .stop_fd = eventfd(0, EFD_CLOEXEC) };
	CHECK(server->stop_fd >= 0);
	CHECK_EQ(control_open(&server->control, MAJOR, minor, CONTROL_NEXT), 0);
	CHECK_EQ(control_publish(&server->control), 0);
	server->loop = (struct control_loop){
		.fill = fill,
		.tick = tick,
		.ready = ready,
		.arg = server,
		.watch_fd = { -1, server->stop_fd },
		.watch_count = 2,
	};
	CHECK(pthread_create(&server->thread, NULL, run, server) == 0);
}

static void server_stop(struct server *server)
{
	uint64_t one = 1;

	CHECK(write(server->stop_fd, &one, sizeof(one)) == sizeof(one));
	CHECK(pthread_join(server->thread, NULL) == 0);
	CHECK_EQ(server->result, 0);
	control_close(&server->control);
	close(server->stop_fd);
}

static int ask(uint32_t minor, const char *request, char *text, uint32_t len)
{
	struct mountinfo mount = { .major = MAJOR, .minor = minor, .owner = geteuid() };

	pid_t pid = 0;
	int r = control_ask(&mount, request, text, len, &pid);

	CHECK(r < 0 || pid == getpid());
	return r;
}

static int connect_to(const struct server *server)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (const struct sockaddr *)&server->control.address,
		      sizeof(server->control.address)) == 0);
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void answers_requests(void)
{
	struct server server;
	char text[CONTROL_ANSWER_LEN + 1], small[16];
	struct stat st;

	CHECK_EQ(ask(1, "status", text, sizeof(text)), -ENOENT);
	server_start(&server, 1);
	CHECK(stat(server.control.address.sun_path, &st) == 0);
	CHECK_EQ(st.st_mode, (mode_t)(S_IFSOCK | 0600));

	CHECK_EQ((size_t)ask(1, "status", text, sizeof(text)), strlen(text));
	CHECK(strncmp(text, "version=1.2.3\n", 14) == 0);
	CHECK(ask(1, "statu", text, sizeof(text)) > 0);
	CHECK_STR(text, "error: unknown request\n");
	CHECK_EQ(ask(1, "status", small, sizeof(small)), -ENOSPC);

	server_stop(&server);
	CHECK(stat(server.control.address.sun_path, &st) < 0 && errno == ENOENT);
	CHECK_EQ(ask(1, "status", text, sizeof(text)), -ENOENT);
}

/* One that says nothing is cut off after a second; ticks go on, and the next one is served. */
static void cuts_off_who_stalls(void)
{
	struct server server;
	int64_t began = now_ms(), took;
	char text[CONTROL_ANSWER_LEN], byte;
	unsigned ticks;
	int fd;

	server_start(&server, 2);
	fd = connect_to(&server);
	CHECK(send(fd, "stat", 4, MSG_NOSIGNAL) == 4);
	ticks = server.ticks;
	CHECK(recv(fd, &byte, 1, 0) == 0);
	took = now_ms() - began;
	CHECK(took >= 900);
	CHECK(server.ticks > ticks);
	close(fd);
	CHECK(ask(2, "status", text, sizeof(text)) > 0);

	/* one that waits behind a stalling one gets its turn within its own patience */
	fd = connect_to(&server);
	CHECK(ask(2, "status", text, sizeof(text)) > 0);
	close(fd);
	server_stop(&server);
}

static void survives_rude_clients(void)
{
	struct server server;
	char text[CONTROL_ANSWER_LEN], junk[300];
	int fd;

	memset(junk, 'j', sizeof(junk));
	server_start(&server, 3);
	fd = connect_to(&server);
	close(fd); /* gone at once */
	fd = connect_to(&server);
	(void)send(fd, junk, sizeof(junk), MSG_NOSIGNAL); /* too long */
	CHECK(recv(fd, text, sizeof(text), 0) <= 0);
	close(fd);
	fd = connect_to(&server);
	CHECK(send(fd, "status\n", 7, MSG_NOSIGNAL) == 7);
	close(fd); /* doesn't want its answer */
	fd = connect_to(&server);
	CHECK(send(fd, "\0\n", 2, MSG_NOSIGNAL) == 2);
	CHECK(recv(fd, text, sizeof(text), 0) > 0);
	CHECK(strncmp(text, "error: ", 7) == 0);
	close(fd);
	CHECK(ask(3, "status", text, sizeof(text)) > 0);
	server_stop(&server);
}

/* A dead daemon's socket is replaced; the dead one's late end takes nothing away. */
static void replaces_a_stale_socket(void)
{
	struct control dead;
	struct server server;
	char text[CONTROL_ANSWER_LEN];

	CHECK_EQ(control_open(&dead, MAJOR, 4, CONTROL_NEXT), 0);
	CHECK_EQ(control_publish(&dead), 0);
	close(dead.listen_fd);
	dead.listen_fd = -1;
	CHECK_EQ(ask(4, "status", text, sizeof(text)), -ECONNREFUSED);
	server_start(&server, 4);
	CHECK(ask(4, "status", text, sizeof(text)) > 0);
	control_close(&dead);
	CHECK(ask(4, "status", text, sizeof(text)) > 0);
	server_stop(&server);
}

static void ask_as_nobody(const struct server *server)
{
	char byte;
	int fd;

	CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
	      setresuid(65534, 65534, 65534) == 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK(connect(fd, (const struct sockaddr *)&server->control.address,
		      sizeof(server->control.address)) == 0);
	(void)send(fd, "status\n", 7, MSG_NOSIGNAL);
	CHECK(recv(fd, &byte, 1, 0) <= 0);
}

/* Whatever the socket's mode has come to be. */
static void lets_in_nobody_else(void)
{
	struct server server;
	char text[CONTROL_ANSWER_LEN];
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		SKIP("needs root, to become somebody else");
		return;
	}
	server_start(&server, 5);
	CHECK(chmod(server.control.address.sun_path, 0666) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		ask_as_nobody(&server);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK(ask(5, "status", text, sizeof(text)) > 0);
	server_stop(&server);
}

/* The client doesn't believe a socket of somebody else's. */
static void doubts_others(void)
{
	struct server server;
	struct mountinfo mount = { .major = MAJOR, .minor = 6, .owner = 12345 };
	pid_t pid, listener;
	char text[CONTROL_ANSWER_LEN];
	int status;

	if (geteuid() != 0) {
		SKIP("needs root, to become somebody else");
		return;
	}
	/* root's is no more believable for a user's mount: that user may have named another's */
	server_start(&server, 6);
	CHECK_EQ(control_ask(&mount, "status", text, sizeof(text), &listener), -EPERM);
	server_stop(&server);

	/* nobody's server: its credentials are those of whoever called listen() */
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		CHECK(fd >= 0);
		CHECK_EQ(control_path_make(&address, MAJOR, 6), 0);
		CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
		CHECK(setresuid(65534, 65534, 0) == 0);
		CHECK(listen(fd, 1) == 0);
		CHECK(setresuid(0, 0, 0) == 0);
		CHECK_EQ(control_ask(&mount, "status", text, sizeof(text), &listener), -EPERM);
		mount.owner = 65534;
		/* then it is the mount's owner's: let in, though nobody accepts */
		CHECK_EQ(control_ask(&mount, "status", text, sizeof(text), &listener), -ETIMEDOUT);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

int main(void)
{
	CHECK(mkdtemp(run_dir));
	if (geteuid() != 0)
		CHECK(setenv("XDG_RUNTIME_DIR", run_dir, 1) == 0);
	else if (unshare(CLONE_NEWNS) < 0 ||
		 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		 mount("none", "/run", "tmpfs", 0, "mode=755") < 0)
		printf("note: uses the machine's /run\n");

	RUN(answers_requests);
	RUN(cuts_off_who_stalls);
	RUN(survives_rude_clients);
	RUN(replaces_a_stale_socket);
	RUN(lets_in_nobody_else);
	RUN(doubts_others);

	(void)rmdir(run_dir); /* not as an ordinary user, whose sockets' directory is in it */
	return test_result();
}
