/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values, files and paths of /proc; files like its own are made here. */
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "test.h"

static char path[] = "/tmp/test-procfs.XXXXXX";

/* The value of KEY in a file of TEXT. */
static const char *value_in(const char *text, const char *key, uint32_t len, int expected)
{
	static char value[64];
	FILE *file = fopen(path, "we");

	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
	CHECK_EQ(procfs_read_value(path, key, value, len), expected);
	return value;
}

static void finds_values(void)
{
	const char *text = "Name:\tb\nNamed:\t c d \nGroups:\t1 2 3\nGroups:\t4\nLast:x";

	CHECK_STR(value_in(text, "Name", 64, 0), "b");
	CHECK_STR(value_in(text, "Named", 64, 0), "c d");
	CHECK_STR(value_in(text, "Groups", 64, 0), "1 2 3");
	value_in(text, "Nam", 64, -ENOENT);
	value_in(text, "Last", 64, -ENOENT); /* the kernel ends its lines */
	CHECK_STR(value_in(text, "Groups", 6, 0), "1 2 3");
	value_in(text, "Groups", 5, -ENOSPC);
}

static void reads_numbers(void)
{
	uint64_t number;

	value_in("Size:\t  12 kB\nSet:\tff\nWord:\tx\n", "Size", 64, 0);
	CHECK_EQ(procfs_read_number(path, "Size", 10, &number), 0);
	CHECK_EQ(number, 12u);
	CHECK_EQ(procfs_read_number(path, "Set", 16, &number), 0);
	CHECK_EQ(number, 255u);
	CHECK_EQ(procfs_read_number(path, "Set", 10, &number), -EINVAL);
	CHECK_EQ(procfs_read_number(path, "Word", 10, &number), -EINVAL);
	CHECK_EQ(procfs_read_number("/nonexistent", "Word", 10, &number), -ENOENT);
}

static void reads_text(void)
{
	char text[8];

	value_in("0123456789\n", "none", 64, -ENOENT);
	CHECK_EQ(procfs_read_text(AT_FDCWD, path, text, sizeof(text)), 7);
	CHECK_STR(text, "0123456");
	value_in("1\n", "none", 64, -ENOENT);
	CHECK_EQ(procfs_read_text(AT_FDCWD, path, text, sizeof(text)), 2);
	CHECK_STR(text, "1\n");
	CHECK_EQ(procfs_read_text(AT_FDCWD, "/nonexistent", text, sizeof(text)), -ENOENT);
}

static void reads_settings(void)
{
	uint64_t number;

	value_in("123\n", "none", 64, -ENOENT);
	CHECK_EQ(procfs_read_setting(path, &number), 0);
	CHECK_EQ(number, 123u);
	value_in("12x\n", "none", 64, -ENOENT);
	CHECK_EQ(procfs_read_setting(path, &number), -EINVAL);
	value_in("", "none", 64, -ENOENT);
	CHECK_EQ(procfs_read_setting(path, &number), -EINVAL);
	CHECK_EQ(procfs_read_setting("/nonexistent", &number), -ENOENT);
}

static void undoes_escapes(void)
{
	char text[] = "a\\040b\\134\\0\\0408\\9";

	procfs_unescape(text);
	CHECK_STR(text, "a b\\\\0 8\\9");
}

static void writes_paths(void)
{
	char number[11], fd_path[PROCFS_FD_PATH_LEN], expected[64];
	struct stat there, here;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*procfs_put_number(0, number) = '\0';
	CHECK_STR(number, "0");
	*procfs_put_number(UINT32_MAX, number) = '\0';
	CHECK_STR(number, "4294967295");
	procfs_fd_path(INT_MAX, fd_path);
	CHECK_STR(fd_path, "/proc/self/fd/2147483647");
	CHECK_EQ(strlen(fd_path) + 1, sizeof(fd_path));
	procfs_fd_path(fd, fd_path);
	snprintf(expected, sizeof(expected), "/proc/self/fd/%d", fd);
	CHECK_STR(fd_path, expected);
	CHECK(stat(fd_path, &there) == 0 && stat(path, &here) == 0);
	CHECK_EQ(there.st_ino, here.st_ino);
	close(fd);
}

int main(void)
{
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	close(fd);
	RUN(finds_values);
	RUN(reads_numbers);
	RUN(reads_text);
	RUN(reads_settings);
	RUN(undoes_escapes);
	RUN(writes_paths);
	CHECK(unlink(path) == 0);
	return test_result();
}
