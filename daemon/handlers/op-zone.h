/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The functions by which handlers enforce the rules of zoned directories. A directory with a mark
 * (zone-mark.h) has a fixed set of names. The names of zones lead to inodes that obey the rules of
 * zone.h. A request that breaks a rule is refused and counted (fs->zone_refusals).
 *
 * zloop flushes with sync_filesystem(), which doesn't reach a FUSE server. Therefore every change
 * is on stable storage before it is answered (S11). Writes use RWF_DSYNC, and every change of a
 * size or of the allocation is followed by fsync().
 *
 * A directory's mark is read when a name in it is first looked up. It is valid as long as the
 * kernel knows the directory.
 *
 * All functions run on metadata workers, except op_zone_refused().
 */
#ifndef CAISSON_OP_ZONE_H
#define CAISSON_OP_ZONE_H

#include <stdbool.h>
#include <stdint.h>

struct call;
struct fs;
struct inode;

/* Counts a refusal and returns ERROR. Any thread. */
int op_zone_refused(struct fs *fs, int error);

/*
 * Finds out whether DIR is marked, unless that is known. Afterwards zone_kind() is ZONE_NONE,
 * ZONE_DIRECTORY, or ZONE_UNKNOWN if the daemon may not read DIR. Call it with the daemon's
 * identity, before op_assume(). Returns 0, or -EIO if the mark is unreadable or malformed. No
 * access is safer than flushes that don't happen.
 */
int op_zone_ask(struct inode *dir);

/*
 * Checks whether NAME in DIR may be created, renamed or removed. Call it before op_assume().
 *
 * Returns 0, or -EPERM if DIR is marked: zloop relies on its files, and a zone that is missing or
 * has another name breaks the device. Returns -EACCES if NAME may be a zone's but the daemon may
 * not read whether DIR is marked. Returns -EIO as op_zone_ask() does.
 */
int op_zone_allow_name(struct fs *fs, struct inode *dir, const char *name);

/*
 * Makes INODE a zone if NAME, by which it was found in DIR, is a zone's. Call op_zone_ask() for DIR
 * first. Returns 0, or -EACCES or -EIO as op_zone_allow_name() does. Returns -EPERM if someone
 * other than the directory's owner may have put the file there. Returns -EBUSY if someone has it
 * open as an ordinary file.
 */
int op_zone_found(struct fs *fs, const struct inode *dir, const char *name, struct inode *inode);

/* Sets the write pointer of INODE, a zone, to the size of its file FD, unless it is set already. */
void op_zone_load(struct inode *inode, int fd);

/*
 * Truncates the zone INODE through FD as the rules of zones allow, and calls fsync(). Returns 0 or
 * -errno. Works with any identity.
 */
int op_zone_truncate(struct fs *fs, struct inode *inode, int fd, uint64_t size);

/*
 * Cuts the file of a sequential zone back after a WRITE has failed (zone_write_end()). Returns the
 * error for the answer.
 */
int op_zone_repair(struct call *call);

/* Returns true if NAME is the extended attribute that marks a directory. */
bool op_zone_is_mark(const char *name);

#endif
