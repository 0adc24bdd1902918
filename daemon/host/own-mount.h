/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount that this process has made. It has to be unmounted, and no other mount. It may have
 * moved by then, or a directory above it may have been renamed. Another mount may cover it. After
 * it has gone, another mount may have its place, its id and even its device number.
 */
#ifndef CAISSON_OWN_MOUNT_H
#define CAISSON_OWN_MOUNT_H

#include <stdbool.h>

#include "base/mountinfo.h"

struct fuse_session;

struct own_mount {
	const char *mountpoint; /* absolute, as of mounting */
	struct fuse_session *se;
	struct mountinfo info; /* as of mounting */
	uint64_t unique_id;    /* mountinfo_unique_id(), or 0 */
};

/* Finds the mount of SE, which was just made at MOUNTPOINT; borrows both. Returns 0 or -errno. */
int own_mount_find(struct own_mount *mount, const char *mountpoint, struct fuse_session *se);

/* The mount of SE, FOUND by the process that has made it. Borrows MOUNTPOINT. */
void own_mount_adopt(struct own_mount *mount, const char *mountpoint, struct fuse_session *se,
		     const struct mountinfo *found, uint64_t unique_id);

/* Whether the connection has ended: its last user has gone, or somebody has aborted it. */
bool own_mount_is_severed(const struct own_mount *mount);

/*
 * Unmounts it lazily if it still exists, wherever it is now. Returns false if it stays, logged.
 * Must not be called if its last user has gone: its device number is then free, and another mount
 * at the same place, which isn't ours, is likely to have it.
 */
bool own_mount_unmount(const struct own_mount *mount);

#endif
