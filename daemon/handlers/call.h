/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call: one validated FUSE message on its way through its handler. dispatch.c fills it in, a
 * metadata worker runs the handler, and the handler fills in the reply's body.
 *
 * The contract of a handler, `int op_x(struct call *call)`:
 *
 *   - Every length, name and string in the call has been validated. Nodeids and file handles have
 *     not: inode_get() and file_get() do that.
 *   - It returns 0 with the body's length in out_len, or -errno; then there is no body.
 *   - If call->nonblocking is set, it returns CALL_WAITS with nothing done, unless it needs only
 *     memory and a short mutex: no I/O, no network, no lock of a file (dispatch.h).
 *   - If it meets a lease on a file that it has to open, it returns CALL_WAITS as well, with
 *     nothing done. It will be called again (lease-wait.h).
 *   - It runs as the daemon. Where it matters it takes on the caller's identity (creds_assume()).
 *   - It may block in the backing filesystem and nowhere else, and holds no lock meanwhile.
 */
#ifndef CAISSON_CALL_H
#define CAISSON_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fuse-kernel.h"
#include "store/cached-open.h"

#define CALL_WAITS 1

/*
 * Where the parts of a message are, in bytes from its beginning; 0: it has no such part. They stay
 * true when the message is copied, and so a message is parsed only once.
 */
struct call_parts {
	uint32_t arg, name[2], data;
	uint32_t data_len;
	uint32_t supp_gid; /* as in struct call */
};
struct fs;

struct call {
	struct fs *fs;
	const struct fuse_in_header *in;
	const void *arg;     /* the opcode's struct fuse_…_in, of at least its size; or NULL */
	const char *name[2]; /* the names or strings behind arg, in order; or NULL */
	const void *data;    /* the bytes behind arg and names (setxattr value, forgets, ioctl) */
	uint32_t data_len;
	uint32_t supp_gid; /* FUSE_EXT_GROUPS' one group, or UINT32_MAX */
	void *out;	   /* the reply's body, 8-byte aligned */
	uint32_t out_cap;  /* its room: at least CALL_OUT_LEN */
	uint32_t out_len;
	void *scratch;	  /* CALL_SCRATCH_LEN bytes of the worker's own, page-aligned */
	bool nonblocking; /* the handler must not wait: a queue's thread runs it */
	bool around;	  /* of a WRITE: it goes around the page cache above */
	bool drops;	  /* the handler's: the answer waits for … */
	struct cached_drop drop;
};

/* The parts of CALL, which has been parsed. */
void call_save(const struct call *call, struct call_parts *ret_parts);

/* Makes CALL one about MESSAGE, which has these PARTS: as dispatch_parse() did. */
void call_load(struct call *call, const void *message, const struct call_parts *parts);

/* A reply's body is at most this long: an xattr value, a list of them, a piece of a directory. */
#define CALL_OUT_LEN	 (64u << 10)
#define CALL_SCRATCH_LEN (64u << 10)

#endif
