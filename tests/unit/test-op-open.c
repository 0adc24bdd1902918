/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files: which descriptors with which flags, creation, errors told once, copying, holes. */
#include "handlers/op-open.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/macro.h"
#include "handlers/op-attr.h"
#include "op-fixture.h"

static struct file *file_of(uint64_t fh)
{
	struct file *file = file_get(&world.fs.files, fh);

	CHECK(file != NULL);
	return file;
}

static int flags_of(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(flags >= 0);
	return flags;
}

/* A file "f" with MODE; its nodeid, one lookup counted. */
static uint64_t make_file(mode_t mode)
{
	int fd = open(backing("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(fchmod(fd, mode) == 0);
	CHECK(close(fd) == 0);
	return look(ROOT, "f");
}

/* What the kernel asks for, behind OPEN, where a file is opened with O_TRUNC. */
static int truncate_file(struct asker by, uint64_t f)
{
	struct fuse_setattr_in arg = { .valid = FATTR_SIZE };

	return ask(op_setattr, (struct ask){ .by = by, .nodeid = f, .arg = &arg });
}

static bool backing_takes_direct(void)
{
	int fd = open(backing("probe"), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	if (fd >= 0)
		CHECK(close(fd) == 0);
	return fd >= 0;
}

/* Opens the file F with FLAGS: its handle, and the answer's flags. */
static uint64_t open_with(uint64_t f, uint32_t flags, uint32_t *ret_open_flags)
{
	CHECK_EQ(open_file(root_user, f, flags), 0);
	*ret_open_flags = ((struct fuse_open_out *)world.out)->open_flags;
	return opened_fh();
}

/* Files share the page cache above with their mappings, unless the client goes around it. */
static void opens_share_the_cache(void)
{
	uint32_t flags;
	uint64_t f;

	world_make(8);
	f = make_file(0644);
	release(open_with(f, O_RDWR, &flags));
	CHECK_EQ(flags, (uint32_t)FOPEN_KEEP_CACHE);
	/* a kernel that lets one direct write in at a time is as quick through its cache */
	release(open_with(f, O_RDWR | O_DIRECT, &flags));
	CHECK_EQ(flags, (uint32_t)FOPEN_KEEP_CACHE);
	world.fs.parallel_direct_writes = true;
	release(open_with(f, O_RDONLY, &flags));
	CHECK_EQ(flags, (uint32_t)FOPEN_KEEP_CACHE);
	release(open_with(f, O_RDWR | O_DIRECT, &flags));
	CHECK_EQ(flags,
		 (uint32_t)(FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_KEEP_CACHE));
	forget(f, 1);
	world_end();
}

/* Somebody may have it open through the cache since before another mount of it was looked up. */
static void a_file_of_two_mounts_keeps_its_pages(void)
{
	struct inode *inode;
	uint32_t flags;
	uint64_t f, fh;

	world_make(8);
	f = make_file(0644);
	fh = open_with(f, O_RDWR, &flags);
	inode = inode_at(&world.fs.inodes, file_get(&world.fs.files, fh)->inode);
	inode->sharers = 1;
	release(open_with(f, O_RDONLY, &flags));
	CHECK_EQ(flags, (uint32_t)(FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE));
	inode->sharers = 0;
	release(fh);
	forget(f, 1);
	world_end();
}

static void cache_none_opens_both_ways(void)
{
	struct file *file;
	uint64_t f, fh;

	world_make(8);
	world.fs.cache = CACHE_NONE;
	world.fs.parallel_direct_writes = true;
	f = make_file(0644);
	CHECK_EQ(open_file(root_user, f, O_RDWR | O_APPEND | O_NONBLOCK | O_NOFOLLOW), 0);
	fh = opened_fh();
	file = file_of(fh);
	if (backing_takes_direct()) {
		CHECK(flags_of(file->fd) & O_DIRECT);
		CHECK(file->dio_off_align >= 512 && file->dio_mem_align > 0);
		CHECK(file->buffered_fd >= 0);
		CHECK_EQ(flags_of(file->buffered_fd) & (O_DIRECT | O_ACCMODE), O_RDWR);
	} else {
		CHECK_EQ(file->buffered_fd, -1);
		CHECK_EQ(file->dio_off_align, 0u);
	}
	CHECK_EQ(flags_of(file->fd) & (O_APPEND | O_NONBLOCK | O_ACCMODE), O_RDWR);
	release(fh);

	/* the same when it is created, by a caller whom its mode then denies it */
	CHECK_EQ(create_file(some_user, ROOT, "g", O_RDWR | O_EXCL, 0444), 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	file = file_of(fh);
	CHECK_EQ(flags_of(file->fd) & O_ACCMODE, O_RDWR);
	/* a daemon that is nobody special can't open it a second time, and keeps what it has */
	CHECK_EQ((flags_of(file->fd) & O_DIRECT) != 0,
		 creds_act_for_callers() && backing_takes_direct());
	CHECK(pwrite(file_buffered_fd(file), "x", 1, 0) == 1);
	release(fh);
	forget(f, 1);
	forget(look(ROOT, "f"), 2);
	world_end();
}

static void cached_modes_open_once(void)
{
	struct file *file;
	uint64_t f, fh;

	world_make(8);
	f = make_file(0644);
	CHECK_EQ(open_file(root_user, f, O_WRONLY | O_SYNC | O_DIRECT), 0);
	fh = opened_fh();
	file = file_of(fh);
	CHECK_EQ(file->buffered_fd, -1);
	CHECK_EQ(file->dio_off_align, 0u);
	CHECK_EQ(flags_of(file->fd) & (O_DIRECT | O_SYNC | O_ACCMODE), O_SYNC | O_WRONLY);
	release(fh);
	CHECK(file_get(&world.fs.files, fh) == NULL);
	forget(f, 1);
	world_end();
}

static void rights_are_the_callers(void)
{
	uint64_t f;

	if (!can_act())
		return;
	world_make(8);
	f = make_file(0604);
	CHECK_EQ(open_file(some_user, f, O_RDWR), -EACCES);
	CHECK_EQ(open_file(some_user, f, O_RDONLY), 0);
	release(opened_fh());
	CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
	release(opened_fh());
	world.fs.default_permissions = true;
	CHECK_EQ(open_file(some_user, f, O_RDWR), 0);
	release(opened_fh());
	forget(f, 1);
	world_end();
}

static void programs_need_not_be_readable_to_be_executed(void)
{
	const int to_execute = 040;
	uint64_t f;

	if (!can_act())
		return;
	world_make(8);
	world.fs.cache = CACHE_NONE;
	f = make_file(0711);
	CHECK_EQ(open_file(some_user, f, O_RDONLY), -EACCES);
	CHECK_EQ(open_file(some_user, f, O_RDONLY | to_execute), 0);
	release(opened_fh());
	CHECK(chmod(backing("f"), 0700) == 0);
	CHECK_EQ(open_file(some_user, f, O_RDONLY | to_execute), -EACCES);
	forget(f, 1);
	world_end();
}

static void an_unlinked_open_file_goes_on(void)
{
	uint64_t f, fh;
	char c;

	world_make(8);
	CHECK_EQ(create_file(root_user, ROOT, "f", O_RDWR, 0600), 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	CHECK_EQ(ask(op_unlink, (struct ask){ .nodeid = ROOT, .name = "f" }), 0);
	CHECK(pwrite(file_of(fh)->fd, "x", 1, 0) == 1);
	/* opened once more, without a name */
	CHECK_EQ(open_file(root_user, f, O_RDONLY), 0);
	CHECK(pread(file_of(opened_fh())->fd, &c, 1, 0) == 1 && c == 'x');
	release(opened_fh());
	forget(f, 1);
	release(fh);
	CHECK_EQ(open_file(root_user, f, O_RDONLY), -ESTALE);
	world_end();
}

/* Whatever it is: the kernel has not seen it, and so has not checked it. */
static void creating_leaves_alone_what_is_there(void)
{
	static const char *const names[] = { "f", "d", "link", "dangling", "p" };
	struct stat st;

	world_make(8);
	forget(make_file(0600), 1);
	CHECK(truncate(backing("f"), 10) == 0);
	CHECK(mkdir(backing("d"), 0755) == 0);
	CHECK(symlink("f", backing("link")) == 0);
	CHECK(symlink("nowhere", backing("dangling")) == 0);
	CHECK(mkfifo(backing("p"), 0600) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK_EQ(create_file(root_user, ROOT, names[i], O_RDWR | O_EXCL, 0600), -EEXIST);
		CHECK_EQ(create_file(root_user, ROOT, names[i], O_RDWR | O_TRUNC, 0644), -ESTALE);
		CHECK_EQ(create_file(some_user, ROOT, names[i], O_RDONLY, 0644), -ESTALE);
	}
	CHECK(stat(backing("f"), &st) == 0);
	CHECK_EQ(st.st_size, 10);
	CHECK_EQ(st.st_mode & 07777, 0600u);
	CHECK(access(backing("nowhere"), F_OK) < 0 && errno == ENOENT);
	world_end();
}

static void nameless_files_can_get_a_name(void)
{
	struct fuse_create_in arg = { .flags = O_TMPFILE | O_RDWR, .mode = S_IFREG | 0640 };
	struct fuse_link_in link_in;
	uint64_t fh, f;
	int r;

	world_make(8);
	r = ask(op_tmpfile, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "/" });
	if (r == -EOPNOTSUPP) {
		SKIP("O_TMPFILE in %s", world.path);
		world_end();
		return;
	}
	CHECK_EQ(r, 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	CHECK_EQ(entry_out()->attr.nlink, 0u);
	CHECK_EQ(entry_out()->attr.mode, (uint32_t)(S_IFREG | 0640));
	link_in.oldnodeid = f;
	CHECK_EQ(ask(op_link, (struct ask){ .nodeid = ROOT, .arg = &link_in, .name = "t" }), 0);
	CHECK_EQ(entry_out()->nodeid, f);
	CHECK_EQ(entry_out()->attr.nlink, 1u);
	release(fh);
	forget(f, 2);
	world_end();
}

static int flush(uint64_t fh)
{
	struct fuse_flush_in arg = { .fh = fh, .lock_owner = 77 };

	return ask(op_flush, (struct ask){ .nodeid = ROOT, .arg = &arg });
}

static void inline_closing_is_for_local_files(void)
{
	uint64_t f, fh;
	struct fuse_flush_in arg;
	struct ask inline_ask = { .nodeid = ROOT, .arg = &arg, .nonblocking = true };

	world_make(8);
	world.fs.store.local = true;
	f = make_file(0600);
	CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
	fh = opened_fh();
	arg = (struct fuse_flush_in){ .fh = fh, .lock_owner = 77 };
	world.fs.store.local = false;
	CHECK_EQ(ask(op_flush, inline_ask), CALL_WAITS);
	world.fs.store.local = true;
	CHECK_EQ(ask(op_flush, inline_ask), 0);
	release(fh);
	forget(f, 1);
	world_end();
}

static void closing_tells_errors_once(void)
{
	struct fuse_release_in arg;
	uint64_t f, fh[2];

	world_make(8);
	f = make_file(0600);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
		fh[i] = opened_fh();
	}
	CHECK_EQ(flush(fh[0]), 0);
	inode_record_error(inode_get(&world.fs.inodes, f), -EIO);
	CHECK_EQ(flush(fh[0]), -EIO);
	CHECK_EQ(flush(fh[0]), 0);
	CHECK_EQ(flush(fh[1]), -EIO);
	CHECK_EQ(flush(fh[1]), 0);
	arg = (struct fuse_release_in){ .fh = fh[0] };
	CHECK_EQ(ask(op_release, (struct ask){ .nodeid = f, .arg = &arg }), 0);
	CHECK_EQ(ask(op_release, (struct ask){ .nodeid = f, .arg = &arg }), -EBADF);
	release(fh[1]);
	forget(f, 1);
	world_end();
}

static int seek_file(uint64_t fh, uint64_t off, uint32_t whence)
{
	struct fuse_lseek_in arg = { .fh = fh, .offset = off, .whence = whence };

	return ask(op_lseek, (struct ask){ .nodeid = ROOT, .arg = &arg });
}

static void holes_are_found(void)
{
	const struct fuse_lseek_out *out = (const void *)world.out;
	uint64_t f, fh;

	world_make(8);
	CHECK_EQ(create_file(root_user, ROOT, "f", O_RDWR, 0600), 0);
	f = entry_out()->nodeid;
	fh = created_fh();
	CHECK(pwrite(file_of(fh)->fd, "x", 1, 1 << 20) == 1);
	CHECK(ftruncate(file_of(fh)->fd, 4 << 20) == 0);
	CHECK_EQ(seek_file(fh, 0, SEEK_HOLE), 0);
	CHECK_EQ(out->offset, 0u);
	CHECK_EQ(seek_file(fh, 0, SEEK_DATA), 0);
	CHECK(out->offset > 0 && out->offset <= 1 << 20);
	CHECK_EQ(seek_file(fh, 2 << 20, SEEK_DATA), -ENXIO);
	CHECK_EQ(seek_file(fh, 0, SEEK_END), -EINVAL);
	CHECK_EQ(seek_file(fh, 1ull << 63, SEEK_DATA), -ENXIO);
	release(fh);
	forget(f, 1);
	world_end();
}

static void ranges_are_copied(void)
{
	struct fuse_copy_file_range_in arg = { .len = 9000, .off_in = 1000, .off_out = 8192 };
	char data[6000], copy[4096];
	struct stat st;
	uint64_t f, g;

	if (!can_act())
		return;
	world_make(8);
	world.fs.cache = CACHE_NONE;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	CHECK_EQ(create_file(root_user, ROOT, "f", O_RDWR, 0600), 0);
	f = entry_out()->nodeid;
	arg.fh_in = created_fh();
	CHECK_EQ(create_file(some_user, ROOT, "g", O_RDWR, 0600), 0);
	g = entry_out()->nodeid;
	arg.fh_out = created_fh();
	CHECK(pwrite(file_buffered_fd(file_of(arg.fh_in)), data, sizeof(data), 0) ==
	      (ssize_t)sizeof(data));
	CHECK(chmod(backing("g"), 06755) == 0);
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .by = some_user, .arg = &arg }), 0);
	/* of the 5000 bytes that there are, whole pages */
	CHECK_EQ(((struct fuse_write_out *)world.out)->size, 4096u);
	CHECK(pread(file_buffered_fd(file_of(arg.fh_out)), copy, sizeof(copy), 8192) == 4096);
	CHECK_MEM(copy, data + 1000, sizeof(copy));
	CHECK(stat(backing("g"), &st) == 0);
	CHECK_EQ(st.st_mode & 07777, 0755u);
	/* the rest, and what isn't a page of the copy's, the kernel copies itself */
	arg.off_in += 4096;
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .by = some_user, .arg = &arg }),
		 -EOPNOTSUPP);
	arg.off_in = 0;
	arg.off_out = 8193;
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .by = some_user, .arg = &arg }),
		 -EOPNOTSUPP);
	/* at the end of the source there is nothing more to copy */
	arg.off_in = sizeof(data);
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .by = some_user, .arg = &arg }), 0);
	CHECK_EQ(((struct fuse_write_out *)world.out)->size, 0u);
	arg.flags = 1;
	CHECK_EQ(ask(op_copy_file_range, (struct ask){ .by = some_user, .arg = &arg }), -EINVAL);
	release(arg.fh_in);
	release(arg.fh_out);
	forget(f, 1);
	forget(g, 1);
	world_end();
}

static void append_only_inodes_are_appended_to(void)
{
	int fd, flags = FS_APPEND_FL;
	uint64_t f, fh;

	world_make(8);
	f = make_file(0644);
	fd = open(backing("f"), O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		SKIP("chattr +a in %s", world.path);
	} else {
		CHECK_EQ(open_file(root_user, f, O_WRONLY | O_APPEND), 0);
		fh = opened_fh();
		CHECK(flags_of(file_of(fh)->fd) & O_APPEND);
		CHECK(file_of(fh)->flags & O_APPEND);
		release(fh);
		CHECK_EQ(truncate_file(root_user, f), -EPERM);
		flags = 0;
		CHECK(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	}
	CHECK(close(fd) == 0);
	forget(f, 1);
	world_end();
}

/* Empties NODEID: how often the kernel is told that its attributes changed. */
static unsigned attributes_told(int fd, uint64_t nodeid)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_inval_inode_out inode;
	} got;
	unsigned told = 0;

	CHECK_EQ(truncate_file(root_user, nodeid), 0);
	while (read(fd, &got, sizeof(got)) == (ssize_t)sizeof(got))
		told += got.header.error == FUSE_NOTIFY_INVAL_INODE && got.inode.ino == nodeid &&
			got.inode.off < 0;
	return told;
}

/* The kernel asks for the mode again, which it would otherwise show and use as it was. */
static void the_kernel_hears_that_setid_bits_have_gone(void)
{
	int ends[2];
	uint64_t f;

	world_make(8);
	CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
	world.fs.inodes.session_fd = ends[1];
	f = make_file(06777);
	CHECK_EQ(attributes_told(ends[0], f), 1u);
	/* for the last time when they have gone */
	CHECK(chmod(backing("f"), 0777) == 0);
	CHECK_EQ(attributes_told(ends[0], f), 1u);
	CHECK_EQ(attributes_told(ends[0], f), 0u);
	CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
	forget(f, 1);
	world_end();
}

/* No row for the handle: nothing is made, opened or counted. */
static void a_full_file_table_leaves_everything_as_it_was(void)
{
	uint64_t f, fh[16];

	world_make(8);
	f = make_file(0600);
	for (int i = 0; i < 16; i++) {
		CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
		fh[i] = opened_fh();
	}
	CHECK_EQ(open_file(root_user, f, O_RDWR), -ENFILE);
	CHECK_EQ(create_file(root_user, ROOT, "g", O_RDWR, 0600), -ENFILE);
	CHECK(access(backing("g"), F_OK) < 0 && errno == ENOENT);
	CHECK_EQ(atomic_load(&world.fs.inodes.used), 2u);
	CHECK_EQ(inode_get(&world.fs.inodes, f)->opens, 16u);
	for (int i = 0; i < 16; i++)
		release(fh[i]);
	CHECK_EQ(open_file(root_user, f, O_RDWR), 0);
	release(opened_fh());
	forget(f, 1);
	world_end();
}

/* A file table that has one row, and an inode table that has none: each is asked before the act. */
static void a_full_inode_table_makes_no_file(void)
{
	struct fuse_create_in arg = { .flags = O_TMPFILE | O_RDWR, .mode = S_IFREG | 0640 };
	uint64_t f;

	world_make(2);
	world.fs.inodes.more_max = 0; /* and no more rows can be made */
	f = make_file(0600);
	CHECK_EQ(create_file(root_user, ROOT, "g", O_RDWR, 0600), -ENFILE);
	CHECK(access(backing("g"), F_OK) < 0 && errno == ENOENT);
	CHECK_EQ(ask(op_tmpfile, (struct ask){ .nodeid = ROOT, .arg = &arg, .name = "/" }),
		 -ENFILE);
	forget(f, 1);
	/* what was set aside on the way has been given back */
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(create_file(root_user, ROOT, "f", O_RDWR | O_EXCL, 0600), -EEXIST);
		CHECK_EQ(create_file(root_user, ROOT, "g", O_RDWR, 0600), 0);
		f = entry_out()->nodeid;
		release(created_fh());
		forget(f, 1);
		CHECK(unlink(backing("g")) == 0);
	}
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(a_file_of_two_mounts_keeps_its_pages);
	RUN(cache_none_opens_both_ways);
	RUN(opens_share_the_cache);
	RUN(cached_modes_open_once);
	RUN(rights_are_the_callers);
	RUN(programs_need_not_be_readable_to_be_executed);
	RUN(an_unlinked_open_file_goes_on);
	RUN(creating_leaves_alone_what_is_there);
	RUN(nameless_files_can_get_a_name);
	RUN(closing_tells_errors_once);
	RUN(inline_closing_is_for_local_files);
	RUN(holes_are_found);
	RUN(ranges_are_copied);
	RUN(append_only_inodes_are_appended_to);
	RUN(a_full_file_table_leaves_everything_as_it_was);
	RUN(a_full_inode_table_makes_no_file);
	RUN(the_kernel_hears_that_setid_bits_have_gone);
	return test_result();
}
