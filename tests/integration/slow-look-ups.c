/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slow-look-ups MOUNTPOINT [libfuse's options]: a filesystem to serve. It has
 *
 *	file		1 MiB that is read at once
 *	late-*		1 MiB of which each read takes two seconds
 *	slow-*		nothing, which takes two seconds to find out
 *	held-*		nothing, which takes ten seconds, or until who asks is killed
 *	old-*		the same, 25 seconds
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (1 << 20)

static bool is_late(const char *path)
{
	return strncmp(path, "/late-", 6) == 0;
}

static void hold(unsigned seconds)
{
	const struct timespec step = { .tv_nsec = 10000000 };

	for (unsigned ms = 0; ms < seconds * 1000 && !fuse_interrupted(); ms += 10)
		(void)nanosleep(&step, NULL);
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *info)
{
	(void)info;
	if (strncmp(path, "/slow-", 6) == 0) {
		sleep(2);
		return -ENOENT;
	}
	if (strncmp(path, "/held-", 6) == 0) {
		hold(10);
		return -ENOENT;
	}
	if (strncmp(path, "/old-", 5) == 0) {
		hold(25);
		return -ENOENT;
	}
	*st = (struct stat){ .st_mode = S_IFREG | 0644, .st_nlink = 1 };
	if (strcmp(path, "/") == 0)
		st->st_mode = S_IFDIR | 0755;
	else if (strcmp(path, "/file") == 0 || is_late(path))
		st->st_size = FILE_BYTES;
	else
		return -ENOENT;
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
	(void)path, (void)info;
	return 0;
}

static int read_file(const char *path, char *data, size_t len, off_t off,
		     struct fuse_file_info *info)
{
	(void)info;
	if (is_late(path))
		sleep(2);
	if (off >= FILE_BYTES)
		return 0;
	if (len > (size_t)(FILE_BYTES - off))
		len = (size_t)(FILE_BYTES - off);
	memset(data, 'z', len);
	return (int)len;
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config)
{
	connection->max_background = 64; /* reads by O_DIRECT, too */
	config->intr = 1;
	config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
	return NULL;
}

/* What libfuse interrupts a thread with. */
static void wake(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.init = begin,
		.getattr = get_attributes,
		.open = open_file,
		.read = read_file,
	};

	(void)signal(SIGUSR1, wake);
	return fuse_main(argc, argv, &operations, NULL);
}
