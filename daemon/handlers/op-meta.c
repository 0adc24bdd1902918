/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-meta.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "handlers/op-zone.h"
#include "store/creds.h"
#include "store/fs.h"
#include "store/room.h"

static void add_object(struct caller *caller, const struct inode *inode, const char *name,
		       uint32_t over)
{
	if (inode)
		caller->object[caller->objects++] = (struct caller_object){ inode->fd, name, over };
}

/* Describes CALL's caller, without the objects that it acts on. */
static struct caller caller_of(const struct call *call)
{
	return (struct caller){
		.uid = call->in->uid,
		.gid = call->in->gid,
		.pid = call->in->pid,
		.supp_gid = call->supp_gid,
		.checked = call->fs->default_permissions,
	};
}

/* Describes CALL's caller, who acts on the inode of the message's nodeid. */
static struct caller caller_over(const struct call *call)
{
	struct caller caller = caller_of(call);

	add_object(&caller, inode_get(&call->fs->inodes, call->in->nodeid), NULL, OVER_ALL);
	return caller;
}

int op_assume(const struct call *call)
{
	struct caller caller = caller_over(call);

	return creds_assume(&caller);
}

int op_assume_to_link(const struct call *call, const struct inode *dir, const struct inode *target)
{
	struct caller caller = caller_of(call);

	add_object(&caller, dir, NULL, OVER_ACCESS);
	add_object(&caller, target, NULL, OVER_ALL);
	return creds_assume(&caller);
}

int op_assume_to_remove(const struct call *call, const struct inode *dir)
{
	struct caller caller = caller_of(call);

	add_object(&caller, dir, NULL, OVER_ALL);
	add_object(&caller, dir, call->name[0], OVER_OWNER);
	return creds_assume(&caller);
}

int op_assume_to_rename(const struct call *call, const struct inode *dir,
			const struct inode *new_dir)
{
	uint32_t over = dir == new_dir ? OVER_OWNER : OVER_OWNER | OVER_MOVED;
	struct caller caller = caller_of(call);

	add_object(&caller, dir, NULL, OVER_ALL);
	add_object(&caller, new_dir, NULL, OVER_ALL);
	add_object(&caller, dir, call->name[0], over);
	add_object(&caller, new_dir, call->name[1], over);
	return creds_assume(&caller);
}

int op_assume_without_fsetid(const struct call *call)
{
	struct caller caller = caller_over(call);

	caller.without_fsetid = true;
	return creds_assume(&caller);
}

int op_assume_with_groups(const struct call *call, bool without_fsetid)
{
	struct caller caller = caller_of(call);

	/* without an object, capabilities of another user namespace don't count */
	caller.checked = false;
	caller.without_fsetid = without_fsetid;
	return creds_assume(&caller);
}

int op_assume_to_create(const struct call *call, uint32_t umask_bits)
{
	(void)umask(call->fs->dont_mask ? umask_bits & 0777 : 0);
	return op_assume(call);
}

int op_error(struct fs *fs, int error)
{
	if (error != -EMFILE)
		return error;
	if (!inode_make_room(&fs->inodes))
		inode_press(&fs->inodes);
	return -ENFILE;
}

/* Returns true if more than 15/16 of LIMIT are used. */
static bool is_nearly_full(uint32_t used, uint32_t limit)
{
	return used > limit - limit / 16;
}

void op_slow_down(const struct fs *fs)
{
	/* 1 ms only, because workers also handle the FORGETs and RELEASEs that free room */
	struct timespec pause = { .tv_nsec = 1000000 };
	uint32_t fd_limit = fs->inodes.fd_limit;

	/* far above fd_limit, most descriptors can't be dropped: their files have no name */
	if (inode_is_low_on_rows(&fs->inodes) ||
	    is_nearly_full(atomic_load(&fs->files.used), fs->files.count) ||
	    (fd_limit < UINT32_MAX / 2 &&
	     is_nearly_full(atomic_load(&fs->inodes.fds), fd_limit + fd_limit / 2)))
		(void)nanosleep(&pause, NULL); /* an interrupted pause is long enough */
}

void op_fill_timeout(uint64_t timeout_ns, uint64_t *ret_sec, uint32_t *ret_nsec)
{
	*ret_sec = timeout_ns / 1000000000;
	*ret_nsec = (uint32_t)(timeout_ns % 1000000000);
}

/* Encodes a device number for the protocol, as new_encode_dev() in include/linux/kdev_t.h does. */
static uint32_t encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

void op_fill_attr(struct fs *fs, struct inode *inode, const struct statx *stx,
		  struct fuse_attr *ret_attr)
{
	uint64_t dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);

	if (stx->stx_mode & (S_ISUID | S_ISGID))
		atomic_store(&inode_primary(&fs->inodes, inode)->setid, true);

	*ret_attr = (struct fuse_attr){
		.ino = inode_shown_ino(&fs->inodes, dev, stx->stx_ino),
		.size = stx->stx_size,
		.blocks = stx->stx_blocks,
		.atime = (uint64_t)stx->stx_atime.tv_sec,
		.mtime = (uint64_t)stx->stx_mtime.tv_sec,
		.ctime = (uint64_t)stx->stx_ctime.tv_sec,
		.atimensec = stx->stx_atime.tv_nsec,
		.mtimensec = stx->stx_mtime.tv_nsec,
		.ctimensec = stx->stx_ctime.tv_nsec,
		.mode = stx->stx_mode,
		.nlink = stx->stx_nlink,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.rdev = encode_dev(stx->stx_rdev_major, stx->stx_rdev_minor),
		.blksize = stx->stx_blksize,
	};
}

int op_reply_attr(struct call *call, struct inode *inode)
{
	struct fuse_attr_out *out = call->out;
	struct statx stx;
	int r;

	r = store_statx(inode->fd, STATX_BASIC_STATS, &stx);
	if (r < 0)
		return r;
	*out = (struct fuse_attr_out){ 0 };
	op_fill_timeout(call->fs->attr_timeout_ns, &out->attr_valid, &out->attr_valid_nsec);
	op_fill_attr(call->fs, inode, &stx, &out->attr);
	call->out_len = sizeof(*out);
	return 0;
}

/* Enters the inode into the row that ROOM has, or else into any row. */
static int remember(struct room *room, int *fd, const struct statx *stx, struct inode **ret_inode)
{
	struct inode_table *table = &room->fs->inodes;

	if (room->inode_row == POOL_NONE)
		return inode_remember(table, fd, stx, ret_inode);
	*ret_inode = inode_remember_at(table, &room->inode_row, fd, stx);
	return 0;
}

int op_path_fd(struct fs *fs, int fd, int *ret_fd)
{
	int r = store_reopen(&fs->store, fd, O_PATH, ret_fd);

	if (r == -EMFILE && inode_make_room(&fs->inodes))
		r = store_reopen(&fs->store, fd, O_PATH, ret_fd);
	return r;
}

int op_entry_of(struct room *room, int *fd, struct fuse_entry_out *ret_entry,
		struct inode **ret_inode)
{
	struct fs *fs = room->fs;
	struct inode *inode;
	struct statx stx;
	int r;

	r = store_statx(*fd, STATX_BASIC_STATS | INODE_STATX_MASK, &stx);
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	r = remember(room, fd, &stx, &inode);
	if (r < 0)
		return r;

	*ret_entry = (struct fuse_entry_out){
		.nodeid = inode_nodeid(&fs->inodes, inode),
		.generation = inode_generation(&fs->inodes, inode),
	};
	op_fill_timeout(fs->entry_timeout_ns, &ret_entry->entry_valid,
			&ret_entry->entry_valid_nsec);
	op_fill_timeout(fs->attr_timeout_ns, &ret_entry->attr_valid, &ret_entry->attr_valid_nsec);
	op_fill_attr(fs, inode, &stx, &ret_entry->attr);
	*ret_inode = inode;
	return 0;
}

int op_entry_made(struct room *room, const struct inode *dir, const char *name,
		  struct fuse_entry_out *ret_entry)
{
	struct fs *fs = room->fs;
	struct inode *inode = NULL;
	int fd, r;

	r = store_open_child(dir->fd, name, &fd);
	if (r == -EMFILE && inode_make_room(&fs->inodes))
		r = store_open_child(dir->fd, name, &fd);
	if (r == 0)
		r = op_entry_of(room, &fd, ret_entry, &inode);
	if (r < 0)
		return op_error(fs, r);
	r = op_zone_found(fs, dir, name, inode);
	if (r < 0)
		inode_take_back(&fs->inodes, ret_entry->nodeid);
	else
		ret_entry->generation = inode_generation(&fs->inodes, inode); /* a zone differs */
	return r;
}

int op_lookup_entry(struct fs *fs, const struct inode *dir, const char *name,
		    struct fuse_entry_out *ret_entry)
{
	autoroom room = room_none(fs);

	return op_entry_made(&room, dir, name, ret_entry);
}

int op_lookup_cached(struct fs *fs, const struct inode *dir, const char *name,
		     struct fuse_entry_out *ret_entry)
{
	autoroom room = room_none(fs);
	struct inode *inode;
	int fd, r;

	/* to check rights, recognize a zone or find room in the table may take a wait */
	if (!fs->default_permissions || !op_is_local(fs, dir) ||
	    zone_kind(&dir->zone) != ZONE_NONE || inode_is_pressed(&fs->inodes) ||
	    inode_is_short_of_fds(&fs->inodes))
		return -EAGAIN;
	r = store_open_cached(dir->fd, name, &fd);
	if (r == -ENOENT)
		return r;
	if (r < 0)
		return -EAGAIN;
	return op_entry_of(&room, &fd, ret_entry, &inode);
}

void op_note_release(const struct call *call)
{
	if (!call->progress)
		return;
	call->progress->noted = true;
	KILL_FENCE();
}

int op_released(const struct call *call)
{
	return call->progress && call->progress->noted ? 0 : -EBADF;
}

/* Returns the nodeid of the file whose data CALL changes, or 0. */
static uint64_t changed_nodeid(const struct call *call)
{
	const struct fuse_setattr_in *setattr = call->arg;
	const struct fuse_copy_file_range_in *copy = call->arg;

	switch (call->in->opcode) {
	case FUSE_SETATTR:
		return setattr->valid & FATTR_SIZE ? call->in->nodeid : 0;
	case FUSE_COPY_FILE_RANGE:
		return copy->nodeid_out;
	case FUSE_WRITE:
		return call->in->nodeid;
	default:
		return 0;
	}
}

uint32_t op_gate(const struct call *call)
{
	uint64_t nodeid = call->fs->cache == CACHE_NONE ? changed_nodeid(call) : 0;

	return nodeid ? inode_primary_row(&call->fs->inodes, nodeid) : POOL_NONE;
}

bool op_is_local(const struct fs *fs, const struct inode *inode)
{
	return fs->store.local && inode->dev == fs->inodes.common->devices[0];
}
