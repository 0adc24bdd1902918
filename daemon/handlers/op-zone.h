/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zones, as the handlers meet them. A directory with a mark (zone-mark.h) has a fixed set of
 * names. The names of zones lead to inodes that obey the rules of zone.h. A request that breaks a
 * rule is refused and counted (fs->zone_refusals).
 *
 * zloop flushes with sync_filesystem(), which reaches no FUSE server. So nothing is answered
 * before it is on stable storage (S11): writes are made with RWF_DSYNC, and every change of a size
 * or of the allocation is followed by fsync().
 *
 * A directory's mark is read when a name in it is first asked for. It counts as long as the kernel
 * knows the directory.
 *
 * Everything runs on metadata workers, except op_zone_refused().
 */
#ifndef CAISSON_OP_ZONE_H
#define CAISSON_OP_ZONE_H

#include <stdbool.h>
#include <stdint.h>

struct call;
struct fs;
struct inode;

/* Counts a refusal and returns ERROR. Any thread, no lock. */
int op_zone_refused(struct fs *fs, int error);

/*
 * Looks whether DIR is marked, unless that is known: zone_kind() is ZONE_NONE or ZONE_DIRECTORY
 * then, or still ZONE_UNKNOWN where the daemon may not read DIR. With the daemon's identity, so
 * before op_assume(). 0; -EIO where the mark can't be had or understood: better no access than
 * flushes that don't happen.
 */
int op_zone_ask(struct inode *dir);

/*
 * NAME in DIR may be made, moved or removed: 0. -EPERM in a marked one: zloop keeps to the files
 * that it finds, and a zone that has gone, or has another name, breaks the device. -EACCES for what
 * may be a zone's name where the daemon may not read whether DIR is marked. -EIO as above. Before
 * op_assume().
 */
int op_zone_allow_name(struct fs *fs, struct inode *dir, const char *name);

/*
 * NAME in DIR, of which op_zone_ask() has been told, has been found to be INODE. 0, or -EACCES or
 * -EIO as above; -EPERM for what somebody else than its owner may have put under a zone's name;
 * -EBUSY for what somebody has open as the ordinary file that it was until now.
 */
int op_zone_found(struct fs *fs, const struct inode *dir, const char *name, struct inode *inode);

/* INODE has just been opened, and FD is open on it: learns a zone's write pointer if nobody has. */
void op_zone_load(struct inode *inode, int fd);

/*
 * ftruncate() of the zone INODE through FD, and fsync(): what zones allow is made and is on stable
 * storage. 0 or -errno. With any identity.
 */
int op_zone_truncate(struct fs *fs, struct inode *inode, int fd, uint64_t size);

/*
 * What becomes of a WRITE to a sequential zone that has failed (zone_write_end()): cuts the file
 * back and returns the error for the answer.
 */
int op_zone_repair(struct call *call);

/* Whether NAME is the extended attribute that the mark is. */
bool op_zone_is_mark(const char *name);

#endif
