/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listing directories: continuation at every size of reply, lookups counted, rewinding. */
#include "handlers/op-dir.h"

#include <dirent.h>

#include "op-fixture.h"

enum { NAMES = 300 };

static uint64_t open_dir(uint64_t nodeid)
{
	struct fuse_open_in arg = { .flags = O_RDONLY | O_DIRECTORY };

	CHECK_EQ(ask(op_opendir, (struct ask){ .nodeid = nodeid, .arg = &arg }), 0);
	return opened_fh();
}

static void close_dir(uint64_t fh)
{
	struct fuse_release_in arg = { .fh = fh };

	CHECK_EQ(ask(op_releasedir, (struct ask){ .nodeid = ROOT, .arg = &arg }), 0);
}

static int read_dir(uint64_t fh, uint64_t off, uint32_t size, bool plus)
{
	struct fuse_read_in arg = { .fh = fh, .offset = off, .size = size };

	return ask(plus ? op_readdirplus : op_readdir, (struct ask){ .nodeid = ROOT, .arg = &arg });
}

static void make_names(void)
{
	char name[32];

	for (unsigned i = 0; i < NAMES; i++) {
		/* of differing lengths, so that replies end at all kinds of places */
		CHECK(snprintf(name, sizeof(name), "%0*u", 3 + (int)(i % 20), i) > 0);
		CHECK(mkdir(backing(name), 0755) == 0);
	}
}

struct tally {
	unsigned seen[NAMES], dots, entries;
	uint64_t nodeid[NAMES];
	uint64_t off;
};

/* Takes the reply apart: false at the directory's end. */
static bool tally_reply(struct tally *tally, bool plus)
{
	uint32_t at = 0;

	while (at < world.out_len) {
		const struct fuse_direntplus *with = (const void *)(world.out + at);
		const struct fuse_dirent *dirent = plus ? &with->dirent
							: (const void *)(world.out + at);
		unsigned number;
		char name[256] = { 0 };

		CHECK(dirent->namelen < sizeof(name));
		memcpy(name, dirent->name, dirent->namelen);
		tally->off = dirent->off;
		tally->entries++;
		at += (uint32_t)(plus ? FUSE_DIRENTPLUS_SIZE(with) : FUSE_DIRENT_SIZE(dirent));
		CHECK(at <= world.out_len);
		if (name[0] == '.') {
			tally->dots++;
			CHECK(!plus || with->entry_out.nodeid == 0);
			continue;
		}
		CHECK(sscanf(name, "%u", &number) == 1 && number < NAMES);
		tally->seen[number]++;
		if (plus)
			tally->nodeid[number] = with->entry_out.nodeid;
		CHECK_EQ(dirent->type, (uint32_t)DT_DIR);
	}
	return world.out_len > 0;
}

static void every_reply_size_gives_each_name_once(void)
{
	world_make(NAMES * 2);
	make_names();
	for (int plus = 0; plus < 2; plus++) {
		for (uint32_t size = 200; size < CALL_OUT_LEN * 2; size = size * 3 / 2) {
			struct tally tally = { .off = 0 };
			uint64_t fh = open_dir(ROOT);

			do {
				CHECK_EQ(read_dir(fh, tally.off, size, plus), 0);
				CHECK(world.out_len <= size);
			} while (tally_reply(&tally, plus));
			for (unsigned i = 0; i < NAMES; i++) {
				CHECK_EQ(tally.seen[i], 1u);
				if (plus)
					forget(tally.nodeid[i], 1); /* exactly one was counted */
			}
			CHECK_EQ(tally.dots, 2u);
			close_dir(fh);
			CHECK_EQ(atomic_load(&world.fs.inodes.used), 1u);
		}
	}
	world_end();
}

/* A reply too small for one entry isn't an empty one: that would mean the end. */
static void too_small_a_reply_is_an_error(void)
{
	uint64_t fh;

	world_make(8);
	fh = open_dir(ROOT);
	CHECK_EQ(read_dir(fh, 0, 16, false), -EINVAL);
	CHECK_EQ(read_dir(fh, 0, 100, true), -EINVAL);
	CHECK_EQ(read_dir(fh, 0, 4096, false), 0);
	CHECK_EQ(read_dir(fh + 1, 0, 4096, false), -EBADF);
	close_dir(fh);
	CHECK_EQ(read_dir(fh, 0, 4096, false), -EBADF);
	world_end();
}

static void rewinding_shows_what_is_new(void)
{
	struct tally tally = { .off = 0 };
	uint64_t fh;

	world_make(8);
	fh = open_dir(ROOT);
	CHECK_EQ(read_dir(fh, 0, 4096, false), 0);
	while (tally_reply(&tally, false))
		CHECK_EQ(read_dir(fh, tally.off, 4096, false), 0);
	CHECK_EQ(tally.entries, 2u);
	CHECK(mkdir(backing("7"), 0755) == 0);
	CHECK_EQ(read_dir(fh, 0, 4096, false), 0);
	(void)tally_reply(&tally, false);
	CHECK_EQ(tally.seen[7], 1u);
	close_dir(fh);
	world_end();
}

static void moved_and_removed_directories_are_listed_on(void)
{
	struct tally tally = { .off = 0 };
	uint64_t fh, dir;

	world_make(8);
	CHECK(mkdir(backing("d"), 0755) == 0);
	CHECK(mkdir(backing("d/1"), 0755) == 0);
	dir = look(ROOT, "d");
	fh = open_dir(dir);
	CHECK(rename(backing("d"), backing("e")) == 0);
	CHECK_EQ(read_dir(fh, 0, 4096, false), 0);
	(void)tally_reply(&tally, false);
	CHECK_EQ(tally.seen[1], 1u);
	forget(look(dir, "1"), 1);
	CHECK(rmdir(backing("e/1")) == 0);
	CHECK(rmdir(backing("e")) == 0);
	CHECK_EQ(read_dir(fh, 0, 4096, false), -ENOENT); /* as iterate_dir() says of a dead one */
	close_dir(fh);
	forget(dir, 1);
	world_end();
}

/* Where inodes are scarce, names come without attributes rather than not at all. */
static void a_full_table_still_lists(void)
{
	struct tally tally = { .off = 0 };
	uint64_t fh;
	unsigned known = 0;

	world_make(8);
	make_names();
	fh = open_dir(ROOT);
	do
		CHECK_EQ(read_dir(fh, tally.off, 4096, true), 0);
	while (tally_reply(&tally, true));
	for (unsigned i = 0; i < NAMES; i++) {
		CHECK_EQ(tally.seen[i], 1u);
		if (tally.nodeid[i]) {
			known++;
			forget(tally.nodeid[i], 1);
		}
	}
	CHECK_EQ(known, 6u); /* and the root: then more than three quarters were in use */
	close_dir(fh);
	world_end();
}

static void a_directorys_handle_is_no_files(void)
{
	uint64_t fh;

	world_make(8);
	fh = open_dir(ROOT);
	CHECK_EQ(ask(op_release,
		     (struct ask){ .nodeid = ROOT, .arg = &(struct fuse_release_in){ .fh = fh } }),
		 -EBADF);
	close_dir(fh);
	world_end();
}

static void rights_to_look_up_are_the_callers(void)
{
	struct fuse_open_in arg = { .flags = O_RDONLY | O_DIRECTORY };
	struct fuse_read_in read_in = { .size = 4096 };
	struct tally tally = { .off = 0 };
	uint64_t dir;

	if (!can_act())
		return;
	world_make(8);
	CHECK(mkdir(backing("d"), 0755) == 0);
	CHECK(mkdir(backing("d/1"), 0755) == 0);
	CHECK(chmod(backing("d"), 0744) == 0); /* others may list but not search */
	dir = look(ROOT, "d");
	CHECK_EQ(ask(op_opendir, (struct ask){ .by = some_user, .nodeid = dir, .arg = &arg }), 0);
	read_in.fh = opened_fh();
	CHECK_EQ(ask(op_readdirplus,
		     (struct ask){ .by = some_user, .nodeid = dir, .arg = &read_in }),
		 0);
	(void)tally_reply(&tally, true);
	CHECK_EQ(tally.seen[1], 1u);
	CHECK_EQ(tally.nodeid[1], 0u);
	close_dir(read_in.fh);
	CHECK(chmod(backing("d"), 0711) == 0);
	CHECK_EQ(ask(op_opendir, (struct ask){ .by = some_user, .nodeid = dir, .arg = &arg }),
		 -EACCES);
	forget(dir, 1);
	world_end();
}

int main(void)
{
	fixture_init();
	RUN(every_reply_size_gives_each_name_once);
	RUN(too_small_a_reply_is_an_error);
	RUN(rewinding_shows_what_is_new);
	RUN(moved_and_removed_directories_are_listed_on);
	RUN(a_full_table_still_lists);
	RUN(a_directorys_handle_is_no_files);
	RUN(rights_to_look_up_are_the_callers);
	return test_result();
}
