/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The opcode table, and all validation of what comes over the wire in this one place.
 *
 * A message is parsed once, before anything acts on it; from then on every length and string in
 * the call can be relied on. What doesn't parse gets an error reply (-EINVAL, or -EIO where the
 * header itself is off) and is counted; it never reaches a handler.
 */
#ifndef CAISSON_DISPATCH_H
#define CAISSON_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "call.h"

enum dispatch_class {
	DISPATCH_UNKNOWN, /* not in the table: -ENOSYS */
	DISPATCH_DATA,	  /* READ, WRITE, FSYNC, FALLOCATE: op-io.c on the queue's engine */
	DISPATCH_META,	  /* may block in the backing filesystem: a metadata worker */
	DISPATCH_SESSION, /* INIT, DESTROY: session.c */
};

struct dispatch_entry {
	const char *name; /* "LOOKUP" */
	uint32_t opcode;
	enum dispatch_class class;
	bool no_reply; /* FORGET, BATCH_FORGET, INTERRUPT (which is answered only with -EAGAIN) */
	uint32_t arg_len; /* of the fixed struct behind the header */
	uint8_t names;	  /* strings behind it */
	bool component;   /* … which are directory entries: no '/', not "." or ".." , <= NAME_MAX */
	bool data;	  /* … and bytes behind those */
	int (*handler)(struct call *call); /* of DISPATCH_META */
};

/* Never NULL: an unknown opcode gives an entry of class DISPATCH_UNKNOWN. Any thread. */
const struct dispatch_entry *dispatch_entry(uint32_t opcode);

/*
 * Parses the message MSG of LEN bytes (8-byte aligned), as read from the transport, into CALL: in,
 * arg, name, data, data_len, supp_gid; the rest is left alone. MAX_WRITE bounds the payload of
 * WRITE and the size of READ, in bytes. Pure: no state, any thread.
 * Returns 0; -EBADMSG where not even the header can be trusted (shorter than a header, or its
 * length isn't LEN: there is nobody to answer); otherwise the error for the reply: -EINVAL,
 * -ENAMETOOLONG, -EFBIG (an offset beyond INT64_MAX), -ENOSYS.
 */
int dispatch_parse(const void *msg, uint32_t len, uint32_t max_write, struct call *call);

#endif
