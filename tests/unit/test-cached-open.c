/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cached opens: when the answer to an open or to a direct write waits for pages to be dropped. */
#include "store/cached-open.h"

#include <time.h>

#include "op-fixture.h"

static struct file *file_of(uint64_t fh)
{
	struct file *file = file_get(&world.fs.files, fh);

	CHECK(file != NULL);
	return file;
}

static struct inode *inode_of(const struct file *file)
{
	return inode_at(&world.fs.inodes, file->known);
}

/* Opens F with FLAGS; its handle. */
static uint64_t open_with(uint64_t f, int flags)
{
	CHECK_EQ(open_file(root_user, f, flags), 0);
	return opened_fh();
}

/* The answer to the last call is sent, if it has waited. */
static void settle(void)
{
	if (world.drops)
		cached_open_settle(&world.fs.inodes, &world.drop);
}

/* Opens F to read, and closes it: whether the answer waits until all of it is dropped. */
static bool open_drops(uint64_t f)
{
	uint64_t fh = open_with(f, O_RDONLY);
	bool drops = world.drops;

	CHECK(!drops || world.drop.reason == DROP_CHANGED);
	settle();
	release(fh);
	return drops;
}

/* Whether a direct write to FILE's inode waits, and for its range. */
static bool write_drops(const struct file *file)
{
	struct cached_drop drop;

	if (!cached_open_written_around(&world.fs.inodes, inode_of(file), 4096, 512, &drop))
		return false;
	CHECK_EQ(drop.reason, DROP_WRITTEN);
	CHECK_EQ(drop.row, file->known);
	CHECK_EQ(drop.off, 4096u);
	CHECK_EQ(drop.len, 512u);
	return true;
}

/* A file that was last changed so long ago that another change would get another mtime. */
static uint64_t old_file(void)
{
	const struct timespec old[] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	int fd = open(backing("f"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && futimens(fd, old) == 0 && close(fd) == 0);
	return look(ROOT, "f");
}

/* One that has been opened before, and is as it was then. */
static uint64_t known_file(void)
{
	uint64_t f = old_file();

	CHECK(!open_drops(f));
	return f;
}

static void age(time_t seconds)
{
	const struct timespec old[] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

	CHECK(utimensat(AT_FDCWD, backing("f"), old, 0) == 0);
}

static void an_open_drops_what_has_changed(void)
{
	uint64_t f;

	world_make(8);
	f = old_file();
	CHECK(!open_drops(f)); /* nothing is cached yet */
	CHECK(!open_drops(f));
	age(2);
	CHECK(open_drops(f));
	CHECK(!open_drops(f));
	forget(f, 1);
	world_end();
}

static void an_open_waits_for_drops_of_its_file(void)
{
	struct inode *inode;
	uint64_t f, fh, other;

	world_make(8);
	f = old_file();
	fh = open_with(f, O_RDONLY);
	CHECK(!world.drops);
	inode = inode_of(file_of(fh));
	atomic_store(&inode->drops, 1);
	other = open_with(f, O_RDWR);
	CHECK(world.drops);
	CHECK_EQ(world.drop.reason, DROP_NONE);
	cached_open_settle(&world.fs.inodes, &world.drop);
	release(other);
	atomic_store(&inode->drops, 0);
	release(fh);
	forget(f, 1);
	world_end();
}

/* Two open a file that has changed: the second one comes before the first has had it dropped. */
static void who_comes_next_waits_too(void)
{
	struct cached_drop first;
	struct inode *inode;
	uint64_t f, fh, other;

	world_make(8);
	f = known_file();
	age(2);
	fh = open_with(f, O_RDONLY);
	CHECK(world.drops);
	first = world.drop;
	inode = inode_of(file_of(fh));
	other = open_with(f, O_RDWR);
	CHECK(world.drops);
	CHECK_EQ(world.drop.reason, DROP_NONE);
	/* he may have his turn before the first one, and then writes */
	CHECK(cached_open_take_due(inode, DROP_NONE));
	CHECK(cached_open_may_drop(inode, DROP_NONE));
	settle();
	CHECK_EQ(atomic_load(&inode->drops), 1u);
	cached_open_settle(&world.fs.inodes, &first);
	CHECK_EQ(atomic_load(&inode->drops), 0u);
	release(other);
	release(fh);
	CHECK_EQ(atomic_load(&inode->cached_opens), 0u);
	forget(f, 1);
	world_end();
}

/* A page that is dropped while somebody writes to it may come back as it was, and stay. */
static void nothing_is_dropped_while_somebody_may_write(void)
{
	struct inode *inode;
	struct file *writer;
	uint64_t f, fh;

	world_make(8);
	f = known_file();
	fh = open_with(f, O_RDWR);
	writer = file_of(fh);
	inode = inode_of(writer);
	CHECK(!cached_open_may_drop(inode, DROP_CHANGED)); /* his first WRITE may be on its way */
	cached_open_written(inode, writer);
	age(2);
	CHECK(!open_drops(f));
	CHECK(!cached_open_may_drop(inode, DROP_CHANGED));
	cached_open_flushed(inode, writer);
	CHECK(!cached_open_may_drop(inode, DROP_CHANGED));
	release(fh);
	CHECK(cached_open_may_drop(inode, DROP_CHANGED));
	CHECK(open_drops(f)); /* as others may have written too */
	forget(f, 1);
	world_end();
}

/* Whoever waits for his open to be answered has written nothing that a drop could undo. */
static void who_waits_to_write_gets_his_drop(void)
{
	struct inode *inode;
	struct file *writer;
	uint64_t f, fh;

	world_make(8);
	f = known_file();
	age(2);
	fh = open_with(f, O_RDWR);
	CHECK(world.drops);
	writer = file_of(fh);
	inode = inode_of(writer);
	CHECK(cached_open_may_drop(inode, DROP_CHANGED));
	CHECK(!cached_open_may_drop(inode, DROP_WRITTEN));
	cached_open_settle(&world.fs.inodes, &world.drop);
	CHECK(!cached_open_may_drop(inode, DROP_CHANGED));
	release(fh);
	CHECK_EQ(atomic_load(&inode->cached_opens), 0u);
	forget(f, 1);
	world_end();
}

static void direct_writes_drop_what_readers_have(void)
{
	struct file *writer;
	uint64_t f, fh, reader, second;

	world_make(8);
	world.fs.parallel_direct_writes = true;
	f = old_file();
	fh = open_with(f, O_RDWR | O_DIRECT);
	writer = file_of(fh);
	CHECK(!write_drops(writer));
	reader = open_with(f, O_RDONLY);
	CHECK(write_drops(writer));
	CHECK(cached_open_may_drop(inode_of(writer), DROP_WRITTEN));
	/* whoever may write could have the page that is dropped brought back as it was */
	second = open_with(f, O_RDWR);
	settle();
	CHECK(!write_drops(writer));
	CHECK(!cached_open_may_drop(inode_of(writer), DROP_WRITTEN));
	release(second);
	CHECK(write_drops(writer));
	release(reader);
	CHECK(!write_drops(writer));
	release(fh);
	forget(f, 1);
	world_end();
}

/* A direct write that takes long may end when the reader that has cached the old page has gone. */
static void opens_drop_while_a_direct_writer_is_there_and_once_after(void)
{
	uint64_t f, fh;

	world_make(8);
	world.fs.parallel_direct_writes = true;
	f = old_file();
	fh = open_with(f, O_RDWR | O_DIRECT);
	for (int i = 0; i < 3; i++)
		CHECK(open_drops(f));
	release(fh);
	CHECK(open_drops(f));
	CHECK(!open_drops(f));
	/* one that only reads leaves a doubt too: it may have been mapped */
	release(open_with(f, O_RDONLY | O_DIRECT));
	CHECK(open_drops(f));
	CHECK(!open_drops(f));
	forget(f, 1);
	world_end();
}

/* As a loop device with direct I/O does. */
static void one_that_goes_around_is_no_reader(void)
{
	struct file *file;
	uint64_t f, fh;

	world_make(8);
	f = old_file();
	fh = open_with(f, O_RDONLY);
	file = file_of(fh);
	CHECK(write_drops(file));
	cached_open_note(inode_of(file), file, true);
	CHECK(!write_drops(file));
	release(fh);
	CHECK(!open_drops(f));

	fh = open_with(f, O_RDWR);
	file = file_of(fh);
	cached_open_note(inode_of(file), file, true);
	(void)open_drops(f);
	CHECK(open_drops(f)); /* it may write as long as it is there */
	release(fh);
	CHECK(open_drops(f));
	CHECK(!open_drops(f));
	forget(f, 1);
	world_end();
}

/* A page fault reads through the cache, whatever the descriptor of the mapping does. */
static void a_mapping_of_one_that_goes_around_is_a_reader(void)
{
	struct file *reader, *writer;
	uint64_t f, fh, other;

	world_make(8);
	world.fs.parallel_direct_writes = true;
	f = old_file();
	fh = open_with(f, O_RDONLY | O_DIRECT);
	reader = file_of(fh);
	other = open_with(f, O_WRONLY | O_DIRECT);
	writer = file_of(other);
	CHECK(!write_drops(writer));
	cached_open_note(inode_of(reader), reader, false);
	CHECK(write_drops(writer));
	cached_open_note(inode_of(reader), reader, true);
	CHECK(write_drops(writer)); /* the mapping is still there */
	release(fh);
	CHECK(!write_drops(writer));
	release(other);
	forget(f, 1);
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(an_open_drops_what_has_changed);
	RUN(an_open_waits_for_drops_of_its_file);
	RUN(who_comes_next_waits_too);
	RUN(nothing_is_dropped_while_somebody_may_write);
	RUN(who_waits_to_write_gets_his_drop);
	RUN(direct_writes_drop_what_readers_have);
	RUN(opens_drop_while_a_direct_writer_is_there_and_once_after);
	RUN(one_that_goes_around_is_no_reader);
	RUN(a_mapping_of_one_that_goes_around_is_a_reader);
	return test_result();
}
