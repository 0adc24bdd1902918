/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The backing directory: no way out of it, nothing opened that acts on opening. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>

#include "test.h"

static char path[64];
static struct store store;

static void make(void)
{
	const char *tmp = getenv("TMPDIR");

	CHECK(snprintf(path, sizeof(path), "%s/caisson-test-XXXXXX", tmp ? tmp : "/tmp") <
	      (int)sizeof(path));
	CHECK(mkdtemp(path) != NULL);
	CHECK_EQ(store_open(&store, path), 0);
	CHECK_EQ(store_open_proc(&store), 0);
}

static void end(void)
{
	char command[128];

	store_close(&store);
	CHECK_EQ(store.root_fd, -1);
	CHECK(snprintf(command, sizeof(command), "rm -rf '%s'", path) > 0);
	CHECK(system(command) == 0);
}

/* Anybody can lock what they can open, so it is a hint and no more. */
static void a_lock_is_shown(void)
{
	struct store second;

	make();
	CHECK(store_show_lock(&store));
	CHECK_EQ(store_open(&second, path), 0);
	CHECK(!store_show_lock(&second));
	store_close(&store);
	CHECK(store_show_lock(&second));
	store_close(&second);
	end();
}

static void only_directories_are_served(void)
{
	struct store none;

	CHECK_EQ(store_open(&none, "/proc/self/status"), -ENOTDIR);
	CHECK_EQ(store_open(&none, "/nonexistent/caisson"), -ENOENT);
	CHECK_EQ(store_open(&none, ""), -ENOENT);
}

static void there_is_no_way_out(void)
{
	static const char *const outside[] = {
		"..", "/", "/etc", "../..", "link/passwd", "up/tmp"
	};
	int fd = -1;
	struct stat st;

	make();
	CHECK(symlinkat("/etc", store.root_fd, "link") == 0);
	CHECK(symlinkat("..", store.root_fd, "up") == 0);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		CHECK(store_open_child(store.root_fd, outside[i], &fd) < 0);
		CHECK(store_create_child(store.root_fd, outside[i], O_RDWR, 0600, &fd) < 0);
	}
	CHECK_EQ(fd, -1);
	/* the symlink itself is a thing of the directory */
	CHECK_EQ(store_open_child(store.root_fd, "link", &fd), 0);
	CHECK(fstat(fd, &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(close(fd) == 0);
	fd = -1;
	CHECK_EQ(store_create_child(store.root_fd, "link", O_RDWR, 0600, &fd), -EEXIST);
	CHECK_EQ(fd, -1);
	end();
}

static void caches_alone_are_enough_or_say_so(void)
{
	int fd = -1, r;

	make();
	CHECK(mkfifoat(store.root_fd, "p", 0600) == 0);
	CHECK_EQ(store_open_child(store.root_fd, "p", &fd), 0);
	CHECK(close(fd) == 0);
	CHECK_EQ(store_open_cached(store.root_fd, "p", &fd), 0);
	CHECK(close(fd) == 0);
	fd = -1;
	CHECK_EQ(store_open_cached(store.root_fd, "never-asked-for", &fd), -EAGAIN);
	CHECK_EQ(fd, -1);
	end();

	fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	r = store_open_cached(fd, "proc", &(int){ -1 });
	CHECK(r == -EAGAIN || r == -EXDEV);
	CHECK(close(fd) == 0);
}

static void fifos_are_looked_at_not_opened(void)
{
	int fd = -1;

	make();
	CHECK(mkfifoat(store.root_fd, "p", 0600) == 0);
	CHECK_EQ(store_create_child(store.root_fd, "p", O_WRONLY, 0600, &fd), -EEXIST);
	CHECK_EQ(store_open_child(store.root_fd, "p", &fd), 0);
	CHECK(close(fd) == 0);
	end();
}

static void what_is_open_can_be_opened_again(void)
{
	int fd, again, path_fd;
	struct stat a, b;

	make();
	CHECK_EQ(store_create_child(store.root_fd, "f", O_RDWR, 0600, &fd), 0);
	CHECK_EQ(store_reopen(&store, fd, O_PATH, &path_fd), 0);
	CHECK(unlinkat(store.root_fd, "f", 0) == 0);
	CHECK_EQ(store_reopen(&store, path_fd, O_RDONLY, &again), 0);
	CHECK(fstat(fd, &a) == 0 && fstat(again, &b) == 0);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	CHECK(fcntl(again, F_GETFD) == FD_CLOEXEC);
	CHECK(close(fd) == 0 && close(again) == 0 && close(path_fd) == 0);
	CHECK_EQ(store_reopen(&store, path_fd, O_RDONLY, &again), -ENOENT);
	end();
}

static void names_of_descriptors_are_numbers(void)
{
	char name[STORE_FD_NAME_LEN];

	store_fd_name(0, name);
	CHECK_STR(name, "0");
	store_fd_name(1234567890, name);
	CHECK_STR(name, "1234567890");
	store_fd_name(2147483647, name);
	CHECK_STR(name, "2147483647");
}

int main(void)
{
	RUN(a_lock_is_shown);
	RUN(only_directories_are_served);
	RUN(there_is_no_way_out);
	RUN(caches_alone_are_enough_or_say_so);
	RUN(fifos_are_looked_at_not_opened);
	RUN(what_is_open_can_be_opened_again);
	RUN(names_of_descriptors_are_numbers);
	return test_result();
}
