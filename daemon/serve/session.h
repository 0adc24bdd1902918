/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The session: the INIT handshake of a mount, and what was agreed on. */
#ifndef CAISSON_SESSION_H
#define CAISSON_SESSION_H

#include <stdbool.h>
#include <stdint.h>

struct fs;

struct session_config {
	uint32_t max_write;  /* bytes: what the slots were made for */
	uint32_t background; /* asynchronous requests that may be under way at once */
	bool posix_acl;	     /* offer to leave ACLs to the backing filesystem */
	bool passthrough;
	bool uring; /* FUSE-over-io_uring, where the kernel lets us */
};

/* What the kernel and we have agreed on. */
struct session {
	uint32_t kernel_minor;	/* of protocol 7, as the kernel has it */
	uint32_t max_write;	/* bytes, at most config.max_write */
	uint64_t flags;		/* FUSE_… in force, as in fuse_init_out */
	uint32_t max_readahead; /* bytes, the kernel's own */
	uint64_t unique;	/* of INIT */
};

/* The oldest protocol minor that is spoken: 7.31 is Linux 5.4. */
#define SESSION_MIN_MINOR 31

/*
 * Reads INIT from DEV_FD, blocking, and settles what will be agreed on, which it sets in SESSION
 * and FS. Main thread, once. Returns 0; -EPROTO where the kernel speaks another protocol (it has
 * been told so); or -errno: -ENODEV where the mount went away meanwhile.
 */
int session_read(struct session *session, int dev_fd, const struct session_config *config,
		 struct fs *fs);

/*
 * Answers INIT. From then on the mount is live: so this is the last step before serving. Main
 * thread, once. Returns 0 or -errno.
 */
int session_answer(const struct session *session, int dev_fd, const struct session_config *config);

/* The names of FLAGS, separated by spaces, into TEXT of LEN bytes, for status. */
void session_flag_names(uint64_t flags, char *text, uint32_t len);

#endif
