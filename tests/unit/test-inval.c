/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notifications, as they arrive at the other end of a descriptor. */
#include "handlers/inval.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/fuse-kernel.h"
#include "test.h"

static void says_which_inode(void)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
		uint8_t more;
	} got;
	int ends[2];

	CHECK(pipe2(ends, O_CLOEXEC) == 0);
	CHECK_EQ(fuse_notify_attributes(ends[1], 7ull << 32 | 3), 0);
	CHECK_EQ(read(ends[0], &got, sizeof(got)), 16 + 24);
	CHECK_EQ(got.header.len, 16u + 24u);
	CHECK_EQ(got.header.error, FUSE_NOTIFY_INVAL_INODE);
	CHECK_EQ(got.header.unique, 0u);
	CHECK_EQ(got.inode.ino, 7ull << 32 | 3);
	CHECK(got.inode.off < 0);
	CHECK_EQ(got.inode.len, 0);
	CHECK(close(ends[0]) == 0);
	CHECK_EQ(fuse_notify_attributes(ends[1], 1), -EPIPE);
	CHECK(close(ends[1]) == 0);
}

int main(void)
{
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	RUN(says_which_inode);
	return test_result();
}
