/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are read by other threads: what they tell, and what becomes of one that hangs. */
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "machine-fixture.h"
#include "stack/reader.h"

static struct reader reader;

static int collect(void *arg, const char *name)
{
	char *names = arg;

	(void)snprintf(names + strlen(names), 64, "%s ", name);
	return strcmp(name, "stop") == 0 ? 7 : 0;
}

static int count(void *arg, const char *name)
{
	(void)name;
	++*(uint32_t *)arg;
	return 0;
}

static void does_as_it_is_told(void)
{
	char text[64], names[256] = "";
	autoclose int fd = -1;

	file("proc/1/status", "0123456789");
	symlink_to("proc/1/cwd", "/somewhere");
	CHECK_EQ(reader_read(&reader, "proc/1/status", 0, text, sizeof(text)), 10);
	CHECK_EQ(reader_read(&reader, "proc/1/status", 4, text, 4), 3);
	CHECK_STR(text, "456");
	CHECK_EQ(reader_link(&reader, "proc/1/cwd", text, sizeof(text)), 10);
	CHECK_STR(text, "/somewhere");
	fd = reader_open(&reader, "proc/1/status");
	CHECK(fd >= 0);
	for (int i = 0; i < 2; i++) { /* always from the beginning */
		CHECK_EQ(reader_read_open(&reader, "proc/1/status", fd, text, sizeof(text)), 10);
		CHECK_STR(text, "0123456789");
	}
	CHECK_EQ(reader_open(&reader, "proc/1/none"), -ENOENT);
	CHECK_EQ(reader_names(&reader, "proc/none", collect, names), -ENOENT);
	CHECK_EQ(reader_names(&reader, "proc/1", collect, names), 0);
	CHECK(strstr(names, "status ") && strstr(names, "cwd ") && !strstr(names, ". "));
	file("proc/2/stop", "");
	CHECK_EQ(reader_names(&reader, "proc/2", collect, names), 7);
}

/* Of a large directory the first names come, whole. */
static void names_what_has_room(void)
{
	uint32_t found = 0;
	char name[64];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "proc/3/task/%07d", i);
		file(name, "");
	}
	CHECK_EQ(reader_names(&reader, "proc/3/task", count, &found), 0);
	CHECK_EQ(found, (READER_TEXT_SIZE - 1) / 8u);
}

/* A file that is opened when nobody waits for it any more is closed. */
static void closes_what_comes_too_late(void)
{
	struct system own = { .root_fd = AT_FDCWD };
	uint32_t before = 0, after = 0;
	int fd;

	file("proc/4/status", "");
	CHECK(mkfifo(below("proc/4/stack"), 0600) == 0);
	CHECK_EQ(system_names(&own, "/proc/self/fd", count, &before), 0);
	CHECK_EQ(reader_open(&reader, "proc/4/stack"), -ETIMEDOUT);
	/* nor is another thread given to that process */
	CHECK_EQ(reader_open(&reader, "proc/4/status"), -ETIMEDOUT);
	fd = open(below("proc/4/stack"), O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	close_fd(&fd);
	while ((fd = reader_open(&reader, "proc/4/status")) == -ETIMEDOUT)
		;
	CHECK(fd >= 0);
	close_fd(&fd);
	CHECK_EQ(system_names(&own, "/proc/self/fd", count, &after), 0);
	CHECK_EQ(after, before);
}

int main(void)
{
	make_machine();
	set_up();
	CHECK_EQ(reader_start(&reader, &machine.system), 0);
	RUN(does_as_it_is_told);
	RUN(names_what_has_room);
	RUN(closes_what_comes_too_late);
	CHECK(reader_stop(&reader));
	remove_machine();
	return test_result();
}
