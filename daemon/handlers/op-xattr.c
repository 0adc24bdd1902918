/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fsetxattr(2) family refuses O_PATH descriptors, so we use the calls that take a path. The
 * path is the descriptor's magic link in /proc/self/fd. It leads to exactly this inode, even if the
 * inode is a symlink with attributes of its own.
 *
 * Names and values are passed on unchanged. Users and groups in ACLs are numbers of the daemon's
 * user namespace. The backing filesystem decides which attributes in "trusted." and "security." a
 * caller may see or set, by the caller's identity that we take on. With default_permissions the
 * kernel has already made the checks that it makes for every filesystem (xattr_permission() in
 * fs/xattr.c). No caller may set or remove the mark of a zoned directory, because flushes depend on
 * it (op-zone.h).
 */
#include "handlers/op-xattr.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/macro.h"
#include "base/procfs.h"
#include "handlers/call.h"
#include "handlers/op-meta.h"
#include "handlers/op-zone.h"
#include "store/creds.h"
#include "store/fs.h"

static bool is_access_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0;
}

static bool is_acl(const char *name)
{
	return is_access_acl(name) || strcmp(name, "system.posix_acl_default") == 0;
}

/* Finds the call's inode and its path. Returns 0 or -errno. */
static int find(const struct call *call, char path[static PROCFS_FD_PATH_LEN],
		const struct inode **ret_inode)
{
	const struct inode *inode = inode_get(&call->fs->inodes, call->in->nodeid);

	if (!inode)
		return -ESTALE;
	procfs_fd_path(inode->fd, path);
	*ret_inode = inode;
	return 0;
}

/*
 * Clears the set-group-ID bit after a change of the access ACL. That is due if the caller is
 * neither in the file's group nor has CAP_FSETID (posix_acl_update_mode()). The kernel decides it
 * (fuse_set_acl() in fs/fuse/acl.c), because it may know more of the caller's groups than we do.
 */
static int clear_sgid(const struct call *call, const struct inode *inode)
{
	char name[STORE_FD_NAME_LEN];
	struct stat st;

	if (fstat(inode->fd, &st) < 0)
		return -errno;
	if (!(st.st_mode & S_ISGID))
		return 0;
	store_fd_name(inode->fd, name);
	return fchmodat(call->fs->store.proc_fd, name, st.st_mode & 07777 & ~(mode_t)S_ISGID, 0) < 0
		       ? -errno
		       : 0;
}

int op_setxattr(struct call *call)
{
	const struct fuse_setxattr_in *arg = call->arg;
	/* the short form of the struct has no such field */
	uint32_t more = call->fs->setxattr_ext ? arg->setxattr_flags : 0;
	const struct inode *inode;
	char path[PROCFS_FD_PATH_LEN];
	bool done = false;
	int r;

	if (arg->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE) ||
	    more & ~(uint32_t)FUSE_SETXATTR_ACL_KILL_SGID)
		return -EINVAL;
	if (op_zone_is_mark(call->name[0]))
		return op_zone_refused(call->fs, -EPERM);
	r = find(call, path, &inode);
	if (r == 0 && (arg->flags & XATTR_CREATE))
		done = progress_xattr_changed(call->progress, path, call->name[0]);
	if (r == 0)
		r = op_assume(call);
	if (r < 0)
		return r;
	if (!done && setxattr(path, call->name[0], call->data, call->data_len, (int)arg->flags) < 0)
		r = -errno;
	else if ((more & FUSE_SETXATTR_ACL_KILL_SGID) && is_access_acl(call->name[0]))
		r = clear_sgid(call, inode);
	creds_resume();
	return r;
}

/*
 * Answers with the value of NAME, or with the list of names if NAME is NULL. If the request's size
 * is 0, it answers with the length instead.
 */
static int get(struct call *call, const char *name)
{
	const struct fuse_getxattr_in *arg = call->arg;
	struct fuse_getxattr_out *out = call->out;
	uint32_t size = MIN(arg->size, call->out_cap);
	const struct inode *inode;
	char path[PROCFS_FD_PATH_LEN];
	ssize_t len;
	int r;

	r = find(call, path, &inode);
	/* the filesystem lists names in "trusted." by capability, which must not be the daemon's */
	if (r == 0)
		r = name ? op_assume(call) : op_assume_with_groups(call, false);
	if (r < 0)
		return r;
	len = name ? getxattr(path, name, call->out, size) : listxattr(path, call->out, size);
	if (len < 0)
		r = -errno;
	creds_resume();
	if (r < 0)
		return r;
	if (size == 0) {
		*out = (struct fuse_getxattr_out){ .size = (uint32_t)len };
		call->out_len = sizeof(*out);
	} else {
		call->out_len = (uint32_t)len;
	}
	return 0;
}

int op_getxattr(struct call *call)
{
	int r = get(call, call->name[0]);

	/*
	 * The filesystem has no ACLs. The kernel asks for them at each access, and would fail the
	 * access with this error (fuse_get_acl()). So it gets the error for a missing ACL.
	 */
	if (r == -EOPNOTSUPP && call->fs->posix_acl && is_acl(call->name[0]))
		return -ENODATA;
	return r;
}

int op_listxattr(struct call *call)
{
	return get(call, NULL);
}

/*
 * Returns true for the attribute that the kernel removes on behalf of callers without the right to:
 * a file that someone changes loses its file capabilities (cap_inode_killpriv() in
 * security/commoncap.c). If a caller itself asks for the removal, the kernel has checked
 * CAP_SETFCAP, in any mount.
 */
static bool is_taken_by_the_kernel(const char *name)
{
	return strcmp(name, "security.capability") == 0;
}

int op_removexattr(struct call *call)
{
	const struct inode *inode;
	char path[PROCFS_FD_PATH_LEN];
	int r;

	if (op_zone_is_mark(call->name[0]))
		return op_zone_refused(call->fs, -EPERM);
	r = find(call, path, &inode);
	if (r < 0)
		return r;
	if (progress_xattr_changed(call->progress, path, call->name[0]))
		return 0;
	if (!is_taken_by_the_kernel(call->name[0]))
		r = op_assume(call);
	if (r < 0)
		return r;
	if (removexattr(path, call->name[0]) < 0)
		r = -errno;
	creds_resume();
	return r;
}
