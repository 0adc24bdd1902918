/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/inval.h"

#include <errno.h>
#include <unistd.h>

#include "base/fuse-kernel.h"

static int notify(int dev_fd, const struct fuse_notify_inval_inode_out *inode)
{
	/* a notification looks like a reply with unique 0 and its code in place of the error */
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
	} message = {
		.header = { .len = sizeof(message), .error = FUSE_NOTIFY_INVAL_INODE },
		.inode = *inode,
	};

	if (write(dev_fd, &message, sizeof(message)) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

int fuse_notify_attributes(int dev_fd, uint64_t nodeid)
{
	/* a negative offset means that only attributes are invalid */
	const struct fuse_notify_inval_inode_out inode = { .ino = nodeid, .off = -1 };

	return notify(dev_fd, &inode);
}

int fuse_notify_data(int dev_fd, uint64_t nodeid, uint64_t off, uint64_t len)
{
	const struct fuse_notify_inval_inode_out inode = {
		.ino = nodeid,
		.off = (int64_t)off,
		.len = (int64_t)len,
	};

	return notify(dev_fd, &inode);
}
