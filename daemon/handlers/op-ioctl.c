/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For chattr(1), lsattr(1) and similar programs the kernel sends OPEN or OPENDIR, then IOCTL, then
 * RELEASE (fuse_fileattr_get() and fuse_fileattr_set() in fs/fuse/ioctl.c). For FS_IOC_GETVERSION
 * it sends only IOCTL, for the open file. The kernel doesn't interpret a command, but copies as
 * many bytes as its number says. Therefore only known commands without pointers are passed on. A
 * pointer of a client would be taken for an address in the daemon.
 *
 * FS_IOC_GETFLAGS has the size of a long in its number, but filesystems use an int. So the kernel
 * asks for 4 or 8 bytes, and the answer has 4.
 */
#include "handlers/op-ioctl.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/macro.h"
#include "handlers/call.h"
#include "handlers/inval.h"
#include "handlers/op-meta.h"
#include "store/creds.h"
#include "store/fs.h"

static const struct file_ioctl {
	uint32_t cmd;
	uint32_t len; /* bytes that the backing filesystem really reads or writes */
	bool sets;
} known[] = {
	{ FS_IOC_GETFLAGS, sizeof(int), false },
	{ FS_IOC_SETFLAGS, sizeof(int), true },
	{ FS_IOC_GETVERSION, sizeof(int), false },
	{ FS_IOC_FSGETXATTR, sizeof(struct fsxattr), false },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), true },
	/* commands of 32-bit clients: the same int, but the size of their long in the number */
	{ FS_IOC32_GETFLAGS, sizeof(int), false },
	{ FS_IOC32_SETFLAGS, sizeof(int), true },
	{ FS_IOC32_GETVERSION, sizeof(int), false },
};

union ioctl_value {
	int flags;
	struct fsxattr xattr;
};

static const struct file_ioctl *find(uint32_t cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].cmd == cmd)
			return &known[i];
	}
	return NULL;
}

/* Converts a command of a 32-bit client to ours, the only one that the filesystem knows. */
static unsigned long native(uint32_t cmd)
{
	switch (cmd) {
	case FS_IOC32_GETFLAGS:
		return FS_IOC_GETFLAGS;
	case FS_IOC32_SETFLAGS:
		return FS_IOC_SETFLAGS;
	case FS_IOC32_GETVERSION:
		return FS_IOC_GETVERSION;
	}
	return cmd;
}

int op_ioctl(struct call *call)
{
	const struct fuse_ioctl_in *arg = call->arg;
	const struct file_ioctl *known_ioctl = find(arg->cmd);
	const struct file *file = file_get(&call->fs->files, arg->fh);
	struct fuse_ioctl_out *out = call->out;
	union ioctl_value value = { .flags = 0 };
	uint32_t out_len = 0;
	int r;

	if (!file)
		return -EBADF;
	if (!known_ioctl || (arg->flags & FUSE_IOCTL_UNRESTRICTED))
		return -ENOTTY;
	if ((known_ioctl->sets ? arg->in_size : arg->out_size) < known_ioctl->len)
		return -EINVAL;
	if (known_ioctl->sets)
		memcpy(&value, call->data, known_ioctl->len);
	else
		out_len = known_ioctl->len;

	r = op_assume(call);
	if (r < 0)
		return r;
	if (ioctl(file->fd, native(arg->cmd), &value) < 0)
		r = -errno;
	creds_resume();
	if (r < 0)
		return r;
	/* the kernel doesn't know that ctime has changed */
	if (known_ioctl->sets)
		(void)fuse_notify_attributes(call->fs->inodes.session_fd, call->in->nodeid);

	*out = (struct fuse_ioctl_out){ .result = 0 };
	memcpy(out + 1, &value, out_len);
	call->out_len = (uint32_t)sizeof(*out) + out_len;
	return 0;
}

/*
 * Syncs the filesystem of BACKING, but not those that are mounted below it. The kernel sends SYNCFS
 * only for virtiofs and fuseblk mounts.
 */
int op_syncfs(struct call *call)
{
	return syncfs(call->fs->store.read_fd) < 0 ? -errno : 0;
}
