/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words to the service manager, by either kind of socket. */
#include "host/notify.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "test.h"

static char dir[] = "/tmp/test-notify.XXXXXX";

static void expect_notice(bool abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[sizeof(address.sun_path)], text[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len;
	ssize_t n;

	CHECK(fd >= 0);
	snprintf(name, sizeof(name), abstract ? "@caisson-test-%d" : "%2$s/notify-%1$d",
		 (int)getpid(), dir);
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

static void tells_a_service_manager(void)
{
	expect_notice(false);
	expect_notice(true);
}

static void needs_none(void)
{
	CHECK(setenv("NOTIFY_SOCKET", "relative", 1) == 0);
	CHECK_EQ(notify("READY=1"), -EAFNOSUPPORT);
	CHECK(unsetenv("NOTIFY_SOCKET") == 0);
	CHECK_EQ(notify("READY=1"), 0);
}

int main(void)
{
	CHECK(mkdtemp(dir));
	RUN(tells_a_service_manager);
	RUN(needs_none);
	CHECK(rmdir(dir) == 0);
	return test_result();
}
