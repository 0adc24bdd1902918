/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A deed is what a request has done so far. It stands in the arena. If the process dies, its heir
 * calls the handler again with the same message and deed, and the request gets the answer that it
 * would have got:
 *
 *   - Most handlers can do everything again.
 *   - What a name leads to is noted before the name is made, removed or moved. If it leads
 *     elsewhere afterwards, that was done (deed_is_done()). No other client can have changed it:
 *     the kernel keeps the directory locked until the request is answered. Somebody behind the
 *     mount can, so a file that was made is looked at before it is handed out.
 *   - Lookups that were counted, and an open file that was entered in the table, are taken back
 *     first (dispatch_take_back()). FORGETs that were counted are skipped.
 *   - An error of a flush that was taken for the answer is answered again.
 *
 * A thread works on one deed at a time, which the tables find by deed_now().
 */
#ifndef CAISSON_DEED_H
#define CAISSON_DEED_H

#include <stdbool.h>
#include <stdint.h>

/* What a name leads to. Zeroes: it doesn't exist. */
struct deed_name {
	uint64_t dev, ino;
};

/* Begins as zeroes with each request. */
struct deed {
	struct deed_name before[2];
	uint64_t nodeid;  /* of the only inode that was looked up */
	uint32_t counted; /* lookups, or FORGETs, that the inode table has counted */
	uint64_t fh;	  /* of an open file that was made, or 0 */
	int32_t told;	  /* error of a flush that is to be answered, -errno */
	bool noted;	  /* `before` is set, or a file is being released */
};

/*
 * The calling thread works on DEED from now on; NULL: on none that could be needed again. NODEIDS
 * has room for the nodeids of COUNT inodes that are looked up, and outlives the process like DEED.
 * If it is NULL, there is room for one.
 */
void deed_begin(struct deed *deed, uint64_t *nodeids, uint32_t count);
void deed_end(void);

/* What the calling thread works on. */
struct deed *deed_now(void);
uint64_t *deed_nodeids(void);

/* Whether the thread's deed, if it has one, has room for another lookup. */
bool deed_has_room(void);

/*
 * Notes what NAME in DIR_FD, and OTHER in OTHER_FD unless OTHER is NULL, lead to. If that was noted
 * before the process died, it finds out instead whether they lead elsewhere now. Returns 1 if they
 * do, 0 if not or if DEED is NULL, or -errno. To be called with the daemon's identity.
 */
int deed_is_done(struct deed *deed, int dir_fd, const char *name, int other_fd, const char *other);

/* The same for whether the file PATH has the extended attribute NAME. */
int deed_xattr_is_done(struct deed *deed, const char *path, const char *name);

#endif
