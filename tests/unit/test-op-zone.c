/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Zoned directories by way of the handlers: what is recognised as a zone and when, which names stay
 * as they are, sizes, and that the mark is out of reach.
 */
#include "handlers/op-zone.h"

#include <linux/fs.h>
#include <sys/fsuid.h>
#include <sys/xattr.h>

#include "handlers/op-attr.h"
#include "handlers/op-xattr.h"
#include "op-fixture.h"
#include "store/zone-mark.h"

#define MIB (1ull << 20)

static const struct zone_geometry geometry = {
	.zone_len = MIB * 4,
	.capacity_len = MIB * 3,
	.zones = 4,
	.conventional = 1,
};

static uint64_t zoned; /* nodeid of the marked directory, one lookup counted */

static void touch(const char *name, uint64_t len)
{
	int fd = open(backing(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0 && close(fd) == 0);
}

/* A marked directory "z" with its zones, beside an ordinary one, "d". False: said SKIP. */
static bool zoned_make(void)
{
	char name[ZONE_NAME_LEN], path[2 + ZONE_NAME_LEN];
	int fd, r;

	world_make(16);
	CHECK(mkdir(backing("z"), 0777) == 0 && mkdir(backing("d"), 0777) == 0);
	CHECK(chmod(backing("z"), 0755) == 0);
	fd = open(backing("z"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(fd >= 0);
	r = zone_mark_write(fd, &geometry);
	CHECK(close(fd) == 0);
	if (r == -EOPNOTSUPP) {
		SKIP("extended attributes in %s", world.path);
		world_end();
		return false;
	}
	CHECK_EQ(r, 0);
	for (uint32_t i = 0; i < geometry.zones; i++) {
		zone_name(&geometry, i, name);
		CHECK(snprintf(path, sizeof(path), "z/%s", name) > 0);
		touch(path, i < geometry.conventional ? geometry.zone_len : 0);
	}
	touch("z/other", 0);
	atomic_store(&world.fs.zone_refusals, 0);
	zoned = look(ROOT, "z");
	return true;
}

static void zoned_end(void)
{
	forget(zoned, 1);
	world_end();
}

static struct zone *zone_of(uint64_t nodeid)
{
	struct inode *inode = inode_get(&world.fs.inodes, nodeid);

	CHECK(inode != NULL);
	return &inode->zone;
}

static uint64_t size_below(const char *name)
{
	struct stat st;

	CHECK(stat(backing(name), &st) == 0);
	return (uint64_t)st.st_size;
}

/* Through the open file FH, or by name where that is 0. */
static int set_size(uint64_t nodeid, uint64_t fh, uint64_t size)
{
	struct fuse_setattr_in arg = {
		.valid = FATTR_SIZE | (fh ? FATTR_FH : 0),
		.fh = fh,
		.size = size,
	};

	return ask(op_setattr, (struct ask){ .nodeid = nodeid, .arg = &arg });
}

static uint64_t refusals(void)
{
	return atomic_load(&world.fs.zone_refusals);
}

static void files_of_a_marked_directory_are_zones(void)
{
	uint64_t cnv, seq, other, plain;

	if (!zoned_make())
		return;
	cnv = look(zoned, "cnv-000000");
	seq = look(zoned, "seq-000003");
	other = look(zoned, "other");
	touch("d/seq-000003", 0);
	plain = look(ROOT, "d");
	CHECK_EQ(zone_kind(zone_of(cnv)), ZONE_CONVENTIONAL);
	CHECK_EQ(zone_kind(zone_of(seq)), ZONE_SEQUENTIAL);
	CHECK_EQ(zone_of(seq)->len, geometry.zone_len);
	CHECK_EQ(zone_of(seq)->capacity_len, geometry.capacity_len);
	CHECK(!zone_is_file(zone_of(other)));
	forget(other, 1);
	other = look(plain, "seq-000003");
	CHECK(!zone_is_file(zone_of(other)));
	CHECK_EQ(zone_kind(zone_of(plain)), ZONE_NONE);
	CHECK_EQ(zone_kind(zone_of(zoned)), ZONE_DIRECTORY);
	CHECK_EQ(refusals(), 0u);
	forget(other, 1);
	forget(plain, 1);
	forget(cnv, 1);
	forget(seq, 1);
	/* the row's next tenant is no zone */
	touch("d/f", 0);
	plain = look(ROOT, "d");
	other = look(plain, "f");
	CHECK(!zone_is_file(zone_of(other)));
	forget(other, 1);
	forget(plain, 1);
	zoned_end();
}

/* Asked while the daemon itself is nobody in particular. */
static int ask_nobody(int (*handler)(struct call *), uint64_t dir, const char *name)
{
	int r;

	setfsuid(some_user.uid); /* takes off CAP_DAC_READ_SEARCH as well */
	r = ask(handler, (struct ask){ .nodeid = dir, .name = name });
	setfsuid(0);
	return r;
}

/* The daemon may search a directory, but not read whether it is marked. */
static void what_may_be_a_zone_is_not_served(void)
{
	uint64_t plain;

	if (geteuid() != 0) {
		SKIP("not root: somebody else's directory");
		return;
	}
	if (!zoned_make())
		return;
	CHECK(chmod(backing("z"), 0711) == 0 && chmod(backing("d"), 0733) == 0);
	touch("d/seq-000001", 0);
	touch("d/other", 0);
	plain = look(ROOT, "d");
	CHECK_EQ(ask_nobody(op_lookup, zoned, "seq-000001"), -EACCES);
	CHECK_EQ(zone_kind(zone_of(zoned)), ZONE_UNKNOWN);
	CHECK_EQ(ask_nobody(op_lookup, plain, "seq-000001"), -EACCES);
	CHECK_EQ(ask_nobody(op_unlink, plain, "seq-000001"), -EACCES);
	CHECK_EQ(refusals(), 3u);
	CHECK_EQ(ask_nobody(op_unlink, plain, "other"), 0);
	/* nothing of this is remembered */
	forget(look(zoned, "seq-000001"), 1);
	CHECK_EQ(zone_kind(zone_of(zoned)), ZONE_DIRECTORY);
	forget(plain, 1);
	zoned_end();
}

static int look_for_zone(void)
{
	int r = ask(op_lookup, (struct ask){ .nodeid = zoned, .name = "seq-000001" });

	if (r == 0) {
		CHECK_EQ(zone_kind(zone_of(entry_out()->nodeid)), ZONE_SEQUENTIAL);
		forget(entry_out()->nodeid, 1);
	}
	return r;
}

/* Who may make names in a marked directory can't make another's file a zone. */
static void others_files_are_no_zones(void)
{
	enum { MAKER = 61003, OTHER = 61004 };
	static const struct {
		uid_t dir, file;
		mode_t mode;
		bool linked;
		int wanted;
	} cases[] = {
		/* root alone may have put it there */
		{ 0, OTHER, 0755, true, 0 },
		{ 0, 0, 0755, true, 0 },
		{ 0, 0, 0775, false, 0 },
		{ 0, 0, 0775, true, -EPERM },
		{ 0, OTHER, 01777, false, -EPERM },
		/* as `caisson zoned create` makes it in another's directory */
		{ MAKER, 0, 0755, false, 0 },
		{ MAKER, 0, 0755, true, -EPERM },
		{ MAKER, MAKER, 0755, false, 0 },
		{ MAKER, MAKER, 0755, true, -EPERM },
		{ MAKER, OTHER, 0755, false, -EPERM },
		{ MAKER, OTHER, 0755, true, -EPERM },
	};

	if (geteuid() != 0) {
		SKIP("not root: others' files");
		return;
	}
	if (!zoned_make())
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = refusals();

		CHECK(chown(backing("z"), cases[i].dir, 0) == 0);
		CHECK(chmod(backing("z"), cases[i].mode) == 0);
		CHECK(chown(backing("z/seq-000001"), cases[i].file, 0) == 0);
		if (cases[i].linked)
			CHECK(link(backing("z/seq-000001"), backing("d/victim")) == 0);
		CHECK_EQ(look_for_zone(), cases[i].wanted);
		CHECK_EQ(refusals() - before, cases[i].wanted ? 1u : 0u);
		CHECK_EQ(atomic_load(&world.fs.inodes.used), 2u); /* the root and "z" */
		if (cases[i].linked)
			CHECK(unlink(backing("d/victim")) == 0);
	}
	zoned_end();
}

/* Nor what its owner has open as something else, wherever its name has gone. */
static void open_files_become_no_zones(void)
{
	uint64_t d, f, fh;

	if (!zoned_make())
		return;
	touch("d/f", 100);
	d = look(ROOT, "d");
	f = look(d, "f");
	CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
	fh = opened_fh();
	CHECK(rename(backing("d/f"), backing("z/seq-000001")) == 0);
	CHECK_EQ(look_for_zone(), -EBUSY);
	CHECK(!zone_is_file(zone_of(f)));
	release(fh);
	CHECK_EQ(look_for_zone(), 0);
	forget(f, 1);
	forget(d, 1);
	zoned_end();
}

static void root_may_be_marked(void)
{
	static const char mark[] =
		"1 zone_size=4194304 zone_capacity=4194304 conventional=0 zones=2";
	uint64_t seq;

	world_make(8);
	if (setxattr(world.path, ZONE_MARK_NAME, mark, sizeof(mark) - 1, 0) == 0) {
		touch("seq-000001", 0);
		seq = look(ROOT, "seq-000001");
		CHECK_EQ(zone_kind(zone_of(seq)), ZONE_SEQUENTIAL);
		forget(seq, 1);
	} else {
		CHECK(errno == EOPNOTSUPP);
		SKIP("extended attributes in %s", world.path);
	}
	world_end();
}

static void unsound_mark_lets_nobody_in(void)
{
	uint64_t d;

	if (!zoned_make())
		return;
	touch("d/seq-000001", 0);
	CHECK(setxattr(backing("d"), ZONE_MARK_NAME, "1 zone_size=7", 13, 0) == 0);
	d = look(ROOT, "d");
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = d, .name = "seq-000001" }), -EIO);
	CHECK_EQ(create_file(root_user, d, "new", O_RDWR, 0600), -EIO);
	forget(d, 1);

	/* gone between the directory's first look-up and the file's */
	(void)look(zoned, "other");
	CHECK(removexattr(backing("z"), ZONE_MARK_NAME) == 0);
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = zoned, .name = "seq-000001" }), -EIO);
	forget(look(zoned, "other"), 2);
	zoned_end();
}

static void names_stay_as_they_are(void)
{
	struct fuse_rename2_in exchange = { .flags = RENAME_EXCHANGE };
	struct fuse_rename_in rename_in = { 0 };
	struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0600 };
	struct fuse_create_in tmpfile_in = { .flags = O_RDWR, .mode = S_IFREG | 0600 };
	struct fuse_link_in link_in = { 0 };
	uint64_t d, seq, n = 0;

	if (!zoned_make())
		return;
	touch("d/f", 0);
	d = look(ROOT, "d");
	seq = look(zoned, "seq-000001");

	CHECK_EQ(create_file(root_user, zoned, "new", O_RDWR, 0600), -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(create_file(root_user, zoned, "seq-000001", O_RDWR, 0600), -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_tmpfile, (struct ask){ .nodeid = zoned, .arg = &tmpfile_in }), -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_mknod, (struct ask){ .nodeid = zoned, .arg = &mknod_in, .name = "new" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(make_dir(root_user, zoned, "new", 0700), -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_symlink, (struct ask){ .nodeid = zoned, .name = "new", .name2 = "to" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_unlink, (struct ask){ .nodeid = zoned, .name = "seq-000001" }), -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_rmdir, (struct ask){ .nodeid = zoned, .name = "seq-000001" }), -EPERM);
	CHECK_EQ(refusals(), ++n);

	/* within, out of, into, and exchanged */
	rename_in.newdir = zoned;
	CHECK_EQ(ask(op_rename, (struct ask){ .nodeid = zoned,
					      .arg = &rename_in,
					      .name = "seq-000001",
					      .name2 = "seq-000002" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(ask(op_rename,
		     (struct ask){
			     .nodeid = d, .arg = &rename_in, .name = "f", .name2 = "seq-000001" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	rename_in.newdir = d;
	CHECK_EQ(ask(op_rename, (struct ask){ .nodeid = zoned,
					      .arg = &rename_in,
					      .name = "seq-000001",
					      .name2 = "f" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	exchange.newdir = zoned;
	CHECK_EQ(ask(op_rename2,
		     (struct ask){
			     .nodeid = d, .arg = &exchange, .name = "f", .name2 = "seq-000001" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);

	/* links: of a zone to elsewhere, of something else to here */
	link_in.oldnodeid = seq;
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = d, .arg = &link_in, .name = "l" }), -EPERM);
	CHECK_EQ(refusals(), ++n);
	link_in.oldnodeid = look(d, "f");
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = zoned, .arg = &link_in, .name = "l" }),
		 -EPERM);
	CHECK_EQ(refusals(), ++n);
	forget(link_in.oldnodeid, 1);

	/* the directory as a whole may move */
	rename_in.newdir = d;
	CHECK_EQ(ask(op_rename,
		     (struct ask){ .nodeid = ROOT, .arg = &rename_in, .name = "z", .name2 = "z2" }),
		 0);
	CHECK_EQ(refusals(), n);
	CHECK(access(backing("d/z2/seq-000001"), F_OK) == 0);
	forget(d, 1);
	forget(seq, 1);
	zoned_end();
}

static void mark_is_out_of_reach(void)
{
	struct fuse_setxattr_in set = { .size = 1 };
	struct fuse_getxattr_in get = { .size = ZONE_MARK_LEN };
	struct ask what = { .nodeid = ROOT, .name = ZONE_MARK_NAME };

	if (!zoned_make())
		return;
	what.nodeid = zoned;
	CHECK_EQ(ask(op_removexattr, what), -EPERM);
	what.arg = &set;
	what.data = "x";
	what.data_len = 1;
	CHECK_EQ(ask(op_setxattr, what), -EPERM);
	what.nodeid = ROOT; /* nor may anybody mark one */
	CHECK_EQ(ask(op_setxattr, what), -EPERM);
	CHECK_EQ(refusals(), 3u);
	what = (struct ask){ .nodeid = zoned, .arg = &get, .name = ZONE_MARK_NAME };
	CHECK_EQ(ask(op_getxattr, what), 0);
	CHECK(world.out_len > 20);
	zoned_end();
}

/* Whether or not somebody has the zone open. */
static void sizes_are_those_of_zones(void)
{
	uint64_t cnv, seq, fh = 0, n = 0;

	if (!zoned_make())
		return;
	cnv = look(zoned, "cnv-000000");
	seq = look(zoned, "seq-000001");
	for (int open = 0; open < 2; open++) {
		if (open) {
			CHECK_EQ(open_file(root_user, seq, O_RDWR), 0);
			fh = opened_fh();
		}
		CHECK_EQ(set_size(seq, fh, 4096), -EIO);
		CHECK_EQ(refusals(), ++n);
		CHECK_EQ(size_below("z/seq-000001"), 0u);
		CHECK_EQ(set_size(seq, fh, geometry.capacity_len), 0);
		CHECK_EQ(size_below("z/seq-000001"), geometry.capacity_len);
		CHECK_EQ(set_size(seq, fh, geometry.capacity_len - 4096), -EIO);
		CHECK_EQ(refusals(), ++n);
		CHECK_EQ(set_size(seq, fh, 0), 0);
		CHECK_EQ(size_below("z/seq-000001"), 0u);
		/* what zloop finishes with: the answer tells the size that it has now */
		CHECK_EQ(set_size(seq, fh, geometry.zone_len), 0);
		CHECK_EQ(((struct fuse_attr_out *)world.out)->attr.size, geometry.capacity_len);
		CHECK_EQ(size_below("z/seq-000001"), geometry.capacity_len);
		CHECK_EQ(set_size(seq, fh, geometry.zone_len + 4096), -EIO);
		CHECK_EQ(refusals(), ++n);
		CHECK_EQ(set_size(seq, fh, 0), 0);
		CHECK_EQ(zone_state(zone_of(seq)), open ? ZONE_IDLE : ZONE_UNREAD);
	}
	release(fh);
	CHECK_EQ(zone_state(zone_of(seq)), ZONE_UNREAD);
	CHECK_EQ(set_size(cnv, 0, geometry.zone_len), 0);
	CHECK_EQ(refusals(), n);
	CHECK_EQ(set_size(cnv, 0, 0), -EIO);
	CHECK_EQ(refusals(), ++n);
	CHECK_EQ(size_below("z/cnv-000000"), geometry.zone_len);
	forget(cnv, 1);
	forget(seq, 1);
	zoned_end();
}

static void opening_tells_the_write_pointer(void)
{
	uint64_t seq, fh, second;
	struct zone *zone;

	if (!zoned_make())
		return;
	seq = look(zoned, "seq-000002");
	zone = zone_of(seq);
	touch("z/seq-000002", 8192); /* behind the mount's back, while nobody has it open */
	CHECK_EQ(open_file(root_user, seq, O_RDONLY), 0);
	fh = opened_fh();
	CHECK_EQ(zone_state(zone), ZONE_IDLE);
	CHECK_EQ(zone->wp, 8192u);
	CHECK_EQ(open_file(root_user, seq, O_RDWR), 0);
	second = opened_fh();
	release(fh);
	CHECK_EQ(zone_state(zone), ZONE_IDLE);
	release(second);
	CHECK_EQ(zone_state(zone), ZONE_UNREAD);

	touch("z/seq-000002", 100);
	CHECK_EQ(open_file(root_user, seq, O_RDWR), 0);
	fh = opened_fh();
	CHECK_EQ(zone_state(zone), ZONE_LOST);
	CHECK_EQ(set_size(seq, fh, 0), 0);
	CHECK_EQ(zone_state(zone), ZONE_IDLE);
	release(fh);

	/* O_TRUNC, which comes as a new size without a handle, is a reset, and nothing else */
	touch("z/seq-000002", 8192);
	CHECK_EQ(open_file(root_user, seq, O_WRONLY), 0);
	fh = opened_fh();
	CHECK_EQ(zone->wp, 8192u);
	CHECK_EQ(set_size(seq, 0, 0), 0);
	CHECK_EQ(size_below("z/seq-000002"), 0u);
	CHECK_EQ(zone->wp, 0u);
	release(fh);
	forget(seq, 1);
	zoned_end();
}

static void failed_write_is_cut_off(void)
{
	struct fuse_write_in arg = { .size = 8192, .offset = 4096 };
	uint64_t seq, fh;
	struct zone *zone;

	if (!zoned_make())
		return;
	touch("z/seq-000001", 4096);
	seq = look(zoned, "seq-000001");
	zone = zone_of(seq);
	CHECK_EQ(open_file(root_user, seq, O_RDWR), 0);
	arg.fh = fh = opened_fh();
	CHECK_EQ(zone_write_begin(zone, arg.offset, arg.size), 0);
	touch("z/seq-000001", 4096 + 512); /* what got to the disk */
	CHECK(zone_write_end(zone, arg.size, 512, -ENOSPC));
	CHECK_EQ(ask(op_zone_repair, (struct ask){ .nodeid = seq, .arg = &arg }), -ENOSPC);
	CHECK_EQ(size_below("z/seq-000001"), 4096u);
	CHECK_EQ(zone_state(zone), ZONE_IDLE);
	CHECK_EQ(zone->wp, 4096u);
	release(fh);
	forget(seq, 1);
	zoned_end();
}

/* The kernel then reads and writes, and the writes are asked about. */
static void copying_into_a_zone_is_left_to_the_kernel(void)
{
	struct fuse_copy_file_range_in arg = { .len = 4096 };
	uint64_t other, seq;

	if (!zoned_make())
		return;
	touch("z/other", 4096);
	other = look(zoned, "other");
	seq = look(zoned, "seq-000001");
	CHECK_EQ(open_file(root_user, other, O_RDWR), 0);
	arg.fh_in = opened_fh();
	CHECK_EQ(open_file(root_user, seq, O_RDWR), 0);
	arg.fh_out = opened_fh();
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .nodeid = other, .arg = &arg }),
		 -EOPNOTSUPP);
	CHECK_EQ(size_below("z/seq-000001"), 0u);
	release(arg.fh_in);
	release(arg.fh_out);
	forget(other, 1);
	forget(seq, 1);
	zoned_end();
}

int main(void)
{
	fixture_init();
	RUN(files_of_a_marked_directory_are_zones);
	RUN(others_files_are_no_zones);
	RUN(open_files_become_no_zones);
	RUN(root_may_be_marked);
	RUN(unsound_mark_lets_nobody_in);
	RUN(what_may_be_a_zone_is_not_served);
	RUN(names_stay_as_they_are);
	RUN(mark_is_out_of_reach);
	RUN(sizes_are_those_of_zones);
	RUN(opening_tells_the_write_pointer);
	RUN(failed_write_is_cut_off);
	RUN(copying_into_a_zone_is_left_to_the_kernel);
	return test_result();
}
