/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opcode table, and the validation of every message, all in this one place.
 *
 * A message is parsed once, before anything acts on it. From then on every length, offset and
 * string in the call can be relied on. A message that doesn't parse gets an error reply and is
 * counted; it never reaches a handler. An opcode that the table doesn't have is refused with
 * -ENOSYS, on which the kernel falls back or stops asking.
 *
 * A message is fuse_in_header, the opcode's fixed struct, its strings, each with its NUL, its
 * bytes, and at the very end total_extlen * 8 bytes of extensions. Nothing lies between these and
 * nothing may be left over (fuse_copy_args() in fs/fuse/dev.c).
 */
#ifndef CAISSON_DISPATCH_H
#define CAISSON_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "handlers/call.h"

enum dispatch_class {
	DISPATCH_UNKNOWN, /* not in the table: -ENOSYS */
	DISPATCH_DATA,	  /* READ, WRITE, FSYNC, FALLOCATE: op-io.c on the queue's engine */
	DISPATCH_META,	  /* may block in the backing filesystem: a metadata worker */
	DISPATCH_SESSION, /* INIT, DESTROY: session.c */
};

/* What a string is, and so what it must keep to. */
enum dispatch_string {
	STRING_NONE,
	STRING_LOOKUP,	  /* the following, or "." or "..": a file handle's */
	STRING_COMPONENT, /* a directory entry: not empty, ".", ".." or with a '/'; <= NAME_MAX */
	STRING_TARGET,	  /* of a symlink: not empty, shorter than PATH_MAX */
	STRING_XATTR,	  /* an attribute's name: not empty, <= XATTR_NAME_MAX */
	STRING_IGNORED,	  /* TMPFILE's, which is "/" (vfs_tmpfile() in fs/namei.c) */
};

struct dispatch_entry {
	const char *name; /* "LOOKUP" */
	uint32_t opcode;
	enum dispatch_class class;
	bool no_reply;			 /* FORGET, BATCH_FORGET */
	bool changes;			 /* see dispatch_changes() */
	bool nonblocking;		 /* its handler knows call->nonblocking */
	uint32_t arg_len;		 /* bytes of the fixed struct behind the header */
	enum dispatch_string strings[2]; /* … behind that */
	bool data;			 /* … and bytes behind those */
	/* looks at the fields of the struct; bounds WRITE and READ by MAX_WRITE bytes. Or NULL */
	int (*check)(const struct call *call, uint32_t max_write);
	/*
	 * of DISPATCH_META; of WRITE and FALLOCATE, what a worker does where op-io.c asks for one
	 */
	int (*handler)(struct call *call);
};

/* Never NULL: an unknown opcode gives an entry of class DISPATCH_UNKNOWN. Any thread. */
const struct dispatch_entry *dispatch_entry(uint32_t opcode);

/*
 * Runs ENTRY's handler on CALL, which has been parsed, and lets go of the inodes that it has used.
 * Returns what the handler returns (call.h).
 */
int dispatch_handle(const struct dispatch_entry *entry, struct call *call);

/* ENTRY's handler has run: before its answer, as op_slow_down(). In no gate. */
void dispatch_slow_down(const struct dispatch_entry *entry, const struct fs *fs);

/*
 * Whether CALL, which has been parsed, changes the backing filesystem, so that it may have to
 * wait for its journal, or until it is thawed. What only looks doesn't. RELEASE and FORGET count:
 * to close the last descriptor of a file that has no name, or on XFS of one with blocks beyond
 * its end, is a change.
 */
bool dispatch_changes(const struct call *call);

/*
 * Parses the message MSG of LEN bytes (8-byte aligned), as read from the transport, into CALL: in,
 * arg, name, data, data_len, supp_gid; the rest is left alone. Reads of CALL only fs->setxattr_ext,
 * which INIT has fixed: which of its two forms SETXATTR's struct has. MAX_WRITE bounds the payload
 * of WRITE and the size of READ, in bytes. No other state, any thread; MSG must stay as it is for
 * as long as CALL is used, or its copy that call_load() was told of.
 *
 * Returns 0; -EBADMSG where not even the header can be trusted (shorter than a header, or its
 * length isn't LEN: there is nobody to answer); otherwise the error for the reply, which is what
 * the system call that a name or a value came by would return: -EINVAL, -ENAMETOOLONG, -EFBIG (a
 * byte beyond INT64_MAX), -ERANGE (an attribute's name), -E2BIG (its value), -ENOSYS.
 */
int dispatch_parse(const void *msg, uint32_t len, uint32_t max_write, struct call *call);

#endif
