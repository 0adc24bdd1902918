/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount that this process has made, to be unmounted, and no other. It may be elsewhere by now,
 * because it was moved or a directory above it was renamed. Another mount may lie over it, or,
 * after it has gone, have its place, its id and even its device number.
 */
#ifndef CAISSON_OWN_MOUNT_H
#define CAISSON_OWN_MOUNT_H

#include <stdbool.h>

#include "base/mountinfo.h"

struct fuse_session;

struct own_mount {
	const char *mountpoint; /* absolute; where it was mounted */
	struct fuse_session *se;
	struct mountinfo info; /* as it was found right after mounting */
	uint64_t unique_id;    /* mountinfo_unique_id(), or 0 */
};

/* SE has just been mounted at MOUNTPOINT; both are borrowed. Returns 0 or -errno. */
int own_mount_find(struct own_mount *mount, const char *mountpoint, struct fuse_session *se);

/* Whether its last user has gone, or somebody has aborted the connection. */
bool own_mount_is_severed(const struct own_mount *mount);

/*
 * Unmounts it lazily, if it is still there, wherever that is. False where it stays, logged. Not
 * where it is severed by its last user's going: its device number is then free, and another mount
 * at the same place, which isn't ours, is likely to have it.
 */
bool own_mount_unmount(const struct own_mount *mount);

#endif
