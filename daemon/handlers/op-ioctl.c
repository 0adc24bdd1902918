/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel turns chattr(1), lsattr(1) and their kin into OPEN or OPENDIR, IOCTL, RELEASE
 * (fuse_fileattr_get() and _set() in fs/fuse/ioctl.c); for FS_IOC_GETVERSION it sends IOCTL for the
 * file that is open already. It doesn't understand the commands: the bytes go from and to where
 * _IOR and _IOW of the command say. That is why only commands are passed on whose bytes are known
 * here to be flat: another one could have pointers among them, and those would be ours.
 *
 * The size in FS_IOC_GETFLAGS says long while the kernel has always moved an int; it asks for 4
 * bytes or for 8. As much of the value as was asked for is answered, and not more than it has.
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
	uint32_t len; /* bytes that the kernel really moves */
	bool sets;
} known[] = {
	{ FS_IOC_GETFLAGS, sizeof(int), false },
	{ FS_IOC_SETFLAGS, sizeof(int), true },
	{ FS_IOC_GETVERSION, sizeof(int), false },
	{ FS_IOC_FSGETXATTR, sizeof(struct fsxattr), false },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), true },
	/* of a 32-bit client: the same ints, with the size of its long in the command */
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

/* Filesystems of our own word size know only the command with our long. */
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
	/* the kernel doesn't know that this has changed ctime */
	if (known_ioctl->sets)
		(void)fuse_notify_attributes(call->fs->inodes.session_fd, call->in->nodeid);

	*out = (struct fuse_ioctl_out){ .result = 0 };
	memcpy(out + 1, &value, out_len);
	call->out_len = (uint32_t)sizeof(*out) + out_len;
	return 0;
}

/*
 * The kernel sends it for virtiofs and fuseblk only, and then as it means it: for the filesystem
 * as a whole. That is BACKING's own; filesystems mounted below it have their own syncfs().
 */
int op_syncfs(struct call *call)
{
	return syncfs(call->fs->store.read_fd) < 0 ? -errno : 0;
}
