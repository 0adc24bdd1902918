/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes: set-id bits, ownership, times, sizes, and rights where nobody has checked them. */
#include "handlers/op-attr.h"

#include <sys/statfs.h>

#include "op-fixture.h"

static int set(struct asker by, uint64_t nodeid, struct fuse_setattr_in arg)
{
	return ask(op_setattr, (struct ask){ .by = by, .nodeid = nodeid, .arg = &arg });
}

static const struct fuse_attr *attr_out(void)
{
	CHECK_EQ(world.out_len, sizeof(struct fuse_attr_out));
	return &((const struct fuse_attr_out *)world.out)->attr;
}

/* A file "f" of MODE with LEN bytes that belongs to OWNER; its nodeid, one lookup counted. */
static uint64_t file_of(struct asker owner, mode_t mode, off_t len)
{
	int fd = open(backing("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(ftruncate(fd, len) == 0);
	CHECK(!creds_act_for_callers() || fchown(fd, owner.uid, owner.gid) == 0);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
	return look(ROOT, "f");
}

static void truncation_clears_setid_when_told(void)
{
	uint64_t f;

	if (!can_act())
		return;
	for (int checked = 0; checked < 2; checked++) {
		world_make(8);
		world.fs.default_permissions = checked;
		f = file_of(some_user, 06777, 100);
		CHECK_EQ(set(root_user, f,
			     (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 50 }),
			 0);
		CHECK_EQ(attr_out()->size, 50u);
		CHECK_EQ(attr_out()->mode & 07777, 06777u);
		/* also for a root that the kernel has found to lack CAP_FSETID */
		CHECK_EQ(set(root_user, f,
			     (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_KILL_SUIDGID,
						       .size = 40 }),
			 0);
		CHECK_EQ(attr_out()->mode & 07777, 0777u);
		CHECK(chmod(backing("f"), 06777) == 0);
		CHECK_EQ(set(some_user, f,
			     (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_KILL_SUIDGID,
						       .size = 30 }),
			 0);
		CHECK_EQ(attr_out()->mode & 07777, 0777u);
		CHECK_EQ(attr_out()->size, 30u);
		/* and the next one has its capability again */
		CHECK_EQ(set(root_user, f,
			     (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 06711 }),
			 0);
		CHECK_EQ(attr_out()->mode & 07777, 06711u);
		forget(f, 1);
		world_end();
	}
}

static void chown_clears_setid_but_mode_wins(void)
{
	uint64_t f;

	if (!can_act())
		return;
	world_make(8);
	f = file_of(some_user, 06777, 0);
	CHECK_EQ(
		set(root_user, f,
		    (struct fuse_setattr_in){ .valid = FATTR_UID | FATTR_GID, .uid = 7, .gid = 8 }),
		0);
	CHECK_EQ(attr_out()->uid, 7u);
	CHECK_EQ(attr_out()->gid, 8u);
	CHECK_EQ(attr_out()->mode & 07777, 0777u);
	/* in one message: the mode comes after the owner */
	CHECK_EQ(set(root_user, f,
		     (struct fuse_setattr_in){
			     .valid = FATTR_UID | FATTR_MODE, .uid = 9, .mode = 04755 }),
		 0);
	CHECK_EQ(attr_out()->uid, 9u);
	CHECK_EQ(attr_out()->mode & 07777, 04755u);
	forget(f, 1);
	world_end();
}

static void times_are_set_last(void)
{
	struct fuse_setattr_in arg = {
		.valid = FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
		.size = 5,
		.atime = 1000,
		.atimensec = 7,
		.mtime = (uint64_t)-2000,
		.mtimensec = 9,
	};
	uint64_t f;

	world_make(8);
	f = file_of(root_user, 0644, 100);
	CHECK_EQ(set(root_user, f, arg), 0);
	CHECK_EQ(attr_out()->atime, 1000u);
	CHECK_EQ(attr_out()->atimensec, 7u);
	CHECK_EQ((int64_t)attr_out()->mtime, -2000);
	CHECK_EQ(attr_out()->mtimensec, 9u);
	/* one of them, and the other one stays */
	CHECK_EQ(set(root_user, f,
		     (struct fuse_setattr_in){ .valid = FATTR_MTIME | FATTR_MTIME_NOW }),
		 0);
	CHECK_EQ(attr_out()->atime, 1000u);
	CHECK(attr_out()->mtime > 1000000000);
	/* a change time alone is nothing that we could set */
	CHECK_EQ(set(root_user, f, (struct fuse_setattr_in){ .valid = FATTR_CTIME }), 0);
	CHECK_EQ(attr_out()->atime, 1000u);
	forget(f, 1);
	world_end();
}

static void an_open_file_may_be_truncated_without_rights(void)
{
	uint64_t f, fh, reader;

	if (!can_act())
		return;
	world_make(8);
	CHECK_EQ(create_file(some_user, ROOT, "f", O_WRONLY, 0200), 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	CHECK(chmod(backing("f"), 0) == 0);
	CHECK_EQ(set(some_user, f, (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 4096 }),
		 -EACCES);
	CHECK_EQ(set(some_user, f,
		     (struct fuse_setattr_in){
			     .valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 4096 }),
		 0);
	CHECK_EQ(attr_out()->size, 4096u);
	/* one that is open for reading only gives no right */
	CHECK(chmod(backing("f"), 0400) == 0);
	CHECK_EQ(open_file(some_user, f, O_RDONLY), 0);
	reader = opened_fh();
	CHECK_EQ(set(some_user, f,
		     (struct fuse_setattr_in){
			     .valid = FATTR_SIZE | FATTR_FH, .fh = reader, .size = 1 }),
		 -EACCES);
	CHECK_EQ(
		set(some_user, f,
		    (struct fuse_setattr_in){ .valid = FATTR_SIZE | FATTR_FH, .fh = 3, .size = 1 }),
		-EBADF);
	CHECK_EQ(set(some_user, f,
		     (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 1ull << 63 }),
		 -EFBIG);
	release(fh);
	release(reader);
	forget(f, 1);
	world_end();
}

static void unlinked_files_still_have_attributes(void)
{
	uint64_t f, fh;

	world_make(8);
	CHECK_EQ(create_file(root_user, ROOT, "f", O_RDWR, 0600), 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	CHECK(unlink(backing("f")) == 0);
	forget(f, 1); /* the open file holds it all the same */
	CHECK_EQ(ask(op_getattr, (struct ask){ .nodeid = f }), 0);
	CHECK_EQ(attr_out()->nlink, 0u);
	CHECK_EQ(set(root_user, f,
		     (struct fuse_setattr_in){
			     .valid = FATTR_MODE | FATTR_SIZE, .mode = 0640, .size = 12 }),
		 0);
	CHECK_EQ(attr_out()->mode & 07777, 0640u);
	CHECK_EQ(attr_out()->size, 12u);
	release(fh);
	CHECK_EQ(ask(op_getattr, (struct ask){ .nodeid = f }), -ESTALE);
	world_end();
}

static void statx_tells_the_birth_time(void)
{
	struct caisson_fuse_statx_in arg = { .sx_mask = STATX_BASIC_STATS | STATX_BTIME };
	const struct caisson_fuse_statx_out *out = (const void *)world.out;
	struct statx stx;
	uint64_t f;

	world_make(8);
	f = file_of(root_user, 0644, 5);
	CHECK_EQ(ask(op_statx, (struct ask){ .nodeid = f, .arg = &arg }), 0);
	CHECK_EQ(world.out_len, 288u);
	CHECK(statx(AT_FDCWD, backing("f"), 0, STATX_BASIC_STATS | STATX_BTIME, &stx) == 0);
	CHECK_EQ(out->stat.mask, stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
	CHECK_EQ(out->stat.ino, stx.stx_ino);
	CHECK_EQ(out->stat.size, 5u);
	CHECK_EQ(out->stat.btime.tv_sec, stx.stx_btime.tv_sec);
	CHECK_EQ(out->stat.btime.tv_nsec, stx.stx_btime.tv_nsec);
	forget(f, 1);
	world_end();
}

static void access_is_the_callers(void)
{
	struct fuse_access_in arg = { .mask = W_OK };
	uint64_t f;

	if (!can_act())
		return;
	world_make(8);
	f = file_of(root_user, 0644, 0);
	CHECK_EQ(ask(op_access, (struct ask){ .by = some_user, .nodeid = f, .arg = &arg }),
		 -EACCES);
	arg.mask = R_OK;
	CHECK_EQ(ask(op_access, (struct ask){ .by = some_user, .nodeid = f, .arg = &arg }), 0);
	arg.mask = W_OK;
	CHECK_EQ(ask(op_access, (struct ask){ .nodeid = f, .arg = &arg }), 0);
	arg.mask = 8;
	CHECK_EQ(ask(op_access, (struct ask){ .nodeid = f, .arg = &arg }), -EINVAL);
	/* chown and chmod by somebody else */
	CHECK_EQ(set(some_user, f, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0777 }),
		 -EPERM);
	CHECK_EQ(set(some_user, f, (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 1 }),
		 -EPERM);
	forget(f, 1);
	world_end();
}

static void statfs_is_the_backings(void)
{
	const struct fuse_statfs_out *out = (const void *)world.out;
	struct statfs st;

	world_make(8);
	CHECK_EQ(ask(op_statfs, (struct ask){ .nodeid = ROOT }), 0);
	CHECK(statfs(world.path, &st) == 0);
	CHECK_EQ(out->st.blocks, st.f_blocks);
	CHECK_EQ(out->st.bsize, (uint32_t)st.f_bsize);
	CHECK_EQ(out->st.namelen, (uint32_t)st.f_namelen);
	world_end();
}

static void inline_attributes_are_a_local_filesystem_s(void)
{
	struct ask inline_ask = { .nonblocking = true };

	world_make(8);
	inline_ask.nodeid = file_of(some_user, 0600, 7);
	world.fs.store.local = true;
	CHECK_EQ(ask(op_getattr, inline_ask), 0);
	CHECK_EQ(attr_out()->size, 7u);
	world.fs.store.local = false;
	CHECK_EQ(ask(op_getattr, inline_ask), CALL_WAITS);
	world.fs.store.local = true;
	inode_get(&world.fs.inodes, inline_ask.nodeid)->dev++; /* as if mounted below */
	CHECK_EQ(ask(op_getattr, inline_ask), CALL_WAITS);
	inode_get(&world.fs.inodes, inline_ask.nodeid)->dev--;
	forget(inline_ask.nodeid, 1);
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(truncation_clears_setid_when_told);
	RUN(chown_clears_setid_but_mode_wins);
	RUN(times_are_set_last);
	RUN(an_open_file_may_be_truncated_without_rights);
	RUN(unlinked_files_still_have_attributes);
	RUN(statx_tells_the_birth_time);
	RUN(access_is_the_callers);
	RUN(statfs_is_the_backings);
	RUN(inline_attributes_are_a_local_filesystem_s);
	return test_result();
}
