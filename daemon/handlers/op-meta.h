/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the metadata handlers share: the caller's identity, entries and attributes. The handlers
 * themselves are in op-name, op-attr, op-dir and op-open.
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
 * Takes on the identity of CALL's caller, until creds_resume(). 0 or -errno; on error nothing has
 * changed.
 */
int op_assume(const struct call *call);

/*
 * The same for what acts on more than one thing: before TARGET gets a name in DIR; before
 * call->name[0] goes from DIR; before it becomes call->name[1] of NEW_DIR.
 */
int op_assume_to_link(const struct call *call, const struct inode *dir, const struct inode *target);
int op_assume_to_remove(const struct call *call, const struct inode *dir);
int op_assume_to_rename(const struct call *call, const struct inode *dir,
			const struct inode *new_dir);

/*
 * op_assume() without CAP_FSETID: what is written, truncated or copied loses its set-id bits. Where
 * the daemon doesn't act for callers this changes nothing: it has no such capability then.
 */
int op_assume_without_fsetid(const struct call *call);

/*
 * The same with the caller's supplementary groups and none of our rights, for what is already open;
 * without CAP_FSETID where it is to be WITHOUT_FSETID.
 */
int op_assume_with_groups(const struct call *call, bool without_fsetid);

/*
 * The same as op_assume(), before something is made with a mode to which the kernel hasn't applied
 * the caller's UMASK_BITS (FUSE_DONT_MASK): sets the thread's own, and the backing filesystem heeds
 * it unless the directory has a default ACL.
 */
int op_assume_to_create(const struct call *call, uint32_t umask_bits);

/*
 * ERROR as the kernel is to see it: -EMFILE is ours alone, to a client the whole filesystem is out
 * of files. Has idle inodes given back (inode_press()) where descriptors are what is short.
 */
int op_error(struct fs *fs, int error);

/*
 * To be called after a handler that may have brought inodes or open files: waits a moment where
 * room for these is getting short. What a client has let go of comes back later, as FORGET and
 * RELEASE, so a fast one could fill tables that it doesn't need. No lock is held.
 */
void op_slow_down(const struct fs *fs);

/*
 * Looks NAME up in DIR, of which op_zone_ask() has been told, remembers it with one lookup counted,
 * and fills the answer.
 * Returns 0 or -errno, -ENFILE where there is no room.
 */
int op_lookup_entry(struct fs *fs, const struct inode *dir, const char *name,
		    struct fuse_entry_out *ret_entry);

/* The same for NAME, which has just been made, in the row that ROOM has for its inode. */
int op_entry_made(struct room *room, const struct inode *dir, const char *name,
		  struct fuse_entry_out *ret_entry);

/*
 * The same for the inode behind the O_PATH descriptor *FD, which it takes, whatever its name is by
 * now. Where ROOM has no row, one is taken if need be: -ENFILE where there is none.
 */
int op_entry_of(struct room *room, int *fd, struct fuse_entry_out *ret_entry,
		struct inode **ret_inode);

/* An O_PATH descriptor of the inode behind FD, for op_entry_of(). 0 or -errno. */
int op_path_fd(struct fs *fs, int fd, int *ret_fd);

/*
 * op_lookup_entry() without any waiting: -EAGAIN, with nothing done, unless all that is known
 * already and the kernel has checked the caller's rights.
 */
int op_lookup_cached(struct fs *fs, const struct inode *dir, const char *name,
		     struct fuse_entry_out *ret_entry);

/*
 * The primary row of the file whose gate CALL, a worker's, has to enter first (gate.h), because it
 * changes the file's data through the page cache below; or POOL_NONE: there is none, or all goes
 * that way. Doesn't wait.
 */
uint32_t op_gate(const struct call *call);

/* Whether INODE is known to be on a local filesystem; others may be mounted below BACKING. */
bool op_is_local(const struct fs *fs, const struct inode *inode);

/*
 * STX with STATX_BASIC_STATS, of INODE: what the kernel is told about it is noted there.
 */
void op_fill_attr(struct fs *fs, struct inode *inode, const struct statx *stx,
		  struct fuse_attr *ret_attr);

/* The attributes of INODE become CALL's whole reply. 0 or -errno. */
int op_reply_attr(struct call *call, struct inode *inode);

/* Nanoseconds as the protocol's seconds and nanoseconds. */
void op_fill_timeout(uint64_t timeout_ns, uint64_t *ret_sec, uint32_t *ret_nsec);

#endif
