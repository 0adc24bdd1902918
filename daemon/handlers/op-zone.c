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
		return 0; /* ask again: its mode may change */
	if (r < 0 && r != -ENODATA)
		return -EIO;
	if (r == 0)
		kind = ZONE_DIRECTORY;
	/* whoever else asks at this moment finds the same */
	atomic_store_explicit(&dir->zone.kind, (uint8_t)kind, memory_order_release);
	return 0;
}

/* NAME may be that of a zone in DIR, whose mark the daemon may not read. */
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
 * Whether the file FD is under a zone's name in the directory DIR_FD because those say so to whom
 * it belongs. Root may put there what it likes. Whoever else may make names there could link or
 * move another's file to it, on which the rules of zones would hold then.
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
 * Who opens a second time while the first one is still here finds the zone in LOAD, and what he
 * wrote in that moment would be refused; to wait for it would be to wait for another worker.
 */
void op_zone_load(struct inode *inode, int fd)
{
	if (zone_load_begin(&inode->zone))
		zone_settle(&inode->zone, size_of(fd));
}

/* Makes the file SIZE bytes long, on stable storage. 0 or -errno. */
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

	assert(file); /* op_io_finish() has found it, and RELEASE waits for this answer */
	inode = inode_at(&call->fs->inodes, file->inode);
	error = inode->zone.error;
	/* where it can't be cut, its true size becomes the write pointer: what zloop will see */
	(void)set_size(inode, file->fd, inode->zone.wp);
	zone_settle(&inode->zone, size_of(file->fd));
	return error;
}
