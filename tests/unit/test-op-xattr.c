/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Extended attributes, ACLs and file attribute ioctls: what goes through as it is, what a caller
 * may do, and what the kernel above must not be told.
 */
#include "handlers/op-xattr.h"

#include <linux/capability.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "handlers/op-ioctl.h"
#include "op-fixture.h"

#define ACCESS_ACL  "system.posix_acl_access"
#define DEFAULT_ACL "system.posix_acl_default"

/* As linux/posix_acl_xattr.h: user rwx, user 61005 r-x, group r-x, mask rwx, others none. */
static const struct {
	uint32_t version;
	struct {
		uint16_t tag, perm;
		uint32_t id;
	} entries[5];
} acl = { 2,
	  { { 1, 7, UINT32_MAX },
	    { 2, 5, 61005 },
	    { 4, 5, UINT32_MAX },
	    { 16, 7, UINT32_MAX },
	    { 32, 0, UINT32_MAX } } };

static int set(struct asker by, uint64_t nodeid, const char *name, const void *value, size_t len,
	       uint32_t flags, uint32_t more)
{
	struct fuse_setxattr_in arg = { .size = (uint32_t)len,
					.flags = flags,
					.setxattr_flags = more };

	return ask(op_setxattr, (struct ask){ .by = by,
					      .nodeid = nodeid,
					      .arg = &arg,
					      .name = name,
					      .data = value,
					      .data_len = (uint32_t)len });
}

static int set_text(struct asker by, uint64_t nodeid, const char *name, const char *value)
{
	return set(by, nodeid, name, value, strlen(value), 0, 0);
}

static int get(struct asker by, uint64_t nodeid, const char *name, uint32_t size)
{
	struct fuse_getxattr_in arg = { .size = size };

	return ask(op_getxattr,
		   (struct ask){ .by = by, .nodeid = nodeid, .arg = &arg, .name = name });
}

static int list(struct asker by, uint64_t nodeid, uint32_t size)
{
	struct fuse_getxattr_in arg = { .size = size };

	return ask(op_listxattr, (struct ask){ .by = by, .nodeid = nodeid, .arg = &arg });
}

static int remove_attr(struct asker by, uint64_t nodeid, const char *name)
{
	return ask(op_removexattr, (struct ask){ .by = by, .nodeid = nodeid, .name = name });
}

/* The answer to a question for a size. */
static uint32_t size_out(void)
{
	CHECK_EQ(world.out_len, sizeof(struct fuse_getxattr_out));
	return ((const struct fuse_getxattr_out *)world.out)->size;
}

static bool listed(const char *name)
{
	for (uint32_t at = 0; at < world.out_len;
	     at += (uint32_t)strlen((char *)world.out + at) + 1)
		if (strcmp((char *)world.out + at, name) == 0)
			return true;
	return false;
}

/* A file NAME of MODE that belongs to OWNER; its nodeid, one lookup counted. */
static uint64_t file_of(struct asker owner, const char *name, mode_t mode)
{
	int fd = open(backing(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(fchown(fd, owner.uid, owner.gid) == 0);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
	return look(ROOT, name);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	CHECK(lstat(backing(name), &st) == 0);
	return st.st_mode & 07777;
}

static struct asker myself(void)
{
	return (struct asker){ geteuid(), getegid() };
}

static void values_pass_through(void)
{
	static const uint8_t bytes[] = { 0, 1, 0xff, '\n', 0 };
	struct asker me = myself();
	char value[8];
	uint64_t f;

	world_make(8);
	world.fs.setxattr_ext = true;
	f = file_of(me, "f", 0644);
	CHECK_EQ(set(me, f, "user.b", bytes, sizeof(bytes), 0, 0), 0);
	CHECK_EQ(getxattr(backing("f"), "user.b", value, sizeof(value)), (ssize_t)sizeof(bytes));
	CHECK_MEM(value, bytes, sizeof(bytes));
	CHECK_EQ(get(me, f, "user.b", 0), 0);
	CHECK_EQ(size_out(), sizeof(bytes));
	CHECK_EQ(get(me, f, "user.b", sizeof(bytes)), 0);
	CHECK_EQ(world.out_len, sizeof(bytes));
	CHECK_MEM(world.out, bytes, sizeof(bytes));
	CHECK_EQ(world.out[sizeof(bytes)], 0xaa); /* nothing was written behind it */
	CHECK_EQ(get(me, f, "user.b", 64u << 10), 0);
	CHECK_EQ(world.out_len, sizeof(bytes));
	CHECK_EQ(get(me, f, "user.b", sizeof(bytes) - 1), -ERANGE);
	CHECK_EQ(get(me, f, "user.none", 100), -ENODATA);

	CHECK_EQ(set(me, f, "user.b", "x", 1, XATTR_CREATE, 0), -EEXIST);
	CHECK_EQ(set(me, f, "user.c", "x", 1, XATTR_REPLACE, 0), -ENODATA);
	CHECK_EQ(set(me, f, "user.c", "x", 1, XATTR_CREATE, 0), 0);
	CHECK_EQ(set(me, f, "user.c", "", 0, XATTR_REPLACE, 0), 0);
	CHECK_EQ(get(me, f, "user.c", 10), 0);
	CHECK_EQ(world.out_len, 0u);
	CHECK_EQ(set(me, f, "user.c", "x", 1, 4, 0), -EINVAL);
	CHECK_EQ(set(me, f, "user.c", "x", 1, 0, 2), -EINVAL);
	CHECK_EQ(set(me, f, "bogus.c", "x", 1, 0, 0), -EOPNOTSUPP);

	CHECK_EQ(list(me, f, 0), 0);
	CHECK(size_out() >= sizeof("user.b") + sizeof("user.c"));
	CHECK_EQ(list(me, f, sizeof("user.b")), -ERANGE);
	CHECK_EQ(list(me, f, 64u << 10), 0);
	CHECK(listed("user.b") && listed("user.c") && !listed("user.none"));
	CHECK_EQ(remove_attr(me, f, "user.b"), 0);
	CHECK_EQ(remove_attr(me, f, "user.b"), -ENODATA);
	CHECK_EQ(list(me, f, 64u << 10), 0);
	CHECK(!listed("user.b") && listed("user.c"));
	CHECK_EQ(get(me, 99, "user.c", 0), -ESTALE);

	/* by inode, not by name: the name may be another's by now */
	CHECK(rename(backing("f"), backing("g")) == 0);
	CHECK_EQ(set_text(me, f, "user.d", "late"), 0);
	CHECK_EQ(getxattr(backing("g"), "user.d", value, sizeof(value)), 4);
	forget(f, 1);
	world_end();
}

/* The second half of SETXATTR's struct isn't there unless INIT agreed on it. */
static void short_form(void)
{
	struct asker me = myself();
	uint64_t f;

	world_make(8);
	world.fs.setxattr_ext = false;
	f = file_of(me, "f", 0644);
	CHECK_EQ(set(me, f, "user.a", "x", 1, 0, UINT32_MAX), 0);
	forget(f, 1);
	world_end();
}

static void symlinks_have_their_own(void)
{
	uint64_t link;
	char value[8];

	if (!can_act())
		return;
	world_make(8);
	CHECK(symlink("f", backing("link")) == 0);
	(void)file_of(root_user, "f", 0644);
	link = look(ROOT, "link");
	CHECK_EQ(set_text(root_user, link, "trusted.a", "of the"), 0);
	CHECK_EQ(lgetxattr(backing("link"), "trusted.a", value, sizeof(value)), 6);
	CHECK(getxattr(backing("f"), "trusted.a", value, sizeof(value)) < 0 && errno == ENODATA);
	CHECK_EQ(get(root_user, link, "trusted.a", 8), 0);
	CHECK_EQ(world.out_len, 6u);
	CHECK_EQ(set_text(root_user, link, "user.a", "x"), -EPERM); /* nobody may, of a symlink */
	CHECK_EQ(remove_attr(root_user, link, "trusted.a"), 0);
	forget(link, 1);
	forget(look(ROOT, "f"), 2);
	world_end();
}

static void callers_have_their_own_rights(void)
{
	struct vfs_cap_data cap = { .magic_etc = VFS_CAP_REVISION_2 };
	uint64_t f, g;

	if (!can_act())
		return;
	world_make(8);
	f = file_of(root_user, "f", 0644);
	g = file_of(some_user, "g", 0600);
	CHECK_EQ(set_text(some_user, f, "user.a", "x"), -EACCES);
	CHECK_EQ(set_text(root_user, f, "user.a", "x"), 0);
	CHECK_EQ(get(some_user, f, "user.a", 8), 0);
	CHECK_EQ(remove_attr(some_user, f, "user.a"), -EACCES);
	CHECK_EQ(set_text(some_user, g, "user.a", "x"), 0);

	CHECK_EQ(set_text(some_user, g, "trusted.a", "x"), -EPERM);
	CHECK_EQ(set_text(root_user, g, "trusted.a", "x"), 0);
	CHECK_EQ(get(some_user, g, "trusted.a", 8), -ENODATA);
	CHECK_EQ(list(some_user, g, 64u << 10), 0);
	CHECK(listed("user.a") && !listed("trusted.a"));
	CHECK_EQ(list(root_user, g, 64u << 10), 0);
	CHECK(listed("trusted.a"));

	CHECK_EQ(set(some_user, g, "security.capability", &cap, sizeof(cap), 0, 0), -EPERM);
	CHECK_EQ(set(root_user, g, "security.capability", &cap, sizeof(cap), 0, 0), 0);
	CHECK_EQ(get(some_user, g, "security.capability", 64), 0);
	CHECK_EQ(world.out_len, sizeof(cap));
	/* the kernel itself asks for this, in the name of who truncates the file */
	CHECK_EQ(remove_attr(some_user, g, "security.capability"), 0);

	/* whom the kernel has checked isn't refused again, where we can't see his groups */
	world.fs.default_permissions = true;
	CHECK_EQ(set_text(some_user, f, "user.a", "y"), 0);
	/* but our own rights list nothing to somebody whom ext4 wouldn't list it to */
	CHECK_EQ(list(some_user, g, 64u << 10), 0);
	CHECK(listed("user.a") && !listed("trusted.a"));
	CHECK_EQ(list(root_user, g, 64u << 10), 0);
	CHECK(listed("user.a") && listed("trusted.a"));
	forget(f, 1);
	forget(g, 1);
	world_end();
}

static void acls(void)
{
	struct asker me = myself();
	uint64_t f, d;

	world_make(8);
	world.fs.posix_acl = true;
	world.fs.setxattr_ext = true;
	f = file_of(me, "f", 02640);
	CHECK(mkdir(backing("d"), 0755) == 0);
	d = look(ROOT, "d");
	CHECK_EQ(get(me, f, ACCESS_ACL, 4096), -ENODATA);
	if (set(me, d, DEFAULT_ACL, &acl, sizeof(acl), 0, 0) == -EOPNOTSUPP) {
		SKIP("a TMPDIR on a filesystem with ACLs");
	} else {
		CHECK_EQ(get(me, d, DEFAULT_ACL, 4096), 0);
		CHECK_EQ(world.out_len, sizeof(acl));
		CHECK_MEM(world.out, &acl, sizeof(acl)); /* the same numbers back */
		CHECK_EQ(set(me, f, DEFAULT_ACL, &acl, sizeof(acl), 0, 0), -EACCES);
		/* the mask shows as the group's bits; the set-group-id bit stays … */
		CHECK_EQ(set(me, f, ACCESS_ACL, &acl, sizeof(acl), 0, 0), 0);
		CHECK_EQ(mode_of("f"), 02770u);
		/* … unless the kernel says that it mustn't */
		CHECK_EQ(set(me, d, DEFAULT_ACL, &acl, sizeof(acl), 0, FUSE_SETXATTR_ACL_KILL_SGID),
			 0);
		CHECK_EQ(set(me, f, ACCESS_ACL, &acl, sizeof(acl), 0, FUSE_SETXATTR_ACL_KILL_SGID),
			 0);
		CHECK_EQ(mode_of("f"), 0770u);
		CHECK_EQ(remove_attr(me, f, ACCESS_ACL), 0);
		CHECK_EQ(get(me, f, ACCESS_ACL, 4096), -ENODATA);
	}
	forget(f, 1);
	forget(d, 1);
	world_end();
}

/* /proc has none, and says so; to the kernel above that would be every access's error. */
static void no_acls_below(void)
{
	struct inode *inode;
	struct statx stx;
	uint64_t nodeid;
	int fd;

	world_make(8);
	CHECK_EQ(store_open_child(AT_FDCWD, "/proc/version", &fd), -EXDEV);
	fd = open("/proc/version", O_PATH | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(store_statx(fd, STATX_BASIC_STATS, &stx), 0);
	CHECK_EQ(inode_remember(&world.fs.inodes, &fd, &stx, &inode), 0);
	nodeid = inode_nodeid(&world.fs.inodes, inode);
	CHECK_EQ(get(myself(), nodeid, ACCESS_ACL, 4096), -EOPNOTSUPP);
	world.fs.posix_acl = true;
	CHECK_EQ(get(myself(), nodeid, ACCESS_ACL, 4096), -ENODATA);
	CHECK_EQ(get(myself(), nodeid, DEFAULT_ACL, 4096), -ENODATA);
	CHECK_EQ(get(myself(), nodeid, "user.a", 4096), -EOPNOTSUPP);
	forget(nodeid, 1);
	world_end();
}

static int ask_ioctl(struct asker by, uint64_t fh, unsigned long cmd, const void *in,
		     uint32_t in_len, uint32_t out_len)
{
	struct fuse_ioctl_in arg = {
		.fh = fh, .cmd = (uint32_t)cmd, .in_size = in_len, .out_size = out_len
	};

	return ask(op_ioctl,
		   (struct ask){
			   .by = by, .nodeid = ROOT, .arg = &arg, .data = in, .data_len = in_len });
}

/* The bytes behind the answer's struct, of which there are LEN. */
static const void *ioctl_out(size_t len)
{
	CHECK_EQ(world.out_len, sizeof(struct fuse_ioctl_out) + len);
	CHECK_EQ(((const struct fuse_ioctl_out *)world.out)->result, 0);
	CHECK_EQ(((const struct fuse_ioctl_out *)world.out)->flags, 0u);
	return world.out + sizeof(struct fuse_ioctl_out);
}

static int flags_out(void)
{
	int flags;

	memcpy(&flags, ioctl_out(sizeof(flags)), sizeof(flags));
	return flags;
}

static void ioctls(void)
{
	struct asker me = myself();
	struct fsxattr xattr;
	uint64_t fh, nodeid, value = 0;
	int flags;

	world_make(8);
	CHECK_EQ(create_file(me, ROOT, "f", O_RDWR, 0644), 0);
	nodeid = entry_out()->nodeid;
	fh = created_fh();
	if (ask_ioctl(me, fh, FS_IOC_GETFLAGS, NULL, 0, 4) < 0) {
		SKIP("a TMPDIR on a filesystem with file attributes");
	} else {
		flags = flags_out() | FS_NOATIME_FL;
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC_SETFLAGS, &flags, 4, 0), 0);
		(void)ioctl_out(0);
		/* however much is asked for, it is an int */
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC_GETFLAGS, NULL, 0, 8), 0);
		CHECK_EQ(flags_out(), flags);
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC32_GETFLAGS, NULL, 0, 4), 0);
		CHECK_EQ(flags_out(), flags);
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC_FSGETXATTR, NULL, 0, sizeof(xattr)), 0);
		memcpy(&xattr, ioctl_out(sizeof(xattr)), sizeof(xattr));
		CHECK(xattr.fsx_xflags & FS_XFLAG_NOATIME);
		xattr.fsx_xflags &= ~(uint32_t)FS_XFLAG_NOATIME;
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC_FSSETXATTR, &xattr, sizeof(xattr), 0), 0);
		CHECK_EQ(ask_ioctl(me, fh, FS_IOC_GETFLAGS, NULL, 0, 4), 0);
		CHECK_EQ(flags_out(), flags & ~FS_NOATIME_FL);
		if (creds_act_for_callers())
			CHECK_EQ(ask_ioctl(some_user, fh, FS_IOC_SETFLAGS, &flags, 4, 0), -EPERM);
	}
	/* sizes that don't do, and commands whose bytes may be pointers */
	CHECK_EQ(ask_ioctl(me, fh, FS_IOC_GETFLAGS, NULL, 0, 3), -EINVAL);
	CHECK_EQ(ask_ioctl(me, fh, FS_IOC_SETFLAGS, &value, 3, 0), -EINVAL);
	CHECK_EQ(ask_ioctl(me, fh, FS_IOC_FSSETXATTR, &value, 8, 0), -EINVAL);
	CHECK_EQ(ask_ioctl(me, fh, FS_IOC_FIEMAP, &value, 8, 8), -ENOTTY);
	CHECK_EQ(ask_ioctl(me, fh, FITRIM, &value, 8, 8), -ENOTTY);
	CHECK_EQ(ask_ioctl(me, fh + 1, FS_IOC_GETFLAGS, NULL, 0, 4), -EBADF);
	release(fh);
	forget(nodeid, 1);
	world_end();
}

static void ioctls_of_directories(void)
{
	struct fuse_open_in open_in = { 0 };
	struct fuse_release_in release_in;
	int expected, fd, r;

	world_make(8);
	CHECK_EQ(ask(op_opendir, (struct ask){ .nodeid = ROOT, .by = myself(), .arg = &open_in }),
		 0);
	release_in = (struct fuse_release_in){ .fh = opened_fh() };
	fd = open(world.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	r = ioctl(fd, FS_IOC_GETFLAGS, &expected) < 0 ? -errno : 0;
	CHECK_EQ(ask_ioctl(myself(), release_in.fh, FS_IOC_GETFLAGS, NULL, 0, 4), r);
	if (r == 0)
		CHECK_EQ(flags_out(), expected);
	CHECK(close(fd) == 0);
	CHECK_EQ(ask(op_releasedir, (struct ask){ .nodeid = ROOT, .arg = &release_in }), 0);
	world_end();
}

static void syncfs_reaches_the_backing(void)
{
	world_make(8);
	CHECK_EQ(ask(op_syncfs, (struct ask){ .nodeid = ROOT }), 0);
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(values_pass_through);
	RUN(short_form);
	RUN(symlinks_have_their_own);
	RUN(callers_have_their_own_rights);
	RUN(acls);
	RUN(no_acls_below);
	RUN(ioctls);
	RUN(ioctls_of_directories);
	RUN(syncfs_reaches_the_backing);
	return test_result();
}
