/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/backing-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/runtime-dir.h"

/*
 * The offset of a directory's byte: MurmurHash3's finalizer over both numbers. There are 2^62
 * offsets, so no two directories of one machine share one in practice.
 */
static off_t offset_of(const struct stat *st)
{
	uint64_t hash = st->st_dev * 0x9e3779b97f4a7c15ull ^ st->st_ino;

	for (int round = 0; round < 2; round++) {
		hash ^= hash >> 33;
		hash *= 0xff51afd7ed558ccdull;
	}
	return (off_t)(hash >> 2);
}

/* Opens the file PATH, which no other user may be able to open. */
static int open_file(const char *path, int *ret_fd)
{
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		return -EPERM;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int backing_lock_take(struct backing_lock *lock, int root_fd)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	size_t len = sizeof(lock->path) - sizeof("/lock");
	autoclose int fd = -1;
	struct stat st;
	int r;

	*lock = (struct backing_lock){ .fd = -1 };
	if (fstat(root_fd, &st) < 0)
		return -errno;
	r = runtime_dir_make(lock->path, len);
	if (r == -ENOENT)
		lock->path[0] = '\0';
	if (r < 0)
		return r;
	/* fits: len has left room for it */
	memcpy(lock->path + strlen(lock->path), "/lock", sizeof("/lock"));
	r = open_file(lock->path, &fd);
	if (r < 0)
		return r;
	range.l_start = offset_of(&st);
	if (fcntl(fd, F_OFD_SETLK, &range) < 0)
		return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	lock->fd = steal_fd(&fd);
	return 0;
}

void backing_lock_drop(struct backing_lock *lock)
{
	close_fd(&lock->fd);
}
