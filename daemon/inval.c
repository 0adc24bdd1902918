/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inval.h"

#include <errno.h>
#include <unistd.h>

#include "fuse-kernel.h"

int fuse_notify_attributes(int dev_fd, uint64_t nodeid)
{
	/* a notification is a reply to nobody: unique 0, and its code where the error would be */
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
	} message = {
		.header = { .len = sizeof(message), .error = FUSE_NOTIFY_INVAL_INODE },
		.inode = { .ino = nodeid, .off = -1 }, /* a negative offset: attributes only */
	};

	if (write(dev_fd, &message, sizeof(message)) < 0)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}
