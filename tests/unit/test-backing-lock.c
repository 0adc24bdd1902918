/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lock against a second daemon: one for each directory, by whatever path, for as long as a
 * process has it, and nobody else's to take. /run is a tmpfs of our own where that is permitted.
 */
#include "host/backing-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static char dir[] = "/tmp/test-backing-lock.XXXXXX", link_path[64], other[64];

static int open_dir(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static int take(struct backing_lock *lock, const char *path)
{
	int fd = open_dir(path), r = backing_lock_take(lock, fd);

	CHECK(close(fd) == 0);
	return r;
}

static void one_daemon_a_directory(void)
{
	struct backing_lock lock, second, third;

	CHECK_EQ(take(&lock, dir), 0);
	CHECK_EQ(take(&second, dir), -EBUSY);
	CHECK_EQ(take(&second, link_path), -EBUSY);
	CHECK_EQ(take(&third, other), 0);
	backing_lock_drop(&lock);
	CHECK_EQ(take(&second, link_path), 0);
	backing_lock_drop(&second);
	backing_lock_drop(&third);
}

/* The launcher and the keeper end, the server goes on. */
static void lasts_until_all_have_closed_it(void)
{
	struct backing_lock lock, second;
	int status;
	pid_t pid;

	CHECK_EQ(take(&lock, dir), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		backing_lock_drop(&lock);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_EQ(take(&second, dir), -EBUSY);

	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		pause();
	backing_lock_drop(&lock);
	CHECK_EQ(take(&second, dir), -EBUSY);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	CHECK_EQ(take(&second, dir), 0);
	backing_lock_drop(&second);
}

static void nobody_else_can_open_it(void)
{
	struct backing_lock lock;
	struct stat st;
	int status;
	pid_t pid;

	CHECK_EQ(take(&lock, dir), 0);
	CHECK(stat(lock.path, &st) == 0);
	CHECK_EQ(st.st_mode, (mode_t)(S_IFREG | 0600));
	backing_lock_drop(&lock);
	/* one that others may have opened is no good */
	CHECK(chmod(lock.path, 0644) == 0);
	CHECK_EQ(take(&lock, dir), -EPERM);
	CHECK(chmod(lock.path, 0600) == 0);
	if (geteuid() != 0)
		return;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		CHECK(open(lock.path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
		CHECK(unlink(lock.path) < 0 && errno == EACCES);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

static void another_user_needs_a_place(void)
{
	struct backing_lock lock;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		SKIP("needs root, to become somebody else");
		return;
	}
	CHECK(chmod(other, 0777) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(unsetenv("XDG_RUNTIME_DIR") == 0);
		CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		CHECK_EQ(take(&lock, other), -ENOENT);
		CHECK_STR(lock.path, "");
		CHECK(setenv("XDG_RUNTIME_DIR", other, 1) == 0);
		CHECK_EQ(take(&lock, other), 0);
		backing_lock_drop(&lock);
		CHECK(chmod(lock.path, 0600) == 0 && unlink(lock.path) == 0);
		/* a directory in which others could put another file */
		*strrchr(lock.path, '/') = '\0';
		CHECK(chmod(lock.path, 0777) == 0);
		CHECK_EQ(take(&lock, other), -EPERM);
		CHECK(rmdir(lock.path) == 0);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

int main(void)
{
	CHECK(mkdtemp(dir));
	CHECK(chmod(dir, 0755) == 0);
	CHECK(snprintf(link_path, sizeof(link_path), "%s/link", dir) > 0);
	CHECK(snprintf(other, sizeof(other), "%s/other", dir) > 0);
	CHECK(mkdir(other, 0755) == 0 && symlink(dir, link_path) == 0);
	if (geteuid() != 0)
		CHECK(setenv("XDG_RUNTIME_DIR", other, 1) == 0);
	else if (unshare(CLONE_NEWNS) < 0 ||
		 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		 mount("none", "/run", "tmpfs", 0, "mode=755") < 0)
		printf("note: uses the machine's /run\n");

	RUN(one_daemon_a_directory);
	RUN(lasts_until_all_have_closed_it);
	RUN(nobody_else_can_open_it);
	RUN(another_user_needs_a_place);

	CHECK(unlink(link_path) == 0);
	(void)rmdir(other); /* not as an ordinary user, whose lock is in it */
	(void)rmdir(dir);
	return test_result();
}
