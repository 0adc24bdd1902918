/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backing directory. Everything in it is opened one name at a time with openat2(), beneath a
 * descriptor that was itself opened so: no symlink is followed, no "..", and no way leads out.
 * Other filesystems that are mounted in it are entered.
 *
 * All functions act with the calling thread's identity. Any thread.
 */
#ifndef CAISSON_STORE_H
#define CAISSON_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct statx;

struct store {
	int root_fd; /* O_PATH, the backing directory */
	int read_fd; /* O_RDONLY of the same, flock()ed where nobody else had done so */
	int proc_fd; /* /proc/self/fd: turns O_PATH descriptors into paths */
	bool local;  /* known to be: its close(2) finds no errors, its statx(2) asks nobody */
};

/* Opens PATH. Returns 0 or -errno: -ENOTDIR, -ENOENT, -EACCES as open(2). */
int store_open(struct store *store, const char *path);

/*
 * Locks the directory, as a hint to other users, who can't see backing_lock_take()'s lock.
 * Anybody who can open it can do the same, so this decides nothing. False where somebody has.
 */
bool store_show_lock(const struct store *store);

/*
 * To be called in the process that serves (after fork): /proc/self differs. 0 or -errno.
 */
int store_open_proc(struct store *store);
void store_close(struct store *store);

/*
 * Opens NAME, a single component, directly in the directory DIR_FD, as an O_PATH descriptor of
 * the thing itself (a symlink is not followed). Returns 0 or -errno.
 */
int store_open_child(int dir_fd, const char *name, int *ret_fd);

/*
 * The same from the kernel's caches alone and not across a mount: -EAGAIN or -EXDEV where that
 * takes more. -ENOENT is certain. Linux 5.12, -EINVAL before.
 */
int store_open_cached(int dir_fd, const char *name, int *ret_fd);

/*
 * Makes the regular file NAME in DIR_FD and opens it with FLAGS: -EEXIST for whatever exists, which
 * is left alone. Returns 0 or -errno.
 */
int store_create_child(int dir_fd, const char *name, int flags, mode_t mode, int *ret_fd);

/* Makes a nameless file in the directory DIR_FD; FLAGS: access mode, O_EXCL, O_SYNC, O_DSYNC. */
int store_create_tmpfile(int dir_fd, int flags, mode_t mode, int *ret_fd);

/*
 * Opens the inode behind the descriptor FD (O_PATH or not) once more, with FLAGS (O_RDWR …,
 * O_PATH too). 0 or -errno: -EAGAIN where somebody has a lease on the file, which is being broken
 * now. Waits for that only on a filesystem that isn't known to be local, where -EAGAIN may have
 * other causes.
 */
int store_reopen(const struct store *store, int fd, int flags, int *ret_fd);

/*
 * What is read through the open file FD from now on keeps its access time, where the calling thread
 * may have it so: for its own files, and with CAP_FOWNER. A wish, not a promise.
 */
void store_keep_atime(int fd);

/* statx() of the inode behind FD with MASK. 0 or -errno. */
int store_statx(int fd, unsigned int mask, struct statx *ret_stx);

/* Bytes for any descriptor's name: what store_fd_name() fills. */
#define STORE_FD_NAME_LEN 12

/* "N" for use with store->proc_fd: the path of descriptor FD. */
void store_fd_name(int fd, char name[static STORE_FD_NAME_LEN]);

#endif
