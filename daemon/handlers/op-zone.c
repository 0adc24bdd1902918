/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-zone.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers/call.h"
#include "store/fs.h"
#include "store/zone-mark.h"

int op_zone_refused(struct fs *fs, int error)
{
	atomic_fetch_add_explicit(&fs->zone_refusals, 1, memory_order_relaxed);
	return error;
}

bool op_zone_is_mark(const char *name)
{
	return strcmp(name, ZONE_MARK_NAME) == 0;
}

int op_zone_ask(struct inode *dir)
{
	struct zone_geometry geometry;
	enum zone_kind kind = ZONE_NONE;
	int r;

	if (zone_kind(&dir->zone) != ZONE_UNKNOWN)
		return 0;
	r = zone_mark_read(dir->fd, &geometry);
	if (r == -EACCES)
		return 0; /* the kind stays unknown, because the directory's mode may change */
	if (r < 0 && r != -ENODATA)
		return -EIO;
	if (r == 0)
		kind = ZONE_DIRECTORY;
	/* another thread that asks at the same time finds the same kind */
	atomic_store_explicit(&dir->zone.kind, (uint8_t)kind, memory_order_release);
	return 0;
}

/* Returns true if NAME may be a zone's but the daemon may not read the mark of DIR. */
static bool is_hidden_zone(const struct inode *dir, const char *name)
{
	return zone_kind(&dir->zone) == ZONE_UNKNOWN && zone_name_is_likely(name);
}

int op_zone_allow_name(struct fs *fs, struct inode *dir, const char *name)
{
	int r = op_zone_ask(dir);

	if (r < 0)
		return r;
	if (is_hidden_zone(dir, name))
		return op_zone_refused(fs, -EACCES);
	return zone_kind(&dir->zone) == ZONE_DIRECTORY ? op_zone_refused(fs, -EPERM) : 0;
}

/*
 * Returns true if the owners have meant the file FD to have a zone's name in the directory DIR_FD.
 * If only root can write to the directory, they have. Otherwise someone could have linked or moved
 * another user's file there, and the rules of zones would then apply to it.
 */
static bool is_meant(int dir_fd, int fd)
{
	struct stat dir, file;

	if (fstat(dir_fd, &dir) < 0 || fstat(fd, &file) < 0)
		return false;
	if (dir.st_uid == 0 && !(dir.st_mode & (S_IWGRP | S_IWOTH)))
		return true;
	return file.st_nlink == 1 && (file.st_uid == dir.st_uid || file.st_uid == 0);
}

int op_zone_found(struct fs *fs, const struct inode *dir, const char *name, struct inode *inode)
{
	struct zone_geometry geometry;
	enum zone_kind kind;
	uint32_t number;
	int r;

	if (!S_ISREG(inode->mode) || zone_is_file(&inode_primary(&fs->inodes, inode)->zone) ||
	    !zone_name_is_likely(name))
		return 0;
	if (is_hidden_zone(dir, name))
		return op_zone_refused(fs, -EACCES);
	if (zone_kind(&dir->zone) != ZONE_DIRECTORY)
		return 0;
	if (zone_mark_read(dir->fd, &geometry) < 0)
		return -EIO;
	if (!zone_name_parse(&geometry, name, &number))
		return 0;
	if (!is_meant(dir->fd, inode->fd))
		return op_zone_refused(fs, -EPERM);
	kind = zone_geometry_kind(&geometry, number);
	r = inode_make_zone(&fs->inodes, inode, kind, geometry.zone_len, geometry.capacity_len);
	return r < 0 ? op_zone_refused(fs, r) : 0;
}

static int64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -1 : st.st_size;
}

/*
 * A second opener can find the zone still loading. Its writes are refused until loading ends,
 * because waiting would occupy a second worker.
 */
void op_zone_load(struct inode *inode, int fd)
{
	if (zone_load_begin(&inode->zone))
		zone_settle(&inode->zone, size_of(fd));
}

/* Sets the file's size on stable storage. Returns 0 or -errno. */
static int set_size(struct inode *inode, int fd, uint64_t size)
{
	int r;

	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fsync(fd) == 0)
		return 0;
	r = -errno;
	inode_record_error(inode, r);
	return r;
}

int op_zone_truncate(struct fs *fs, struct inode *inode, int fd, uint64_t size)
{
	uint64_t to;
	int r;

	inode_hold_open(&fs->inodes, inode);
	op_zone_load(inode, fd);
	r = zone_truncate_begin(&inode->zone, size, &to);
	if (r < 0) {
		(void)op_zone_refused(fs, r);
	} else {
		r = set_size(inode, fd, to);
		zone_settle(&inode->zone, size_of(fd));
	}
	inode_put_open(&fs->inodes, inode);
	return r;
}

int op_zone_repair(struct call *call)
{
	const struct fuse_write_in *arg = call->arg;
	const struct file *file = file_get(&call->fs->files, arg->fh);
	struct inode *inode;
	int error;

	assert(file); /* op_io_finish() found it, and RELEASE comes only after this answer */
	inode = inode_at(&call->fs->inodes, file->inode);
	error = inode->zone.error;
	/* if this fails, the write pointer becomes the file's true size, which zloop will see */
	(void)set_size(inode, file->fd, inode->zone.wp);
	zone_settle(&inode->zone, size_of(file->fd));
	return error;
}
