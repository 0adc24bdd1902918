/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads /proc/self/mountinfo, to find mounts without touching one that could hang. It uses stdio,
 * so it is for the time before the seal, the keeper and the tool.
 */
#ifndef CAISSON_MOUNTINFO_H
#define CAISSON_MOUNTINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mountinfo {
	uint32_t id;	       /* STATX_MNT_ID; the kernel uses it again when the mount has gone */
	uint32_t major, minor; /* st_dev of the mount */
	uid_t owner;	       /* FUSE's user_id=, or 0 */
	bool is_fuse;	       /* its type is fuse, fuse.X or fuseblk */
	bool is_whole;	       /* it shows the whole filesystem, not only a directory of it */
	char type[32];
};

/* A line of mountinfo, cut up. The fields are parts of the line. */
struct mountinfo_line {
	uint32_t id, major, minor;
	char *root, *point, *options; /* without escapes; the options are the mount's own */
	char *type, *source, *super_options;
};

/* Cuts up LINE, which has no newline. Returns false if it isn't a line of mountinfo. */
bool mountinfo_parse(char *line, struct mountinfo_line *ret_line);

/* Whether filesystems of TYPE are served through /dev/fuse: fuse, fuse.X or fuseblk. */
bool mountinfo_is_fuse(const char *type);

/*
 * Finds the topmost mount at the absolute path MOUNTPOINT, which is compared as text. Returns 0,
 * -ENOENT if nothing is mounted there, or -errno.
 */
int mountinfo_find(const char *mountpoint, struct mountinfo *ret_info);

/*
 * Finds the mount with ID. *RET_PATH is its present path, to be freed. Returns 0, -ENOENT if there
 * is no such mount below our root, or -errno.
 */
int mountinfo_find_id(uint32_t id, struct mountinfo *ret_info, char **ret_path);

/*
 * The id of FD's mount that no other mount ever has, or 0 if the kernel doesn't tell it (before
 * 6.8). The mounted filesystem isn't asked.
 */
uint64_t mountinfo_unique_id(int fd);

/*
 * Opens the root of the mount INFO, which was found at MOUNTPOINT, with O_PATH. The mounted
 * filesystem isn't asked. Returns 0; -ESTALE if another mount is topmost there now; or -errno.
 */
int mountinfo_open(const char *mountpoint, const struct mountinfo *info, int *ret_fd);

/*
 * Makes PATH absolute and free of symlinks, as in mountinfo. A filesystem mounted at PATH isn't
 * asked, only those above. The last component need not exist. Returns 0 with a string to be freed,
 * or
 * -errno.
 */
int mountinfo_path(const char *path, char **ret_path);

#endif
