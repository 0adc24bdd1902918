/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket from both sides, and what goes over it. The server's loop runs in a thread;
 * /run is a tmpfs of our own where that is permitted.
 */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control-path.h"
#include "macro.h"
#include "mountinfo.h"
#include "notify.h"
#include "status.h"
#include "test.h"

#define MAJOR 4242 /* no device has it: nobody's mount is meant */

static char run_dir[] = "/tmp/test-control.XXXXXX";

/* -- Status -- */

static void fill_example(struct status *status)
{
	*status = (struct status){
		.version = "1.2.3",
		.backing = "/srv/a \"b\"\\\n\x7f \xc3\xa9 \xff\xc0\xaf",
		.mountpoint = "/mnt/x",
		.pid = 101,
		.keeper_pid = 100,
		.keeper_alive = true,
		.uptime_s = 90061,
		.io_flusher_required = true,
		.io_flusher = true,
		.mlock_required = true,
		.mlock = true,
		.cache = "none",
		.kernel_minor = 38,
		.features = "async_dio posix_acl",
		.max_write = 1 << 20,
		.queues = 2,
		.queue_depth = 16,
		.memory_bound = 1610612736,
		.oom_score_adj = -1000,
		.tasks = 9,
		.queue = { { .requests = UINT64_MAX, .read_bytes = 1023 }, { .parked = 7 } },
	};
	strcpy(status->capabilities, "chown fowner");
	status_judge(status);
}

/* A JSON value at TEXT; what is behind it, or NULL where it isn't one (RFC 8259). */
static const char *skip_json(const char *text);

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\n");
}

static const char *skip_json_string(const char *text)
{
	if (*text++ != '"')
		return NULL;
	for (; *text != '"'; text++) {
		if ((unsigned char)*text < ' ')
			return NULL;
		if (*text != '\\')
			continue;
		text++;
		if (*text == 'u' && strspn(text + 1, "0123456789abcdefABCDEF") < 4)
			return NULL;
		if (!strchr("\"\\/bfnrtu", *text))
			return NULL;
	}
	return text + 1;
}

/* Members or elements up to CLOSE. */
static const char *skip_json_list(const char *text, char close, bool keys)
{
	text = skip_blanks(text + 1);
	if (*text == close)
		return text + 1;
	for (;;) {
		if (keys) {
			text = skip_json_string(skip_blanks(text));
			if (!text)
				return NULL;
			text = skip_blanks(text);
			if (*text++ != ':')
				return NULL;
		}
		text = skip_json(text);
		if (!text)
			return NULL;
		text = skip_blanks(text);
		if (*text == close)
			return text + 1;
		if (*text++ != ',')
			return NULL;
	}
}

static const char *skip_json(const char *text)
{
	static const char *const words[] = { "true", "false", "null" };
	size_t len;

	text = skip_blanks(text);
	switch (*text) {
	case '{':
		return skip_json_list(text, '}', true);
	case '[':
		return skip_json_list(text, ']', false);
	case '"':
		return skip_json_string(text);
	default:
		break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strncmp(text, words[i], strlen(words[i])) == 0)
			return text + strlen(words[i]);
	}
	len = strspn(text + (*text == '-'), "0123456789");
	return len ? text + (*text == '-') + len : NULL;
}

static bool is_json(const char *text)
{
	const char *end = skip_json(text);

	return end && *skip_blanks(end) == '\0';
}

static void renders_json(void)
{
	struct status status;
	char text[8192];
	int len;

	CHECK(is_json("{\"a\": [1, -2, \"\\u00ff\", null], \"b\": {}}"));
	CHECK(!is_json("{\"a\": 1,}") && !is_json("[1 2]") && !is_json("\"\n\"") &&
	      !is_json("{} x"));

	fill_example(&status);
	len = status_render_json(&status, text, sizeof(text));
	CHECK_EQ((size_t)len, strlen(text));
	CHECK(is_json(text));
	CHECK(strstr(text, "\"version\": \"1.2.3\""));
	CHECK(strstr(text, "\"backing\": \"/srv/a \\\"b\\\"\\\\\\u000a\\u007f \xc3\xa9 "
			   "\\ufffd\\ufffd\\ufffd\""));
	CHECK(strstr(text, "\"transport\": null"));
	CHECK(strstr(text, "\"oom_score_adj\": -1000"));
	CHECK(strstr(text, "\"safe_to_stack\": true"));
	CHECK(strstr(text, "\"requests\": 18446744073709551615"));
	CHECK(strstr(text, "\"parked\": 7"));
	CHECK(strstr(text, "\"memory_bound_bytes\": 1610612736"));
}

/* Whatever room there is: all or -ENOSPC, and nothing behind the room. */
static void keeps_to_its_room(void)
{
	int (*const render[])(const struct status *, char *, uint32_t) = { status_render_json,
									   status_render_text };
	struct status status;
	char text[8192];

	fill_example(&status);
	for (size_t i = 0; i < ARRAY_SIZE(render); i++) {
		int needed = render[i](&status, text, sizeof(text));

		CHECK(needed > 0);
		for (int len = 1; len <= needed + 1; len++) {
			text[len] = '#';
			CHECK_EQ(render[i](&status, text, (uint32_t)len),
				 len > needed ? needed : -ENOSPC);
			CHECK_EQ(text[len], '#');
		}
	}
}

static void the_largest_fits_an_answer(void)
{
	static char text[CONTROL_ANSWER_LEN], path[4096];
	struct status status;

	fill_example(&status);
	memset(path, 'p', sizeof(path) - 1);
	status.backing = status.mountpoint = path;
	status.queues = STATUS_QUEUES;
	memset(status.queue, 0xff, sizeof(status.queue));
	memset(status.features, 'f', sizeof(status.features) - 1);
	CHECK(status_render_json(&status, text, sizeof(text)) > 0);
	CHECK(is_json(text));
	CHECK(status_render_text(&status, text, sizeof(text)) > 0);
}

static void renders_text(void)
{
	struct status status;
	char text[8192];

	fill_example(&status);
	CHECK(status_render_text(&status, text, sizeof(text)) > 0);
	CHECK(strstr(text, "\nmemory bound         1.5 GiB\n"));
	CHECK(strstr(text, "\nup since             1 d 01:01:01\n"));
	CHECK(strstr(text, "\nsafe to stack on     yes\n"));
	CHECK(strstr(text, "\nqueue 0: requests 18446744073709551615, read 1023 B\n"));
	CHECK(strstr(text, "\nqueue 1: parked 7\n"));
	CHECK(strstr(text, "/srv/a \"b\"\\?? "));
}

static void judges_each_part(void)
{
	struct status status, unsafe;

	fill_example(&status);
	CHECK(status.safe_to_stack);
	CHECK_STR(status.reason, "");

	unsafe = status;
	unsafe.io_flusher = unsafe.io_flusher_required = false;
	unsafe.tasks_unmarked = 9;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "io_flusher=off"));
	unsafe = status;
	unsafe.tasks_unmarked = 1;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "1 of 9 tasks"));
	unsafe = status;
	unsafe.tasks = 0; /* never audited */
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack);
	unsafe = status;
	unsafe.alarms = 1;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack);
	unsafe = status;
	unsafe.mlock = false;
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "not locked"));
	unsafe = status;
	unsafe.cache = "writeback";
	status_judge(&unsafe);
	CHECK(!unsafe.safe_to_stack && strstr(unsafe.reason, "cache=writeback"));
}

/* -- The socket -- */

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
	CHECK_EQ(control_open(&server->control, MAJOR, minor), 0);
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

	return control_ask(&mount, request, text, len);
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
	CHECK(is_json(text));
	CHECK(ask(1, "status text", text, sizeof(text)) > 0);
	CHECK(strncmp(text, "version ", 8) == 0);
	CHECK(ask(1, "pids", text, sizeof(text)) > 0);
	CHECK_STR(text, "101 100\n");
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
	char text[64], byte;
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
	CHECK(ask(2, "pids", text, sizeof(text)) > 0);

	/* one that waits behind a stalling one gets its turn within its own patience */
	fd = connect_to(&server);
	CHECK(ask(2, "pids", text, sizeof(text)) > 0);
	close(fd);
	server_stop(&server);
}

static void survives_rude_clients(void)
{
	struct server server;
	char text[64], junk[300];
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
	CHECK(ask(3, "pids", text, sizeof(text)) > 0);
	server_stop(&server);
}

/* A dead daemon's socket is replaced; the dead one's late end takes nothing away. */
static void replaces_a_stale_socket(void)
{
	struct control dead;
	struct server server;
	char text[64];

	CHECK_EQ(control_open(&dead, MAJOR, 4), 0);
	close(dead.listen_fd);
	dead.listen_fd = -1;
	CHECK_EQ(ask(4, "pids", text, sizeof(text)), -ECONNREFUSED);
	server_start(&server, 4);
	CHECK(ask(4, "pids", text, sizeof(text)) > 0);
	control_close(&dead);
	CHECK(ask(4, "pids", text, sizeof(text)) > 0);
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
	(void)send(fd, "pids\n", 5, MSG_NOSIGNAL);
	CHECK(recv(fd, &byte, 1, 0) <= 0);
}

/* Whatever the socket's mode has come to be. */
static void lets_in_nobody_else(void)
{
	struct server server;
	char text[64];
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
	CHECK(ask(5, "pids", text, sizeof(text)) > 0);
	server_stop(&server);
}

/* The client doesn't believe a socket of somebody else's. */
static void doubts_others(void)
{
	struct server server;
	struct mountinfo mount = { .major = MAJOR, .minor = 6, .owner = 12345 };
	char text[64];
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		SKIP("needs root, to become somebody else");
		return;
	}
	server_start(&server, 6);
	CHECK(control_ask(&mount, "pids", text, sizeof(text)) > 0); /* root's is anybody's */
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
		CHECK_EQ(control_ask(&mount, "pids", text, sizeof(text)), -EPERM);
		mount.owner = 65534;
		/* then it is the mount's owner's: let in, though nobody accepts */
		CHECK_EQ(control_ask(&mount, "pids", text, sizeof(text)), -ETIMEDOUT);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

/* -- The service manager -- */

static void expect_notice(bool abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[sizeof(address.sun_path)], text[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len;
	ssize_t n;

	CHECK(fd >= 0);
	snprintf(name, sizeof(name), abstract ? "@caisson-test-%d" : "%2$s/notify-%1$d",
		 (int)getpid(), run_dir);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	memcpy(address.sun_path, name, strlen(name));
	if (abstract)
		address.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&address, len) == 0);
	CHECK(setenv("NOTIFY_SOCKET", name, 1) == 0);
	CHECK_EQ(notify("READY=1\nSTATUS=x"), 0);
	n = recv(fd, text, sizeof(text) - 1, 0);
	CHECK(n > 0);
	text[n] = '\0';
	CHECK_STR(text, "READY=1\nSTATUS=x");
	close(fd);
	CHECK_EQ(notify("READY=1"), -ECONNREFUSED);
	if (!abstract)
		CHECK(unlink(name) == 0);
}

static void notifies_the_service_manager(void)
{
	expect_notice(false);
	expect_notice(true);
	CHECK(setenv("NOTIFY_SOCKET", "relative", 1) == 0);
	CHECK_EQ(notify("READY=1"), -EAFNOSUPPORT);
	CHECK(unsetenv("NOTIFY_SOCKET") == 0);
	CHECK_EQ(notify("READY=1"), 0);
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

	RUN(renders_json);
	RUN(keeps_to_its_room);
	RUN(the_largest_fits_an_answer);
	RUN(renders_text);
	RUN(judges_each_part);
	RUN(answers_requests);
	RUN(cuts_off_who_stalls);
	RUN(survives_rude_clients);
	RUN(replaces_a_stale_socket);
	RUN(lets_in_nobody_else);
	RUN(doubts_others);
	RUN(notifies_the_service_manager);

	(void)rmdir(run_dir); /* not as an ordinary user, whose sockets' directory is in it */
	return test_result();
}
