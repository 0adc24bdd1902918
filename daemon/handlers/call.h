/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call is a validated FUSE message together with room for its reply. dispatch.c fills in the
 * message, and a handler fills in the body of the reply.
 *
 * The contract of a handler, `int op_x(struct call *call)`:
 *
 *   - Every length, name and string in the call has been validated. Nodeids and file handles have
 *     not; inode_get() and file_get() validate them.
 *   - It returns 0 and sets out_len to the length of the body, or returns -errno without a body.
 *   - If call->nonblocking is set, the handler must not wait. It may use memory and a short mutex,
 *     but no I/O, no network and no lock of a file. If it needs more, it does nothing and returns
 *     CALL_WAITS. It is then called again without `nonblocking`.
 *   - If it has to open a file and another process holds a lease on it, the handler does nothing
 *     and returns CALL_WAITS. It is called again later (lease-wait.h).
 *   - It runs with the daemon's identity. If a step has to be checked against the caller's rights,
 *     the handler takes on the caller's identity for it (creds_assume()).
 *   - It may block in the backing filesystem but nowhere else, and it holds no lock meanwhile.
 */
#ifndef CAISSON_CALL_H
#define CAISSON_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fuse-kernel.h"
#include "store/cached-open.h"
#include "store/progress.h"

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
	const char *name[2]; /* names or other strings of the message, in order; or NULL */
	const void *data;    /* remaining bytes: an xattr's value, forgets, an ioctl's input */
	uint32_t data_len;
	uint32_t supp_gid; /* the group of FUSE_EXT_GROUPS, or UINT32_MAX */
	void *out;	   /* body of the reply, 8-byte aligned */
	uint32_t out_cap;  /* size of the buffer at `out`, at least CALL_OUT_LEN */
	uint32_t out_len;
	void *scratch;		   /* CALL_SCRATCH_LEN bytes for the handler's use, page-aligned */
	struct progress *progress; /* what the request has done so far, or NULL */
	uint64_t *nodeids;	   /* see progress_begin(); NULL: room for one */
	uint32_t nodeids_count;
	bool nonblocking; /* the handler must not wait */
	bool again;	  /* a process has died that had begun with it */
	bool around;	  /* this WRITE bypasses the client's page cache */
	bool drops;	  /* set by the handler if the answer has to wait for `drop` */
	struct cached_drop drop;
};

/* Sets *RET_PARTS to the parts of CALL, which has been parsed. */
void call_save(const struct call *call, struct call_parts *ret_parts);

/* Makes CALL a call about MESSAGE, which has these PARTS, as dispatch_parse() did. */
void call_load(struct call *call, const void *message, const struct call_parts *parts);

/* Maximum length of a reply's body: an xattr's value, a list of xattrs, a part of a directory. */
#define CALL_OUT_LEN	 (64u << 10)
#define CALL_SCRATCH_LEN (64u << 10)

#endif
