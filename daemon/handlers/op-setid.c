/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-setid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/macro.h"
#include "handlers/call.h"
#include "handlers/inval.h"
#include "handlers/op-meta.h"
#include "handlers/op-zone.h"
#include "store/cached-open.h"
#include "store/creds.h"
#include "store/fs.h"

/* A file that is mounted several times below BACKING has as many inodes; notify up to this many. */
#define SHARERS 16u

void op_setid_cleared(struct fs *fs, struct inode *inode)
{
	uint64_t nodeids[SHARERS];
	struct stat st;
	uint32_t count;

	if (!atomic_exchange(&inode->setid, false))
		return;
	/* read after the exchange, so that a bit that is set meanwhile is noted again */
	if (fstat(inode->fd, &st) < 0 || (st.st_mode & (S_ISUID | S_ISGID)))
		atomic_store(&inode->setid, true);
	count = inode_list_sharers(&fs->inodes, inode, nodeids, SHARERS);
	for (uint32_t i = 0; i < count; i++) /* fails only if the mount is gone */
		(void)fuse_notify_attributes(fs->inodes.session_fd, nodeids[i]);
}

static int sync_flags(const struct fs *fs, const struct fuse_write_in *arg)
{
	if ((arg->flags & O_SYNC) == O_SYNC)
		return RWF_SYNC;
	return fs->cache == CACHE_WRITETHROUGH || (arg->flags & O_DSYNC) ? RWF_DSYNC : 0;
}

/*
 * How many bytes of CALL's data were appended to FILE by a process that has died. They are the last
 * ones: no other write to the file ends while this one has no answer.
 */
static uint32_t appended(const struct call *call, const struct file *file)
{
	const struct fuse_write_in *arg = call->arg;
	struct stat st;

	if (!call->again || !(file->flags & O_APPEND) || fstat(file->fd, &st) < 0 ||
	    (uint64_t)st.st_size <= arg->offset)
		return 0;
	return (uint32_t)MIN((uint64_t)st.st_size - arg->offset, (uint64_t)arg->size);
}

static void record_error(const struct call *call, const struct file *file, int error)
{
	if (file_took_sync_error(file, error))
		inode_record_error(inode_at(&call->fs->inodes, file->inode), error);
}

/*
 * Writes CALL's data to FILE, of which MOVED bytes were written before. Returns the number of bytes
 * written, or -errno if it is 0.
 */
static int64_t write_all(const struct call *call, const struct file *file, uint32_t moved)
{
	const struct fuse_write_in *arg = call->arg;
	int fd = file_buffered_fd(file);
	int flags = sync_flags(call->fs, arg);

	while (moved < arg->size) {
		const struct iovec rest = { (uint8_t *)call->data + moved, arg->size - moved };
		ssize_t n = pwritev2(fd, &rest, 1, (off_t)(arg->offset + moved), flags);
		int error = n < 0 ? -errno : 0;

		if (error == -EINTR)
			continue;
		if (flags)
			record_error(call, file, error);
		if (n <= 0)
			return moved ? (int64_t)moved : error;
		moved += (uint32_t)n;
	}
	return moved;
}

/*
 * Writes all of CALL's data that isn't in FILE yet. What is there may not be synced. Returns as
 * write_all().
 */
static int64_t write_rest(const struct call *call, const struct file *file)
{
	int fd = file_buffered_fd(file), flags = sync_flags(call->fs, call->arg), error;
	uint32_t moved = appended(call, file);

	if (moved && flags && (flags == RWF_SYNC ? fsync(fd) : fdatasync(fd)) < 0) {
		error = -errno;
		record_error(call, file, error);
		return error;
	}
	return write_all(call, file, moved);
}

int op_worker_write(struct call *call)
{
	const struct fuse_write_in *arg = call->arg;
	const struct file *file = file_get(&call->fs->files, arg->fh);
	struct fuse_write_out *out = call->out;
	struct inode *inode;
	int64_t written;
	int r;

	if (!file)
		return -EBADF;
	inode = inode_at(&call->fs->inodes, file->inode);
	if (zone_is_file(&inode->zone))
		return op_zone_repair(call);

	r = op_assume_with_groups(call, arg->write_flags & FUSE_WRITE_KILL_SUIDGID);
	if (r < 0)
		return r;
	written = write_rest(call, file);
	creds_resume();
	op_setid_cleared(call->fs, inode);
	if (written < 0)
		return (int)written;
	if (call->around)
		call->drops = cached_open_written_around(
			&call->fs->inodes, inode_at(&call->fs->inodes, file->known), arg->offset,
			(uint64_t)written, &call->drop);
	*out = (struct fuse_write_out){ .size = (uint32_t)written };
	call->out_len = sizeof(*out);
	return 0;
}

int op_worker_fallocate(struct call *call)
{
	const struct fuse_fallocate_in *arg = call->arg;
	const struct file *file = file_get(&call->fs->files, arg->fh);
	struct inode *inode;
	int r;

	if (!file)
		return -EBADF;
	inode = inode_at(&call->fs->inodes, file->inode);
	/* the request doesn't tell whether the caller has CAP_FSETID */
	r = op_assume_with_groups(call, false);
	if (r < 0)
		return r;
	if (fallocate(file->fd, (int)arg->mode, (off_t)arg->offset, (off_t)arg->length) < 0)
		r = -errno;
	creds_resume();
	if (arg->mode & FALLOC_FL_PUNCH_HOLE)
		inode_note_hole(inode);
	op_setid_cleared(call->fs, inode);
	return r;
}
