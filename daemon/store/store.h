/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store is the backing directory. Everything in it is opened with openat2(), one name at a
 * time, beneath a descriptor that was opened in the same way. No symlink and no ".." is followed,
 * so no name leads out of the directory. Filesystems that are mounted in it are entered.
 *
 * All functions act with the calling thread's identity. Any thread may call them.
 */
#ifndef CAISSON_STORE_H
#define CAISSON_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct statx;

struct store {
	int root_fd; /* the backing directory, O_PATH */
	int read_fd; /* the backing directory, O_RDONLY; store_show_lock() locks it */
	int proc_fd; /* /proc/self/fd, in which store_reopen() opens descriptors again */
	bool local;  /* its filesystem is known to be local: see is_local() */
};

/* Opens the directory PATH. Returns 0 or -errno, as open(2). */
int store_open(struct store *store, const char *path);

/* The same for a directory that another process has opened by store_open(). */
void store_adopt(struct store *store, int root_fd, int read_fd);

/*
 * Locks the directory with flock(), as a hint to other users, who can't see the lock of
 * backing_lock_take(). Returns false if somebody else has locked it. Anybody who can open the
 * directory can lock it, so nothing may depend on the result.
 */
bool store_show_lock(const struct store *store);

/* Opens proc_fd. To be called after fork(), because /proc/self differs. Returns 0 or -errno. */
int store_open_proc(struct store *store);

void store_close(struct store *store);

/*
 * Opens NAME, a single component, in the directory DIR_FD with O_PATH. A symlink is opened itself.
 * Returns 0 or -errno.
 */
int store_open_child(int dir_fd, const char *name, int *ret_fd);

/*
 * store_open_child() from the kernel's caches alone, and within one mount. Returns 0 or -errno:
 * -EAGAIN if the caches can't tell, -EXDEV if NAME is a mount point, -ENOENT only if there is no
 * such name, and -EINVAL before Linux 5.12.
 */
int store_open_cached(int dir_fd, const char *name, int *ret_fd);

/*
 * Makes the regular file NAME in DIR_FD and opens it with FLAGS. Returns 0 or -errno: -EEXIST if
 * the name exists.
 */
int store_create_child(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd);

/*
 * Makes a file without a name in the directory DIR_FD. FLAGS are an access mode and any of O_EXCL,
 * O_SYNC and O_DSYNC. Returns 0 or -errno.
 */
int store_create_tmpfile(int dir_fd, int flags, mode_t mode, int *ret_fd);

/*
 * Opens the inode behind FD once more, with FLAGS. Both may have O_PATH. Returns 0 or -errno:
 * -EAGAIN if the file is leased; its holder has then been told to give the lease up. On a
 * filesystem that isn't known to be local, -EAGAIN may have another cause, so there the function
 * waits for the lease instead.
 */
int store_reopen(const struct store *store, int fd, int flags, int *ret_fd);

/*
 * Tries to make reads through the open file FD keep the file's access time. This works for files of
 * the calling thread's user, and for all files with CAP_FOWNER.
 */
void store_keep_atime(int fd);

/* Calls statx() with MASK on the inode behind FD. Returns 0 or -errno. */
int store_statx(int fd, unsigned int mask, struct statx *ret_stx);

/* Bytes that store_fd_name() may fill. */
#define STORE_FD_NAME_LEN 12

/* Writes the name of descriptor FD in /proc/self/fd to NAME. */
void store_fd_name(int fd, char name[static STORE_FD_NAME_LEN]);

#endif
