/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/procfs.h"
#include "store/handle.h"

/* Attempts at openat2(), which fails with EAGAIN if a rename elsewhere interferes. */
#define RESOLVE_TRIES 64

/*
 * A local filesystem has no flush operation, so close() finds no error that fsync() doesn't find,
 * and its statx() neither does I/O nor waits for any. The filesystems that are known to be local
 * are the ones whose handles last.
 */
static bool is_local(int fd)
{
	return handle_is_lasting(fd);
}

int store_open(struct store *store, const char *path)
{
	autoclose int root_fd = -1, read_fd = -1;

	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;
	read_fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (read_fd < 0)
		return -errno;
	store_adopt(store, root_fd, read_fd);
	(void)steal_fd(&root_fd), (void)steal_fd(&read_fd);
	return 0;
}

void store_adopt(struct store *store, int root_fd, int read_fd)
{
	*store = (struct store){
		.root_fd = root_fd,
		.read_fd = read_fd,
		.proc_fd = -1,
		.local = is_local(read_fd),
	};
}

bool store_show_lock(const struct store *store)
{
	return flock(store->read_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

int store_open_proc(struct store *store)
{
	int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close_fd(&store->proc_fd);
	store->proc_fd = fd;
	return 0;
}

void store_close(struct store *store)
{
	close_fd(&store->root_fd);
	close_fd(&store->read_fd);
	close_fd(&store->proc_fd);
}

static int open_beneath(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	for (int tries = 0; tries < RESOLVE_TRIES; tries++) {
		fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
		if (fd >= 0) {
			*ret_fd = (int)fd;
			return 0;
		}
		if (errno != EAGAIN)
			break;
	}
	return -errno;
}

int store_open_child(int dir_fd, const char *name, int *ret_fd)
{
	return open_beneath(dir_fd, name, O_PATH, 0, ret_fd);
}

int store_open_cached(int dir_fd, const char *name, int *ret_fd)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_CACHED,
	};
	long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

	if (fd < 0)
		return -errno;
	*ret_fd = (int)fd;
	return 0;
}

int store_create_child(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd)
{
	return open_beneath(dir_fd, name, flags | O_CREAT | O_EXCL, mode & 07777, ret_fd);
}

int store_create_tmpfile(int dir_fd, int flags, mode_t mode, int *ret_fd)
{
	return open_beneath(dir_fd, ".", flags | O_TMPFILE, mode & 07777, ret_fd);
}

static int reopen(const struct store *store, int fd, int flags, int *ret_fd)
{
	char name[STORE_FD_NAME_LEN];
	int opened;

	store_fd_name(fd, name);
	opened = openat(store->proc_fd, name, flags | O_CLOEXEC);
	if (opened < 0)
		return -errno;
	*ret_fd = opened;
	return 0;
}

int store_reopen(const struct store *store, int fd, int flags, int *ret_fd)
{
	autoclose int opened = -1;
	int r;

	/* these break no lease */
	if (flags & (O_PATH | O_DIRECTORY))
		return reopen(store, fd, flags, ret_fd);
	r = reopen(store, fd, flags | O_NONBLOCK, &opened);
	if (r == -EAGAIN && !is_local(fd))
		return reopen(store, fd, flags, ret_fd);
	if (r < 0)
		return r;
	/* with O_NONBLOCK, io_uring would not wait on the descriptor (io_file_get_flags()) */
	if (fcntl(opened, F_SETFL, flags) < 0)
		return -errno;
	*ret_fd = steal_fd(&opened);
	return 0;
}

void store_keep_atime(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NOATIME); /* EPERM: another user's file */
}

int store_statx(int fd, unsigned int mask, struct statx *ret_stx)
{
	return statx(fd, "", AT_EMPTY_PATH, mask, ret_stx) < 0 ? -errno : 0;
}

void store_fd_name(int fd, char name[static STORE_FD_NAME_LEN])
{
	*procfs_put_number((uint32_t)fd, name) = '\0';
}
