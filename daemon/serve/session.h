/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The session: the INIT handshake of a mount, and its results. */
#ifndef CAISSON_SESSION_H
#define CAISSON_SESSION_H

#include <stdbool.h>
#include <stdint.h>

struct fs;

struct session_config {
	uint32_t max_write;  /* bytes that a slot's payload holds */
	uint32_t background; /* most asynchronous requests in flight */
	bool posix_acl;	     /* offer to leave ACLs to the backing filesystem */
	bool passthrough;
	bool uring; /* ask for FUSE-over-io_uring */
};

struct session {
	uint32_t kernel_minor;	/* the kernel's minor version of protocol 7 */
	uint32_t max_write;	/* bytes, at most config.max_write */
	uint64_t flags;		/* FUSE_… agreed on, as in fuse_init_out */
	uint32_t max_readahead; /* bytes, as the kernel offered */
	uint64_t unique;	/* of INIT */
};

/* The oldest protocol minor that is spoken: 7.31 is Linux 5.4. */
#define SESSION_MIN_MINOR 31

/*
 * Reads INIT from DEV_FD, blocking, and decides on the terms, which it sets in SESSION and FS. Main
 * thread, once. Returns 0; -EPROTO if the kernel speaks another protocol (it has been told so);
 * -ENODEV if the mount has gone; or another -errno.
 */
int session_read(struct session *session, int dev_fd, const struct session_config *config,
		 struct fs *fs);

/*
 * Answers INIT. This makes the mount live, so it is the last step before serving. Main thread,
 * once. Returns 0 or -errno.
 */
int session_answer(const struct session *session, int dev_fd, const struct session_config *config);

/* Writes the names of FLAGS, separated by spaces, into TEXT of LEN bytes, for status. */
void session_flag_names(uint64_t flags, char *text, uint32_t len);

#endif
