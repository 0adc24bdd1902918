/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The progress of a request: what its handler has done so far. It stands in the arena. If the
 * process dies, the one that takes over calls the handler again with the same message and
 * progress, and the request gets the answer that it would have got:
 *
 *   - Most handlers can do everything again.
 *   - What a name leads to is noted before the name is made, removed or moved. If it leads
 *     elsewhere afterwards, that was done (progress_names_changed()). No other client can have
 *     changed it: the kernel keeps the directory locked until the request is answered. Somebody
 *     behind the mount can, so a file that was made is looked at before it is handed out.
 *   - Lookups that were counted, and an open file that was entered in the table, are taken back
 *     first (dispatch_take_back()). FORGETs that were counted are skipped.
 *   - An error of a flush that was taken for the answer is answered again. One that nobody had
 *     noted yet is found in the dead process's ring (takeover.c).
 *
 * A thread handles one request at a time, whose progress the tables find by progress_now().
 */
#ifndef CAISSON_PROGRESS_H
#define CAISSON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* What a name leads to. Zeroes: it doesn't exist. */
struct progress_name {
	uint64_t dev, ino;
};

/* Begins as zeroes with each request. */
struct progress {
	struct progress_name before[2];
	uint64_t nodeid;  /* of the only inode that was looked up */
	uint32_t counted; /* lookups, or FORGETs, that the inode table has counted */
	uint64_t fh;	  /* of an open file that was made, or 0 */
	int32_t told;	  /* error of a flush that is to be answered, -errno */
	bool noted;	  /* `before` is set, or a file is being released */
};

/*
 * The calling thread notes in PROGRESS from now on what it does; NULL: nowhere. NODEIDS has room
 * for the nodeids of COUNT inodes that are looked up, and stands in the arena like PROGRESS. If it
 * is NULL, there is room for one.
 */
void progress_begin(struct progress *progress, uint64_t *nodeids, uint32_t count);
void progress_end(void);

/* What the calling thread has said with progress_begin(). */
struct progress *progress_now(void);
uint64_t *progress_nodeids(void);

/* Whether there is room to note another lookup, or nothing to note. */
bool progress_has_room(void);

/*
 * Notes what NAME in DIR_FD, and OTHER in OTHER_FD unless OTHER is NULL, lead to. If that was noted
 * before a process died, it finds out instead whether they lead elsewhere now, and returns that.
 * Returns false if PROGRESS is NULL or the names can't be looked at. To be called with the daemon's
 * identity.
 */
bool progress_names_changed(struct progress *progress, int dir_fd, const char *name, int other_fd,
			    const char *other);

/* The same for whether the file PATH has the extended attribute NAME. */
bool progress_xattr_changed(struct progress *progress, const char *path, const char *name);

#endif
