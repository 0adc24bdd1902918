/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-attr.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "handlers/op-meta.h"
#include "handlers/op-setid.h"
#include "handlers/op-zone.h"
#include "store/creds.h"
#include "store/fs.h"

static struct inode *call_inode(const struct call *call)
{
	if (call->nonblocking)
		return inode_get_at_hand(&call->fs->inodes, call->in->nodeid);
	return inode_get(&call->fs->inodes, call->in->nodeid);
}

int op_getattr(struct call *call)
{
	struct inode *inode = call_inode(call);

	if (!inode)
		return call->nonblocking ? CALL_WAITS : -ESTALE;
	if (call->nonblocking && !op_is_local(call->fs, inode))
		return CALL_WAITS;
	/* fh isn't needed: the O_PATH descriptor works even if the inode has no name any more */
	return op_reply_attr(call, inode);
}

static struct caisson_fuse_sx_time sx_time(const struct statx_timestamp *time)
{
	return (struct caisson_fuse_sx_time){ .tv_sec = time->tv_sec, .tv_nsec = time->tv_nsec };
}

int op_statx(struct call *call)
{
	const struct caisson_fuse_statx_in *arg = call->arg;
	struct inode *inode = call_inode(call);
	struct caisson_fuse_statx_out *out = call->out;
	struct fuse_attr attr;
	struct statx stx;
	int r;

	if (!inode)
		return -ESTALE;
	r = store_statx(inode->fd, (arg->sx_mask & STATX_BTIME) | STATX_BASIC_STATS, &stx);
	if (r < 0)
		return r;

	op_fill_attr(call->fs, inode, &stx, &attr);
	*out = (struct caisson_fuse_statx_out){
		.stat = {
			.mask = stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
			.blksize = stx.stx_blksize,
			.attributes = stx.stx_attributes,
			.nlink = stx.stx_nlink,
			.uid = stx.stx_uid,
			.gid = stx.stx_gid,
			.mode = stx.stx_mode,
			.ino = attr.ino,
			.size = stx.stx_size,
			.blocks = stx.stx_blocks,
			.attributes_mask = stx.stx_attributes_mask,
			.atime = sx_time(&stx.stx_atime),
			.btime = sx_time(&stx.stx_btime),
			.ctime = sx_time(&stx.stx_ctime),
			.mtime = sx_time(&stx.stx_mtime),
			.rdev_major = stx.stx_rdev_major,
			.rdev_minor = stx.stx_rdev_minor,
			.dev_major = stx.stx_dev_major,
			.dev_minor = stx.stx_dev_minor,
		},
	};
	op_fill_timeout(call->fs->attr_timeout_ns, &out->attr_valid, &out->attr_valid_nsec);
	call->out_len = sizeof(*out);
	return 0;
}

static int truncate_fd(struct call *call, struct inode *inode, int fd, uint64_t size)
{
	inode = inode_primary(&call->fs->inodes, inode);
	if (zone_is_file(&inode->zone))
		return op_zone_truncate(call->fs, inode, fd, size);
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	inode_note_size(inode, size);
	op_setid_cleared(call->fs, inode);
	return 0;
}

static int set_size(struct call *call, struct inode *inode, const struct fuse_setattr_in *arg)
{
	const struct file *file = NULL;
	int fd, r;

	if (arg->size > INT64_MAX)
		return -EFBIG;
	if (arg->valid & FATTR_FH) {
		file = file_get(&call->fs->files, arg->fh);
		if (!file)
			return -EBADF;
	}
	/* a file that was opened to write may be truncated, whatever its mode is now */
	if (file && !file->directory && (file->flags & O_ACCMODE) != O_RDONLY)
		return truncate_fd(call, inode, file->fd, arg->size);

	if (!S_ISREG(inode->mode))
		return S_ISDIR(inode->mode) ? -EISDIR : -EINVAL;
	/* ftruncate() needs an open descriptor, and there is no truncateat() */
	r = store_reopen(&call->fs->store, inode->fd, O_WRONLY, &fd);
	if (r == -EAGAIN)
		return CALL_WAITS;
	if (r < 0)
		return op_error(call->fs, r);
	r = truncate_fd(call, inode, fd, arg->size);
	(void)close(fd); /* nothing was written through it */
	return r;
}

static int set_owner(const struct inode *inode, const struct fuse_setattr_in *arg)
{
	uid_t uid = arg->valid & FATTR_UID ? arg->uid : (uid_t)-1;
	gid_t gid = arg->valid & FATTR_GID ? arg->gid : (gid_t)-1;

	return fchownat(inode->fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int set_mode(struct call *call, const struct inode *inode, const struct fuse_setattr_in *arg)
{
	char path[STORE_FD_NAME_LEN];

	store_fd_name(inode->fd, path);
	return fchmodat(call->fs->store.proc_fd, path, arg->mode & 07777, 0) < 0 ? -errno : 0;
}

static struct timespec new_time(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec,
				uint32_t nsec)
{
	if (!(valid & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ .tv_sec = (time_t)sec, .tv_nsec = (long)nsec };
}

static int set_times(const struct inode *inode, const struct fuse_setattr_in *arg)
{
	struct timespec times[2] = {
		new_time(arg->valid, FATTR_ATIME, FATTR_ATIME_NOW, arg->atime, arg->atimensec),
		new_time(arg->valid, FATTR_MTIME, FATTR_MTIME_NOW, arg->mtime, arg->mtimensec),
	};

	return utimensat(inode->fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/*
 * Sets all attributes that the request names. The VFS sets them in one step. Here each step can
 * undo part of another: truncating sets the times, and chown clears set-id bits. Therefore the
 * order is size, owner, mode, times. The size comes first also because it may fail or meet a lease,
 * and then nothing has changed yet. FATTR_CTIME is ignored, because the backing filesystem sets the
 * change time.
 */
static int set_attributes(struct call *call, struct inode *inode, const struct fuse_setattr_in *arg)
{
	int r = 0;

	if (arg->valid & FATTR_SIZE)
		r = set_size(call, inode, arg);
	if (r == 0 && (arg->valid & (FATTR_UID | FATTR_GID)))
		r = set_owner(inode, arg);
	if (r == 0 && (arg->valid & FATTR_MODE))
		r = set_mode(call, inode, arg);
	if (r == 0 && (arg->valid & (FATTR_ATIME | FATTR_MTIME)))
		r = set_times(inode, arg);
	return r;
}

/*
 * Returns true if a truncation has to clear the set-id bits. It does so for callers without
 * CAP_FSETID, whom the kernel marks by FATTR_KILL_SUIDGID (fuse_do_setattr() in fs/fuse/dir.c). A
 * chown clears the bits for every caller, but the backing filesystem does that by itself.
 */
static bool truncation_clears_setid(const struct fuse_setattr_in *arg)
{
	return (arg->valid & FATTR_SIZE) && (arg->valid & FATTR_KILL_SUIDGID);
}

/*
 * Handles a SETATTR that sets no attribute. The kernel sends it so that we clear the set-id bits
 * (fuse_setattr() in fs/fuse/dir.c). There are two cases, which look alike. A chown(-1, -1), which
 * only the owner may do, clears the bits even for callers with CAP_FSETID. Before a write, copy or
 * allocation, the bits are cleared only for callers without CAP_FSETID. This function clears them
 * for an owner without CAP_FSETID, which is right in both cases. Anyone else than the owner can
 * only write, and the write itself clears the bits (op-setid.h).
 */
static int set_nothing(const struct call *call, const struct inode *inode)
{
	int r = op_assume(call);

	if (r < 0)
		return r;
	/* it fails for anyone else than the owner, which is right */
	if (!creds_may_keep_setid())
		(void)fchownat(inode->fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH);
	creds_resume();
	return 0;
}

int op_setattr(struct call *call)
{
	const struct fuse_setattr_in *arg = call->arg;
	struct inode *inode = call_inode(call);
	int r;

	if (!inode)
		return -ESTALE;
	if (!arg->valid) {
		r = set_nothing(call, inode);
		return r < 0 ? r : op_reply_attr(call, inode);
	}
	if (truncation_clears_setid(arg))
		r = op_assume_without_fsetid(call);
	else
		r = op_assume(call);
	if (r < 0)
		return r;
	r = set_attributes(call, inode, arg);
	creds_resume();
	return r ? r : op_reply_attr(call, inode);
}

int op_access(struct call *call)
{
	const struct fuse_access_in *arg = call->arg;
	const struct inode *inode = call_inode(call);
	int r;

	if (!inode)
		return -ESTALE;
	if (arg->mask & ~(uint32_t)(R_OK | W_OK | X_OK))
		return -EINVAL;
	r = op_assume(call);
	if (r < 0)
		return r;
	/* AT_EACCESS checks the identity that creds_assume() has set, not the daemon's real uid */
	if (syscall(SYS_faccessat2, inode->fd, "", (int)arg->mask, AT_EMPTY_PATH | AT_EACCESS) < 0)
		r = -errno;
	creds_resume();
	return r;
}

int op_statfs(struct call *call)
{
	const struct inode *inode = call_inode(call);
	struct fuse_statfs_out *out = call->out;
	struct statfs st;

	if (!inode)
		return -ESTALE;
	if (fstatfs(inode->fd, &st) < 0)
		return -errno;
	*out = (struct fuse_statfs_out){
		.st = {
			.blocks = st.f_blocks,
			.bfree = st.f_bfree,
			.bavail = st.f_bavail,
			.files = st.f_files,
			.ffree = st.f_ffree,
			.bsize = (uint32_t)st.f_bsize,
			.namelen = (uint32_t)st.f_namelen,
			.frsize = (uint32_t)st.f_frsize,
		},
	};
	call->out_len = sizeof(*out);
	return 0;
}
