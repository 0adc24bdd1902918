/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names in directories: nodeids and their counts, ownership, renames, what can't be followed. */
#include "handlers/op-name.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

#include "op-fixture.h"

static int remove_name(const char *name)
{
	return ask(op_unlink, (struct ask){ .nodeid = ROOT, .name = name });
}

static int rename_name(const char *from, const char *to, uint32_t flags)
{
	struct fuse_rename2_in arg = { .newdir = ROOT, .flags = flags };

	return ask(op_rename2,
		   (struct ask){ .nodeid = ROOT, .arg = &arg, .name = from, .name2 = to });
}

static void touch(const char *name)
{
	int fd = open(backing(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
}

static void hard_links_share_a_nodeid(void)
{
	struct fuse_link_in arg;
	uint64_t a, b;

	world_make(16);
	touch("a");
	a = look(ROOT, "a");
	arg.oldnodeid = a;
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "b" }), 0);
	CHECK_EQ(entry_out()->nodeid, a);
	CHECK_EQ(entry_out()->attr.nlink, 2u);
	b = look(ROOT, "b");
	CHECK_EQ(b, a);
	CHECK_EQ(inode_get(&world.fs.inodes, a)->nlookup, 3u);
	CHECK_EQ(remove_name("a"), 0);
	CHECK_EQ(look(ROOT, "b"), a);
	forget(a, 4);
	world_end();
}

static void forgets_count_exactly(void)
{
	struct fuse_forget_one ones[2];
	struct fuse_batch_forget_in arg = { .count = 2 };
	uint64_t a, b, again;

	world_make(16);
	touch("a");
	touch("b");
	a = look(ROOT, "a");
	CHECK_EQ(look(ROOT, "a"), a);
	b = look(ROOT, "b");
	forget(a, 1);
	CHECK(inode_get(&world.fs.inodes, a) != NULL);
	ones[0] = (struct fuse_forget_one){ .nodeid = a, .nlookup = 1 };
	ones[1] = (struct fuse_forget_one){ .nodeid = b, .nlookup = 1 };
	CHECK_EQ(ask(op_batch_forget,
		     (struct ask){ .arg = &arg, .data = ones, .data_len = sizeof(ones) }),
		 0);
	CHECK(inode_get(&world.fs.inodes, a) == NULL);
	CHECK(inode_get(&world.fs.inodes, b) == NULL);
	/* the row's next tenant isn't taken for the old one */
	again = look(ROOT, "a");
	CHECK(again != a && again != b);
	forget(a, 1);
	forget(b, 100);
	CHECK(inode_get(&world.fs.inodes, again) != NULL);
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = a, .name = "x" }), -ESTALE);
	forget(again, 1);
	/* a count that promises more than was sent */
	arg.count = 1000;
	CHECK_EQ(ask(op_batch_forget,
		     (struct ask){ .arg = &arg, .data = ones, .data_len = sizeof(ones) }),
		 0);
	forget(ROOT, 1000);
	CHECK(inode_get(&world.fs.inodes, ROOT) != NULL);
	world_end();
}

static void absent_names_may_be_remembered(void)
{
	world_make(16);
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = ROOT, .name = "x" }), -ENOENT);
	world.fs.entry_timeout_ns = 1500000000;
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = ROOT, .name = "x" }), 0);
	CHECK_EQ(entry_out()->nodeid, 0u);
	CHECK_EQ(entry_out()->entry_valid, 1u);
	CHECK_EQ(entry_out()->entry_valid_nsec, 500000000u);
	world_end();
}

static void symlinks_are_not_followed(void)
{
	struct fuse_link_in arg;
	uint64_t link;

	world_make(16);
	CHECK_EQ(ask(op_symlink, (struct ask){ .nodeid = ROOT, .name = "l", .name2 = "/etc" }), 0);
	CHECK(S_ISLNK(entry_out()->attr.mode));
	link = entry_out()->nodeid;
	CHECK_EQ(look(ROOT, "l"), link);
	CHECK_EQ(ask(op_readlink, (struct ask){ .nodeid = link }), 0);
	CHECK_EQ(world.out_len, 4u);
	CHECK_MEM(world.out, "/etc", 4);
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = link, .name = "passwd" }), -ENOTDIR);
	CHECK_EQ(create_file(root_user, ROOT, "l", O_WRONLY, 0644), -ESTALE);
	/* a hard link to the symlink itself */
	arg.oldnodeid = link;
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "m" }), 0);
	CHECK_EQ(entry_out()->nodeid, link);
	CHECK_EQ(entry_out()->attr.nlink, 2u);
	CHECK_EQ(ask(op_readlink, (struct ask){ .nodeid = ROOT }), -EINVAL);
	forget(link, 3);
	world_end();
}

static void what_is_made_is_its_callers(void)
{
	uint64_t dir;

	if (!can_act())
		return;
	world_make(16);
	for (int checked = 0; checked < 2; checked++) {
		const char *name = checked ? "d1" : "d0";

		world.fs.default_permissions = checked;
		world.umask = 027;
		CHECK_EQ(make_dir(some_user, ROOT, name, 0777), 0);
		CHECK_EQ(entry_out()->attr.uid, some_user.uid);
		CHECK_EQ(entry_out()->attr.gid, some_user.gid);
		CHECK_EQ(entry_out()->attr.mode & 07777, 0750u);
		forget(entry_out()->nodeid, 1);
		/* the kernel has applied it already */
		world.fs.dont_mask = false;
		CHECK_EQ(create_file(some_user, ROOT, checked ? "f1" : "f0", O_RDWR | O_EXCL, 0666),
			 0);
		CHECK_EQ(entry_out()->attr.mode & 07777, 0666u);
		CHECK_EQ(entry_out()->attr.uid, some_user.uid);
		dir = entry_out()->nodeid;
		release(created_fh());
		forget(dir, 1);
		world.fs.dont_mask = true;
	}
	/* and we are ourselves again */
	world.umask = 022;
	CHECK_EQ(make_dir(root_user, ROOT, "r", 0777), 0);
	CHECK_EQ(entry_out()->attr.uid, 0u);
	CHECK_EQ(entry_out()->attr.gid, 0u);
	forget(entry_out()->nodeid, 1);
	world_end();
}

static void setgid_directories_hand_on_their_group(void)
{
	uint64_t dir, made;

	if (!can_act())
		return;
	world_make(16);
	world.fs.default_permissions = true;
	CHECK(mkdir(backing("s"), 0777) == 0);
	CHECK(chown(backing("s"), 0, 4242) == 0);
	CHECK(chmod(backing("s"), 02777) == 0);
	dir = look(ROOT, "s");
	CHECK_EQ(create_file(some_user, dir, "f", O_RDWR, 0644), 0);
	CHECK_EQ(entry_out()->attr.uid, some_user.uid);
	CHECK_EQ(entry_out()->attr.gid, 4242u);
	made = entry_out()->nodeid;
	release(created_fh());
	forget(made, 1);
	CHECK_EQ(make_dir(some_user, dir, "d", 0755), 0);
	CHECK_EQ(entry_out()->attr.gid, 4242u);
	CHECK_EQ(entry_out()->attr.mode & 07777, 02755u);
	forget(entry_out()->nodeid, 1);
	forget(dir, 1);
	world_end();
}

static void callers_rights_count_where_nobody_checked(void)
{
	uint64_t dir;

	if (!can_act())
		return;
	world_make(16);
	CHECK(mkdir(backing("d"), 0700) == 0);
	CHECK(mkdir(backing("d/e"), 0777) == 0);
	dir = look(ROOT, "d");
	CHECK_EQ(ask(op_lookup, (struct ask){ .by = some_user, .nodeid = dir, .name = "e" }),
		 -EACCES);
	CHECK_EQ(make_dir(some_user, dir, "f", 0755), -EACCES);
	CHECK_EQ(ask(op_rmdir, (struct ask){ .by = some_user, .nodeid = dir, .name = "e" }),
		 -EACCES);
	/* what the kernel has allowed is done */
	world.fs.default_permissions = true;
	CHECK_EQ(ask(op_rmdir, (struct ask){ .by = some_user, .nodeid = dir, .name = "e" }), 0);
	forget(dir, 1);
	world_end();
}

static void sticky_directories_protect_names(void)
{
	if (!can_act())
		return;
	world_make(16);
	CHECK(chmod(world.path, 01777) == 0);
	touch("a");
	CHECK_EQ(ask(op_unlink, (struct ask){ .by = some_user, .nodeid = ROOT, .name = "a" }),
		 -EPERM);
	CHECK_EQ(ask(op_unlink, (struct ask){ .nodeid = ROOT, .name = "a" }), 0);
	world_end();
}

static void device_nodes_keep_their_numbers(void)
{
	struct fuse_mknod_in arg = { .mode = S_IFCHR | 0600, .umask = 0 };
	struct stat st;
	unsigned numbers[][2] = { { 1, 3 }, { 4000, 0x12345 } };

	world_make(16);
	for (size_t i = 0; i < 2; i++) {
		arg.rdev = (numbers[i][1] & 0xff) | numbers[i][0] << 8 |
			   (numbers[i][1] & ~0xffu) << 12;
		if (ask(op_mknod, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "n" }) ==
		    -EPERM) {
			SKIP("CAP_MKNOD");
			break;
		}
		CHECK_EQ(entry_out()->attr.rdev, arg.rdev);
		forget(entry_out()->nodeid, 1);
		CHECK(stat(backing("n"), &st) == 0);
		CHECK_EQ(major(st.st_rdev), numbers[i][0]);
		CHECK_EQ(minor(st.st_rdev), numbers[i][1]);
		/* never opened, whatever it is */
		CHECK_EQ(create_file(root_user, ROOT, "n", O_RDWR, 0644), -ESTALE);
		CHECK_EQ(remove_name("n"), 0);
	}
	world_end();
}

static void fifos_never_block_us(void)
{
	struct fuse_mknod_in arg = { .mode = S_IFIFO | 0600 };
	uint64_t fifo;

	world_make(16);
	CHECK_EQ(ask(op_mknod, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "p" }), 0);
	fifo = entry_out()->nodeid;
	CHECK_EQ(create_file(root_user, ROOT, "p", O_WRONLY, 0644), -ESTALE);
	CHECK_EQ(open_file(root_user, fifo, O_RDONLY), -EINVAL);
	forget(fifo, 1);
	world_end();
}

static void renames_keep_nodeids(void)
{
	struct fuse_rename_in arg = { .newdir = ROOT };
	uint64_t a, b;

	world_make(16);
	touch("a");
	touch("b");
	a = look(ROOT, "a");
	b = look(ROOT, "b");
	CHECK_EQ(rename_name("a", "b", RENAME_NOREPLACE), -EEXIST);
	CHECK_EQ(rename_name("a", "b", RENAME_EXCHANGE), 0);
	CHECK_EQ(look(ROOT, "b"), a);
	CHECK_EQ(look(ROOT, "a"), b);
	CHECK_EQ(rename_name("a", "c", 1u << 9), -EINVAL);
	/* over another one, which lives on until it is forgotten */
	CHECK_EQ(ask(op_rename,
		     (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "b", .name2 = "a" }),
		 0);
	CHECK_EQ(look(ROOT, "a"), a);
	CHECK(inode_get(&world.fs.inodes, b) != NULL);
	arg.newdir = 12345;
	CHECK_EQ(ask(op_rename,
		     (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "a", .name2 = "z" }),
		 -ESTALE);
	forget(a, 3);
	forget(b, 2);
	world_end();
}

static void a_full_table_refuses(void)
{
	char name[2] = "a";
	uint64_t nodeids[8];

	world_make(8);		      /* the root and seven more */
	world.fs.inodes.more_max = 0; /* as if there were no memory for others */
	for (unsigned i = 0; i < 8; i++, name[0]++)
		touch(name);
	name[0] = 'a';
	for (unsigned i = 0; i < 7; i++, name[0]++) {
		nodeids[i] = look(ROOT, name);
		/* beyond three quarters, prune.c is woken */
		CHECK_EQ(atomic_load(&world.fs.inodes.pressed), i + 2 > 6);
	}
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = ROOT, .name = "h" }), -ENFILE);
	CHECK_EQ(atomic_load(&world.fs.inodes.refusals), 1u);
	CHECK_EQ(look(ROOT, "a"), nodeids[0]);
	forget(nodeids[0], 2);
	nodeids[0] = look(ROOT, "h");
	for (unsigned i = 0; i < 7; i++)
		forget(nodeids[i], 1);
	world_end();
}

static int look_inline(const char *name)
{
	return ask(op_lookup, (struct ask){ .nodeid = ROOT, .name = name, .nonblocking = true });
}

/* Whatever would take more than what is in memory is left to who may wait for it. */
/* What can't be answered with a nodeid isn't made; a second name needs none. */
static void a_full_table_makes_nothing(void)
{
	struct fuse_mknod_in mknod_in = { .mode = S_IFIFO | 0600 };
	struct fuse_link_in link_in;
	uint64_t f;

	world_make(2);
	world.fs.inodes.more_max = 0; /* and no more rows can be made */
	touch("f");
	f = look(ROOT, "f");
	CHECK_EQ(make_dir(root_user, ROOT, "n", 0755), -ENFILE);
	CHECK_EQ(ask(op_mknod, (struct ask){ .nodeid = ROOT, .arg = &mknod_in, .name = "n" }),
		 -ENFILE);
	CHECK_EQ(ask(op_symlink, (struct ask){ .nodeid = ROOT, .name = "n", .name2 = "target" }),
		 -ENFILE);
	CHECK(faccessat(AT_FDCWD, backing("n"), F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT);
	link_in.oldnodeid = f;
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = ROOT, .arg = &link_in, .name = "n" }), 0);
	CHECK_EQ(entry_out()->nodeid, f);
	CHECK_EQ(ask(op_unlink, (struct ask){ .nodeid = ROOT, .name = "n" }), 0);
	forget(f, 2);
	/* a row that was set aside for what failed has been given back */
	CHECK(mkdir(backing("d"), 0700) == 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(make_dir(root_user, ROOT, "d", 0755), -EEXIST);
	CHECK_EQ(make_dir(root_user, ROOT, "n", 0755), 0);
	forget(entry_out()->nodeid, 1);
	world_end();
}

static void inline_lookups_find_what_is_cached(void)
{
	struct inode *root;
	uint64_t a;

	world_make(8);
	world.fs.default_permissions = world.fs.store.local = true;
	touch("a");
	CHECK_EQ(look_inline("a"), CALL_WAITS); /* whether the directory has zones isn't known */
	a = look(ROOT, "a");
	CHECK_EQ(look_inline("a"), 0);
	CHECK_EQ(world.out_len, sizeof(struct fuse_entry_out));
	CHECK_EQ(entry_out()->nodeid, a);
	CHECK_EQ(inode_get(&world.fs.inodes, a)->nlookup, 2u);
	CHECK_EQ(look_inline("never-asked-for"), CALL_WAITS);

	world.fs.default_permissions = false;
	CHECK_EQ(look_inline("a"), CALL_WAITS);
	world.fs.default_permissions = true;
	world.fs.store.local = false;
	CHECK_EQ(look_inline("a"), CALL_WAITS);
	world.fs.store.local = true;
	root = inode_get(&world.fs.inodes, ROOT);
	atomic_store(&root->zone.kind, ZONE_DIRECTORY);
	CHECK_EQ(look_inline("a"), CALL_WAITS);
	atomic_store(&root->zone.kind, ZONE_NONE);
	atomic_fetch_add(&world.fs.inodes.used, 5);
	CHECK_EQ(look_inline("a"), CALL_WAITS);
	atomic_fetch_sub(&world.fs.inodes.used, 5);
	CHECK_EQ(look_inline("a"), 0);
	forget(a, 3);
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(hard_links_share_a_nodeid);
	RUN(forgets_count_exactly);
	RUN(absent_names_may_be_remembered);
	RUN(symlinks_are_not_followed);
	RUN(what_is_made_is_its_callers);
	RUN(setgid_directories_hand_on_their_group);
	RUN(callers_rights_count_where_nobody_checked);
	RUN(sticky_directories_protect_names);
	RUN(device_nodes_keep_their_numbers);
	RUN(fifos_never_block_us);
	RUN(renames_keep_nodeids);
	RUN(a_full_table_refuses);
	RUN(a_full_table_makes_nothing);
	RUN(inline_lookups_find_what_is_cached);
	return test_result();
}
