/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions that the metadata handlers share: taking on the caller's identity, and filling in
 * entries and attributes. The handlers are in op-name, op-attr, op-dir, op-open and others.
 */
#ifndef CAISSON_OP_META_H
#define CAISSON_OP_META_H

#include <stdbool.h>
#include <stdint.h>

#include "handlers/call.h"

struct fs;
struct inode;
struct room;
struct statx;

/*
 * Takes on the identity of CALL's caller until creds_resume(). Returns 0, or -errno with the
 * identity unchanged.
 */
int op_assume(const struct call *call);

/*
 * These take on the caller's identity for operations on several objects: to link TARGET in DIR, to
 * remove call->name[0] from DIR, and to rename that to call->name[1] in NEW_DIR.
 */
int op_assume_to_link(const struct call *call, const struct inode *dir, const struct inode *target);
int op_assume_to_remove(const struct call *call, const struct inode *dir);
int op_assume_to_rename(const struct call *call, const struct inode *dir,
			const struct inode *new_dir);

/*
 * Does the same as op_assume(), without CAP_FSETID. A file that is then written, truncated or
 * copied to loses its set-id bits. A daemon that doesn't act for callers never has CAP_FSETID.
 */
int op_assume_without_fsetid(const struct call *call);

/*
 * Takes on the caller's identity and groups, but no rights over an inode, which an operation on an
 * open file doesn't need. Drops CAP_FSETID if WITHOUT_FSETID is set.
 */
int op_assume_with_groups(const struct call *call, bool without_fsetid);

/*
 * Does the same as op_assume() before a file is created. With FUSE_DONT_MASK the kernel hasn't
 * applied the caller's UMASK_BITS to the mode. This sets them as the thread's umask, which the
 * backing filesystem applies unless the directory has a default ACL.
 */
int op_assume_to_create(const struct call *call, uint32_t umask_bits);

/*
 * Converts ERROR for the reply. -EMFILE becomes -ENFILE, because the limit is the daemon's and not
 * the client's. It also frees descriptors of idle inodes, or asks the kernel to give inodes back
 * (inode_press()).
 */
int op_error(struct fs *fs, int error);

/*
 * Waits a moment if inodes, open files or descriptors are becoming scarce. Call it after a handler
 * that may have added some, without a lock. A client's FORGETs and RELEASEs arrive late, so a fast
 * client could otherwise fill the tables with rows that it no longer needs.
 */
void op_slow_down(const struct fs *fs);

/*
 * Looks up NAME in DIR, enters it into the inode table with one lookup counted, and fills in the
 * answer. Call op_zone_ask() for DIR first. Returns 0 or -errno; -ENFILE means that the table or
 * the descriptors are exhausted.
 */
int op_lookup_entry(struct fs *fs, const struct inode *dir, const char *name,
		    struct fuse_entry_out *ret_entry);

/* Does the same for NAME, which was just created. The inode gets the row that ROOM has. */
int op_entry_made(struct room *room, const struct inode *dir, const char *name,
		  struct fuse_entry_out *ret_entry);

/*
 * Does the same for the inode behind the O_PATH descriptor *FD, whatever its name is now. It takes
 * *FD, also on error. If ROOM has no row, it takes a free one if it needs one.
 */
int op_entry_of(struct room *room, int *fd, struct fuse_entry_out *ret_entry,
		struct inode **ret_inode);

/* Opens an O_PATH descriptor of the inode behind FD, for op_entry_of(). Returns 0 or -errno. */
int op_path_fd(struct fs *fs, int fd, int *ret_fd);

/*
 * Does the same as op_lookup_entry() without waiting. Returns -EAGAIN with nothing done if the name
 * isn't in the kernel's cache or if the caller's rights are still to be checked.
 */
int op_lookup_cached(struct fs *fs, const struct inode *dir, const char *name,
		     struct fuse_entry_out *ret_entry);

/*
 * Returns the primary row of the file whose gate CALL has to enter first (gate.h), because CALL
 * changes the file's data through the backing page cache. Returns POOL_NONE if it doesn't, or if
 * all I/O goes through that cache anyway. Doesn't wait.
 */
uint32_t op_gate(const struct call *call);

/* Returns true if INODE is on the filesystem of BACKING and that is known to be local. */
bool op_is_local(const struct fs *fs, const struct inode *inode);

/*
 * Fills in the attributes of INODE from STX, which must have STATX_BASIC_STATS. Notes in INODE if
 * they show set-id bits to the kernel.
 */
void op_fill_attr(struct fs *fs, struct inode *inode, const struct statx *stx,
		  struct fuse_attr *ret_attr);

/* Answers CALL with the attributes of INODE. Returns 0 or -errno. */
int op_reply_attr(struct call *call, struct inode *inode);

/*
 * RELEASE and RELEASEDIR: op_note_release() notes that the call's file is about to be closed.
 * op_released() is the answer if there is no such file: 0 if a process that has died has closed it.
 */
void op_note_release(const struct call *call);
int op_released(const struct call *call);

/* Splits TIMEOUT_NS into the protocol's seconds and nanoseconds. */
void op_fill_timeout(uint64_t timeout_ns, uint64_t *ret_sec, uint32_t *ret_nsec);

#endif
