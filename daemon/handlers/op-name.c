/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handlers/op-name.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h> /* renameat2() */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"
#include "handlers/op-meta.h"
#include "handlers/op-zone.h"
#include "store/creds.h"
#include "store/fs.h"
#include "store/room.h"

static struct inode *call_inode(const struct call *call)
{
	if (call->nonblocking)
		return inode_get_at_hand(&call->fs->inodes, call->in->nodeid);
	return inode_get(&call->fs->inodes, call->in->nodeid);
}

/* Answers that the name doesn't exist, which the kernel may cache for the entry timeout. */
static int reply_absent(struct call *call)
{
	struct fuse_entry_out *out = call->out;

	if (!call->fs->entry_timeout_ns)
		return -ENOENT;
	*out = (struct fuse_entry_out){ .nodeid = 0 };
	op_fill_timeout(call->fs->entry_timeout_ns, &out->entry_valid, &out->entry_valid_nsec);
	call->out_len = sizeof(*out);
	return 0;
}

/* Looks up CALL's name in DIR. Returns -EAGAIN if CALL is nonblocking and would have to wait. */
static int look_up(struct call *call, struct inode *dir)
{
	int r;

	if (call->nonblocking)
		return op_lookup_cached(call->fs, dir, call->name[0], call->out);
	r = op_zone_ask(dir);
	if (r < 0)
		return r;
	if (!call->fs->default_permissions) {
		/* the kernel hasn't checked whether the caller may search the directory */
		r = op_assume(call);
		if (r < 0)
			return r;
	}
	r = op_lookup_entry(call->fs, dir, call->name[0], call->out);
	creds_resume();
	return r;
}

/*
 * Looks up "." or "..". The kernel sends these names to resolve a file handle of the mount
 * (fuse_get_dentry() and fuse_get_parent() in fs/fuse/inode.c).
 */
static int look_up_exported(struct call *call)
{
	struct fs *fs = call->fs;
	uint64_t nodeid = call->in->nodeid;
	bool parent = call->name[0][1] == '.';
	struct fuse_entry_out *out = call->out;
	autoroom room = room_none(fs);
	struct inode *inode = NULL;
	int fd, r;

	if (call->nonblocking)
		return CALL_WAITS;
	r = inode_open_exported(&fs->inodes, nodeid, parent, &fd);
	if (r == 0)
		r = op_entry_of(&room, &fd, out, &inode);
	if (r < 0)
		return op_error(fs, r);
	assert(inode); /* there was no error */
	/* the parent may belong to another mount, and the row to another inode by now */
	if (parent ? !inode->exported && out->nodeid != FUSE_ROOT_ID : out->nodeid != nodeid) {
		inode_take_back(&fs->inodes, out->nodeid);
		return -ESTALE;
	}
	call->out_len = sizeof(*out);
	return 0;
}

int op_lookup(struct call *call)
{
	struct inode *dir;
	int r;

	if (call->name[0][0] == '.' && (!call->name[0][1] || strcmp(call->name[0], "..") == 0))
		return look_up_exported(call);
	dir = call_inode(call);
	if (!dir)
		return call->nonblocking ? CALL_WAITS : -ESTALE;
	r = look_up(call, dir);
	if (r == -EAGAIN && call->nonblocking)
		return CALL_WAITS;
	if (r == -ENOENT)
		return reply_absent(call);
	if (r == 0)
		call->out_len = sizeof(struct fuse_entry_out);
	return r;
}

int op_forget(struct call *call)
{
	const struct fuse_forget_in *arg = call->arg;

	if (call->progress && call->progress->counted)
		return 0;
	inode_forget(&call->fs->inodes, call->in->nodeid, arg->nlookup);
	return 0;
}

int op_batch_forget(struct call *call)
{
	const struct fuse_batch_forget_in *arg = call->arg;
	const struct fuse_forget_one *ones = call->data;
	uint32_t count = (uint32_t)MIN((size_t)arg->count, call->data_len / sizeof(*ones));

	for (uint32_t i = call->progress ? call->progress->counted : 0; i < count; i++)
		inode_forget(&call->fs->inodes, ones[i].nodeid, ones[i].nlookup);
	return 0;
}

int op_readlink(struct call *call)
{
	const struct inode *inode = call_inode(call);
	ssize_t len;

	if (!inode)
		return -ESTALE;
	len = readlinkat(inode->fd, "", call->out, MIN(call->out_cap, (uint32_t)PATH_MAX));
	if (len < 0)
		return errno == ENOENT ? -EINVAL : -errno; /* ENOENT means "not a symlink" here */
	call->out_len = (uint32_t)len;
	return 0;
}

/* Finds CALL's directory, if its name may be created or removed there. Returns 0 or -errno. */
static int find_dir(const struct call *call, struct inode **ret_dir)
{
	struct inode *dir = call_inode(call);
	int r;

	if (!dir)
		return -ESTALE;
	r = op_zone_allow_name(call->fs, dir, call->name[0]);
	if (r < 0)
		return r;
	*ret_dir = dir;
	return 0;
}

/*
 * Prepares to create something in CALL's directory: finds the directory, reserves a row for the
 * inode in ROOM, and takes on the caller's identity. UMASK_BITS is NULL if the new object has no
 * mode. Returns 0, and then the caller has to call creds_resume(), or -errno. If *RET_DONE, the
 * object was created by a process that has died.
 */
static int begin(const struct call *call, struct room *room, const uint32_t *umask_bits,
		 struct inode **ret_dir, bool *ret_done)
{
	int r = find_dir(call, ret_dir);

	if (r < 0)
		return r;
	r = room_for_inode(room);
	if (r < 0)
		return r;
	*ret_done = progress_names_changed(call->progress, (*ret_dir)->fd, call->name[0], -1, NULL);
	return umask_bits ? op_assume_to_create(call, *umask_bits) : op_assume(call);
}

/*
 * Ends what begin() began. MADE is the result of the system call that created the object. If it
 * succeeded, this answers with the object's entry.
 */
static int reply_made(struct call *call, struct room *room, const struct inode *dir, int made)
{
	int r = made < 0 ? -errno : 0;

	creds_resume();
	if (r == 0)
		r = op_entry_made(room, dir, call->name[0], call->out);
	if (r == 0)
		call->out_len = sizeof(struct fuse_entry_out);
	return r;
}

int op_symlink(struct call *call)
{
	autoroom room = room_none(call->fs);
	struct inode *dir;
	bool done;
	int r = begin(call, &room, NULL, &dir, &done);

	if (r < 0)
		return r;
	return reply_made(call, &room, dir,
			  done ? 0 : symlinkat(call->name[1], dir->fd, call->name[0]));
}

int op_mknod(struct call *call)
{
	const struct fuse_mknod_in *arg = call->arg;
	autoroom room = room_none(call->fs);
	struct inode *dir;
	bool done;
	int r = begin(call, &room, &arg->umask, &dir, &done);

	if (r < 0)
		return r;
	/* rdev is encoded by new_encode_dev(), which agrees with the low 32 bits of dev_t */
	return reply_made(call, &room, dir,
			  done ? 0 : mknodat(dir->fd, call->name[0], arg->mode, arg->rdev));
}

int op_mkdir(struct call *call)
{
	const struct fuse_mkdir_in *arg = call->arg;
	autoroom room = room_none(call->fs);
	struct inode *dir;
	bool done;
	int r = begin(call, &room, &arg->umask, &dir, &done);

	if (r < 0)
		return r;
	return reply_made(call, &room, dir,
			  done ? 0 : mkdirat(dir->fd, call->name[0], arg->mode & 07777));
}

static int remove_name(struct call *call, int flags)
{
	struct inode *dir;
	int r = find_dir(call, &dir);

	if (r < 0)
		return r;
	if (progress_names_changed(call->progress, dir->fd, call->name[0], -1, NULL))
		return 0;
	inode_pin_name(&call->fs->inodes, dir->fd, call->name[0]);
	r = op_assume_to_remove(call, dir);
	if (r < 0)
		return r;
	r = unlinkat(dir->fd, call->name[0], flags) < 0 ? -errno : 0;
	creds_resume();
	return r;
}

int op_unlink(struct call *call)
{
	return remove_name(call, 0);
}

int op_rmdir(struct call *call)
{
	return remove_name(call, AT_REMOVEDIR);
}

/* Renames on the disk only; the inode table doesn't know names. */
static int rename_name(struct call *call, uint64_t new_dir_nodeid, uint32_t flags)
{
	struct inode *dir = call_inode(call);
	struct inode *new_dir = inode_get(&call->fs->inodes, new_dir_nodeid);
	int r;

	if (!dir || !new_dir)
		return -ESTALE;
	r = op_zone_allow_name(call->fs, dir, call->name[0]);
	if (r == 0)
		r = op_zone_allow_name(call->fs, new_dir, call->name[1]);
	if (r < 0)
		return r;
	if (progress_names_changed(call->progress, dir->fd, call->name[0], new_dir->fd,
				   call->name[1]))
		return 0;
	inode_pin_name(&call->fs->inodes, new_dir->fd, call->name[1]);
	r = op_assume_to_rename(call, dir, new_dir);
	if (r < 0)
		return r;
	r = renameat2(dir->fd, call->name[0], new_dir->fd, call->name[1], flags) < 0 ? -errno : 0;
	creds_resume();
	return r;
}

int op_rename(struct call *call)
{
	const struct fuse_rename_in *arg = call->arg;

	return rename_name(call, arg->newdir, 0);
}

int op_rename2(struct call *call)
{
	const struct fuse_rename2_in *arg = call->arg;

	if (arg->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	return rename_name(call, arg->newdir, arg->flags);
}

/* Links TARGET in DIR with the caller's identity. Returns 0 or -errno. */
static int make_link(const struct call *call, const struct inode *dir, const struct inode *target)
{
	char path[STORE_FD_NAME_LEN];
	int r = op_assume_to_link(call, dir, target);

	if (r < 0)
		return r;
	/*
	 * AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH. The magic link leads to the descriptor's
	 * inode, even if that is a symlink.
	 */
	store_fd_name(target->fd, path);
	if (linkat(call->fs->store.proc_fd, path, dir->fd, call->name[0], AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	creds_resume();
	return r;
}

int op_link(struct call *call)
{
	const struct fuse_link_in *arg = call->arg;
	const struct inode *target = inode_get(&call->fs->inodes, arg->oldnodeid);
	autoroom room = room_none(call->fs); /* the target has a row already */
	autoclose int fd = -1;
	struct inode *dir, *linked;
	bool done;
	int r;

	if (!target)
		return -ESTALE;
	r = find_dir(call, &dir);
	if (r < 0)
		return r;
	/* by a second name, a zone would be looked up as an ordinary file */
	if (zone_is_file(&inode_primary(&call->fs->inodes, target)->zone))
		return op_zone_refused(call->fs, -EPERM);
	r = op_path_fd(call->fs, target->fd, &fd);
	if (r < 0)
		return op_error(call->fs, r);
	done = progress_names_changed(call->progress, dir->fd, call->name[0], -1, NULL);
	r = done ? 0 : make_link(call, dir, target);
	if (r == 0)
		r = op_entry_of(&room, &fd, call->out, &linked);
	if (r == 0)
		call->out_len = sizeof(struct fuse_entry_out);
	return r;
}
