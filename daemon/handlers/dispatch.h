/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of opcodes, and the validation of all messages.
 *
 * A message is parsed once, before anything acts on it. Later code can rely on every length, offset
 * and string in the call. A malformed message is counted and gets an error reply, but reaches no
 * handler. An opcode that is missing from the table is answered with -ENOSYS. The kernel then uses
 * another opcode or doesn't ask again.
 *
 * A message consists of fuse_in_header, the opcode's fixed struct, its strings with their NULs, its
 * bytes, and total_extlen * 8 bytes of extensions. There are no gaps, and nothing may be left over
 * (fuse_copy_args() in fs/fuse/dev.c).
 */
#ifndef CAISSON_DISPATCH_H
#define CAISSON_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "handlers/call.h"

enum dispatch_class {
	DISPATCH_UNKNOWN, /* not in the table; answered with -ENOSYS */
	DISPATCH_DATA,	  /* READ, WRITE, FSYNC, FALLOCATE; handled by op-io.c */
	DISPATCH_META,	  /* may block in the backing filesystem; needs a handler */
	DISPATCH_SESSION, /* INIT and DESTROY (session.c), INTERRUPT (queue.c) */
};

/* Kinds of strings in messages, with the limits that each must keep. */
enum dispatch_string {
	STRING_NONE,
	STRING_LOOKUP,	  /* STRING_COMPONENT, or "." or ".." to look up a file handle */
	STRING_COMPONENT, /* directory entry: 1 … NAME_MAX bytes, no '/', not "." or ".." */
	STRING_TARGET,	  /* target of a symlink: 1 … PATH_MAX - 1 bytes */
	STRING_XATTR,	  /* name of an extended attribute: 1 … XATTR_NAME_MAX bytes */
	STRING_IGNORED,	  /* the name in TMPFILE, always "/" (vfs_tmpfile() in fs/namei.c) */
};

struct dispatch_entry {
	const char *name; /* "LOOKUP" */
	uint32_t opcode;
	enum dispatch_class class;
	bool no_reply;	  /* no answer is expected: FORGET, BATCH_FORGET, INTERRUPT */
	bool changes;	  /* see dispatch_changes() */
	bool nonblocking; /* the handler supports call->nonblocking */
	uint32_t arg_len; /* bytes of the fixed struct */
	enum dispatch_string strings[2]; /* strings after the fixed struct */
	bool data;			 /* the message may have bytes after the strings */
	/* Checks the fields of the struct. READ and WRITE may have MAX_WRITE bytes. May be NULL. */
	int (*check)(const struct call *call, uint32_t max_write);
	/* The handler of a DISPATCH_META opcode, or of a DISPATCH_DATA opcode on a worker. */
	int (*handler)(struct call *call);
};

/* Never NULL: an unknown opcode has an entry of class DISPATCH_UNKNOWN. Any thread. */
const struct dispatch_entry *dispatch_entry(uint32_t opcode);

/*
 * Runs ENTRY's handler on the parsed CALL and releases the inodes that it used. Returns the
 * handler's result (call.h).
 */
int dispatch_handle(const struct dispatch_entry *entry, struct call *call);

/*
 * To be called before dispatch_handle() if another process has died while it handled the request of
 * CALL: takes back what would be done twice (progress.h).
 */
void dispatch_take_back(const struct call *call);

/*
 * Calls op_slow_down() unless ENTRY only frees room. Call it after the handler and before the
 * answer, outside of any gate.
 */
void dispatch_slow_down(const struct dispatch_entry *entry, const struct fs *fs);

/*
 * Returns true if the parsed CALL may change the backing filesystem, so that it may wait for a
 * journal or for a frozen filesystem. RELEASE and FORGET count as changes. They may close the last
 * descriptor of a file without a name, which frees it, or of a file on XFS with blocks beyond its
 * end, which frees those.
 */
bool dispatch_changes(const struct call *call);

/*
 * Parses the message MSG of LEN bytes, as read from the transport, into CALL: in, arg, name, data,
 * data_len and supp_gid. MSG must be 8-byte aligned and stay unchanged while CALL is used. The
 * caller must have set call->fs, because fs->setxattr_ext tells which form of its struct SETXATTR
 * has. MAX_WRITE limits the payload of WRITE and the size of READ, in bytes. Any thread.
 *
 * Returns 0. Returns -EBADMSG if there is no valid header, so that no answer is possible: MSG is
 * shorter than a header or its length isn't LEN. Otherwise returns the error for the reply, which
 * is the error of the corresponding system call: -EINVAL, -ENAMETOOLONG, -EFBIG (an offset beyond
 * INT64_MAX), -ERANGE (name of an attribute), -E2BIG (value of an attribute), -ENOSYS.
 */
int dispatch_parse(const void *msg, uint32_t len, uint32_t max_write, struct call *call);

#endif
