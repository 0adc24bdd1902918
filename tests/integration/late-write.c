/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * late-write MOUNTPOINT [libfuse's options]: a filesystem with one file, disk, of 128 MiB in
 * memory. The first write to it that begins with "LATE" takes three seconds, and only then changes
 * the file. Whatever else is read and written meanwhile takes no time.
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (128 << 20)

static char *disk;
static atomic_flag was_late = ATOMIC_FLAG_INIT;

static bool is_disk(const char *path)
{
	return strcmp(path, "/disk") == 0;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *info)
{
	(void)info;
	*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_nlink = 1, .st_size = DISK_BYTES };
	if (strcmp(path, "/") == 0)
		*st = (struct stat){ .st_mode = S_IFDIR | 0700, .st_nlink = 1 };
	else if (!is_disk(path))
		return -ENOENT;
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *info)
{
	(void)info;
	return is_disk(path) ? 0 : -ENOENT;
}

/* The bytes of the LEN at OFF that the disk has. */
static size_t within(size_t len, off_t off)
{
	if (off >= DISK_BYTES)
		return 0;
	return len < (size_t)(DISK_BYTES - off) ? len : (size_t)(DISK_BYTES - off);
}

static int read_file(const char *path, char *data, size_t len, off_t off,
		     struct fuse_file_info *info)
{
	(void)path, (void)info;
	len = within(len, off);
	memcpy(data, disk + off, len);
	return (int)len;
}

static int write_file(const char *path, const char *data, size_t len, off_t off,
		      struct fuse_file_info *info)
{
	(void)path, (void)info;
	len = within(len, off);
	if (len >= 4 && memcmp(data, "LATE", 4) == 0 && !atomic_flag_test_and_set(&was_late))
		sleep(3);
	memcpy(disk + off, data, len);
	return (int)len;
}

static int sync_file(const char *path, int data_only, struct fuse_file_info *info)
{
	(void)path, (void)data_only, (void)info;
	return 0;
}

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config)
{
	(void)config;
	connection->max_background = 64;
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations operations = {
		.init = begin,
		.getattr = get_attributes,
		.open = open_file,
		.read = read_file,
		.write = write_file,
		.fsync = sync_file,
	};

	disk = calloc(1, DISK_BYTES);
	return disk ? fuse_main(argc, argv, &operations, NULL) : 1;
}
