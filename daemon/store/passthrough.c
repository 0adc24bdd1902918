/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/passthrough.h"

#include <errno.h>

#include "base/fuse-kernel.h"

int32_t passthrough_open(int session_fd, int fd)
{
	struct caisson_fuse_backing_map map = { .fd = fd };
	int id = ioctl(session_fd, CAISSON_FUSE_DEV_IOC_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

void passthrough_close(int session_fd, int32_t id)
{
	uint32_t number = (uint32_t)id;

	/* it fails only for an unknown id, or without CAP_SYS_ADMIN, which opening needed too */
	(void)ioctl(session_fd, CAISSON_FUSE_DEV_IOC_BACKING_CLOSE, &number);
}
