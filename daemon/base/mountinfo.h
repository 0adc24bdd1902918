/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/self/mountinfo: what is mounted where, without touching a mount that could hang. Uses
 * stdio: before the seal, in the keeper and in tools.
 */
#ifndef CAISSON_MOUNTINFO_H
#define CAISSON_MOUNTINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mountinfo {
	uint32_t id;	       /* of the mount, STATX_MNT_ID; given anew after it has gone */
	uint32_t major, minor; /* st_dev of the mount */
	uid_t owner;	       /* FUSE's user_id=, 0 where there is none */
	bool is_fuse;	       /* of type fuse, fuse.X, fuseblk … */
	bool is_whole; /* shows its filesystem from the root on, not from a directory of it */
	char type[32];
};

/*
 * The topmost mount at the absolute path MOUNTPOINT, which is compared as text. Returns 0, -ENOENT
 * where nothing is mounted there, or -errno.
 */
int mountinfo_find(const char *mountpoint, struct mountinfo *ret_info);

/*
 * The mount with ID, wherever it is by now; *RET_PATH, for free(), is where. Returns 0, -ENOENT
 * where there is none below our root, or -errno.
 */
int mountinfo_find_id(uint32_t id, struct mountinfo *ret_info, char **ret_path);

/*
 * An id of the mount that FD is on which no other mount ever has; 0 where the kernel doesn't tell
 * (before 6.8). The mount isn't asked for anything.
 */
uint64_t mountinfo_unique_id(int fd);

/*
 * Opens the mount INFO, which was found at MOUNTPOINT, with O_PATH: its root, which isn't asked for
 * anything. Returns 0; -ESTALE where another mount is topmost there now; or -errno.
 */
int mountinfo_open(const char *mountpoint, const struct mountinfo *info, int *ret_fd);

/*
 * PATH as mountinfo names it: absolute, without symlinks. What is mounted at it isn't asked
 * anything, only what is above. The last component need not exist. Returns 0 with a string for
 * free(), or -errno.
 */
int mountinfo_path(const char *path, char **ret_path);

#endif
