/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fuse-kernel.h"
#include "base/macro.h"
#include "serve/transport.h"
#include "store/fs.h"

/* The newest minor that we understand. The kernel keeps to the lower of both. */
#define OUR_MINOR 40

/*
 * The flags that are asked for. These are left out on purpose:
 *   POSIX_LOCKS, FLOCK_LOCKS: without them the kernel itself keeps file locks among the clients of
 *     the mount, without a message.
 *   WRITEBACK_CACHE: with it, clients' dirty pages would have to be written back through us under
 *     memory pressure, and an fsync above would not order them with what other descriptors see.
 *   ATOMIC_O_TRUNC: with it, the kernel forgets a file's pages and size after the answer to OPEN,
 *     without a lock. Old pages would be written to the empty file, and data that others append
 *     would be overwritten. Without it SETATTR follows, as for truncate(2).
 *   AUTO_INVAL_DATA: it drops a file's pages when its mtime changes, also a page that a write is
 *     just changing. A reader may then bring the old page back, and it stays (op-open.c).
 *   SPLICE_*: the server doesn't splice.
 */
static const struct {
	uint64_t flag;
	const char *name;
} wanted[] = {
	{ FUSE_ASYNC_READ, "async_read" },
	{ FUSE_EXPORT_SUPPORT, "export_support" },
	{ FUSE_BIG_WRITES, "big_writes" },
	{ FUSE_DONT_MASK, "dont_mask" },
	{ FUSE_HAS_IOCTL_DIR, "ioctl_dir" },
	{ FUSE_EXPLICIT_INVAL_DATA, "explicit_inval_data" },
	{ FUSE_DO_READDIRPLUS, "readdirplus" },
	{ FUSE_READDIRPLUS_AUTO, "readdirplus_auto" },
	{ FUSE_ASYNC_DIO, "async_dio" },
	{ FUSE_PARALLEL_DIROPS, "parallel_dirops" },
	{ FUSE_POSIX_ACL, "posix_acl" },
	{ FUSE_ABORT_ERROR, "abort_error" },
	{ FUSE_MAX_PAGES, "max_pages" },
	{ FUSE_CACHE_SYMLINKS, "cache_symlinks" },
	{ FUSE_HANDLE_KILLPRIV_V2, "handle_killpriv_v2" },
	{ FUSE_SETXATTR_EXT, "setxattr_ext" },
	{ FUSE_INIT_EXT, "init_ext" },
	{ CAISSON_FUSE_CREATE_SUPP_GROUP, "create_supp_group" },
	{ CAISSON_FUSE_DIRECT_IO_ALLOW_MMAP, "direct_io_allow_mmap" },
	{ CAISSON_FUSE_PASSTHROUGH, "passthrough" },
	{ CAISSON_FUSE_OVER_IO_URING, "over_io_uring" },
};

/* An INIT message. Today's kernels send 104 bytes; later ones may send more. */
struct init_message {
	struct fuse_in_header header;
	struct fuse_init_in init;
	uint8_t rest[FUSE_MIN_READ_BUFFER];
};

static int read_init(int dev_fd, struct init_message *message)
{
	struct pollfd poll_fd = { .fd = dev_fd, .events = POLLIN };
	ssize_t n;

	do {
		if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
			return -errno;
		n = read(dev_fd, message, sizeof(*message));
	} while (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT));
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(message->header) || message->header.len != (size_t)n ||
	    message->header.opcode != FUSE_INIT)
		return -EPROTO;
	/* the fields up to flags have been there since 7.6 */
	if ((size_t)n < sizeof(message->header) + offsetof(struct fuse_init_in, flags2))
		return -EPROTO;
	return 0;
}

static int answer(int dev_fd, uint64_t unique, int error, const struct fuse_init_out *init)
{
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} reply = {
		.header = { .error = error, .unique = unique, .len = sizeof(reply.header) },
	};

	if (!error) {
		reply.init = *init;
		reply.header.len = sizeof(reply);
	}
	return write(dev_fd, &reply, reply.header.len) < 0 ? -errno : 0;
}

static uint64_t choose_flags(const struct session_config *config, uint64_t offered)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		flags |= wanted[i].flag & offered;
	if (!config->posix_acl)
		flags &= ~(uint64_t)(FUSE_POSIX_ACL | FUSE_DONT_MASK);
	if (!config->passthrough)
		flags &= ~(uint64_t)CAISSON_FUSE_PASSTHROUGH;
	if (!config->uring)
		flags &= ~(uint64_t)CAISSON_FUSE_OVER_IO_URING;
	return flags;
}

int session_read(struct session *session, int dev_fd, const struct session_config *config,
		 struct fs *fs)
{
	struct init_message message = { 0 }; /* older kernels send less */
	const struct fuse_init_in *in = &message.init;
	uint64_t flags;
	uint32_t max_write;
	int r;

	r = read_init(dev_fd, &message);
	if (r < 0)
		return r;
	if (in->major != FUSE_KERNEL_VERSION || in->minor < SESSION_MIN_MINOR) {
		(void)answer(dev_fd, message.header.unique, -EPROTO,
			     NULL); /* it ends in any case */
		return -EPROTO;
	}

	flags = in->flags;
	if (in->flags & FUSE_INIT_EXT)
		flags |= (uint64_t)in->flags2 << 32;
	flags = choose_flags(config, flags);
	if ((flags & CAISSON_FUSE_OVER_IO_URING) && transport_uring_probe(dev_fd) < 0)
		flags &= ~(uint64_t)CAISSON_FUSE_OVER_IO_URING;

	/* without MAX_PAGES a message carries 32 pages at most (FUSE_DEFAULT_MAX_PAGES_PER_REQ) */
	max_write = config->max_write;
	if (!(flags & FUSE_MAX_PAGES))
		max_write = MIN(max_write, 32 * PAGE_BYTES);

	fs->posix_acl = flags & FUSE_POSIX_ACL;
	fs->dont_mask = flags & FUSE_DONT_MASK;
	fs->killpriv_v2 = flags & FUSE_HANDLE_KILLPRIV_V2;
	fs->setxattr_ext = flags & FUSE_SETXATTR_EXT;
	fs->passthrough = flags & CAISSON_FUSE_PASSTHROUGH;
	/* no INIT flag: FOPEN_PARALLEL_DIRECT_WRITES is ignored by a kernel before 6.2 (7.38) */
	fs->parallel_direct_writes = in->minor >= 38;
	/*
	 * with POSIX_ACL the kernel checks all permissions (process_init_reply())
	 */
	if (fs->posix_acl)
		fs->default_permissions = true;

	*session = (struct session){
		.kernel_minor = in->minor,
		.max_write = max_write,
		.flags = flags,
		.max_readahead = in->max_readahead,
		.unique = message.header.unique,
	};
	return 0;
}

int session_answer(const struct session *session, int dev_fd, const struct session_config *config)
{
	const uint32_t stack_depth = 1; /* backing files aren't on a stacked filesystem */
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = MIN(session->kernel_minor, (uint32_t)OUR_MINOR),
		.max_readahead = session->max_readahead,
		.flags = (uint32_t)session->flags,
		.flags2 = (uint32_t)(session->flags >> 32),
		.max_background = (uint16_t)MIN(config->background, (uint32_t)UINT16_MAX),
		.congestion_threshold =
			(uint16_t)MIN(config->background / 4 * 3, (uint32_t)UINT16_MAX),
		.max_write = session->max_write,
		.time_gran = 1,
		.max_pages = (uint16_t)(session->max_write / PAGE_BYTES),
	};

	if (session->flags & CAISSON_FUSE_PASSTHROUGH)
		memcpy((uint8_t *)&out + CAISSON_FUSE_INIT_OUT_STACK_DEPTH, &stack_depth,
		       sizeof(stack_depth));
	return answer(dev_fd, session->unique, 0, &out);
}

void session_flag_names(uint64_t flags, char *text, uint32_t len)
{
	uint32_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		int n;

		if (!(flags & wanted[i].flag))
			continue;
		n = snprintf(text + at, len - at, "%s%s", at ? " " : "", wanted[i].name);
		if (n < 0 || (uint32_t)n >= len - at) {
			text[at] = '\0';
			return;
		}
		at += (uint32_t)n;
	}
}
