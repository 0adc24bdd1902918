/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table: counts, generations, what is held by opens, numbers of other filesystems, rows
 * beyond the arena's. Descriptors: test-inode-fd.c.
 */
#include "store/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/arena.h"
#include "base/macro.h"
#include "test.h"

#define ROOT 1u

static struct arena arena;
static struct inode_table table;

static void make(uint32_t count)
{
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(root_fd >= 0);
	arena_init(&arena);
	CHECK_EQ(inode_table_plan(&arena, count), 0);
	CHECK_EQ(arena_create(&arena), 0);
	CHECK_EQ(inode_table_init(&table, &arena), 0);
	CHECK_EQ(inode_table_set_root(&table, root_fd), 0);
	CHECK(close(root_fd) == 0);
}

static void end(void)
{
	(void)inode_unpin(0);
	inode_table_destroy(&table);
	arena_destroy(&arena);
}

/* Remembers inode INO of a filesystem MINOR that there isn't; -ENFILE or 0. */
static int remember(unsigned minor, uint64_t ino, struct inode **ret_inode)
{
	struct statx stx = { .stx_dev_major = 200,
			     .stx_dev_minor = minor,
			     .stx_ino = ino,
			     .stx_mode = S_IFREG | 0644 };
	int fd = open("/dev/null", O_PATH | O_CLOEXEC);
	int r;

	CHECK(fd >= 0);
	r = inode_remember(&table, &fd, &stx, ret_inode);
	CHECK_EQ(fd, -1);
	return r;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void root_is_one_and_stays(void)
{
	struct inode *root;

	make(4);
	root = inode_get(&table, ROOT);
	CHECK(root != NULL && S_ISDIR(root->mode));
	CHECK_EQ(inode_nodeid(&table, root), (uint64_t)ROOT);
	inode_forget(&table, ROOT, UINT64_MAX);
	CHECK(inode_get(&table, ROOT) == root);
	end();
}

static void nodeids_that_are_none(void)
{
	static const uint64_t none[] = { 0,	     2,		5, 1ull << 32, (1ull << 32) + 1,
					 UINT64_MAX, UINT32_MAX };

	make(4);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK(inode_get(&table, none[i]) == NULL);
		inode_forget(&table, none[i], 1);
	}
	end();
}

static void rows_are_found_counted_and_freed(void)
{
	struct inode *a, *again, *b;
	uint64_t nodeid;
	int fd;

	make(4);
	CHECK_EQ(remember(1, 10, &a), 0);
	CHECK_EQ(remember(1, 10, &again), 0);
	CHECK(again == a && a->nlookup == 2);
	CHECK_EQ(remember(2, 10, &b), 0); /* the number is another filesystem's */
	CHECK(b != a);
	nodeid = inode_nodeid(&table, a);
	fd = a->fd;
	inode_forget(&table, nodeid, 1);
	CHECK(inode_get(&table, nodeid) == a && is_open(fd));
	inode_forget(&table, nodeid, 5);
	CHECK(inode_get(&table, nodeid) == NULL && !is_open(fd));
	CHECK_EQ(atomic_load(&table.used), 2u);
	/* the same row, another nodeid */
	CHECK_EQ(remember(1, 10, &again), 0);
	CHECK(again == a && inode_nodeid(&table, again) != nodeid);
	CHECK(inode_get(&table, nodeid) == NULL);
	end();
}

static void opens_hold_a_forgotten_row(void)
{
	struct inode *a;
	uint64_t nodeid;
	int fd;

	make(4);
	CHECK_EQ(remember(1, 10, &a), 0);
	nodeid = inode_nodeid(&table, a);
	fd = a->fd;
	inode_hold_open(&table, a);
	inode_hold_open(&table, a);
	inode_forget(&table, nodeid, 1);
	CHECK(inode_get(&table, nodeid) == a);
	inode_put_open(&table, a);
	CHECK(inode_get(&table, nodeid) == a && is_open(fd));
	/* looked up again meanwhile: it stays when the last open goes */
	CHECK_EQ(remember(1, 10, &a), 0);
	CHECK_EQ(inode_nodeid(&table, a), nodeid);
	inode_put_open(&table, a);
	CHECK(inode_get(&table, nodeid) == a);
	inode_forget(&table, nodeid, 1);
	CHECK(inode_get(&table, nodeid) == NULL && !is_open(fd));
	end();
}

static void a_full_table_refuses_what_is_new(void)
{
	struct inode *inode, *known;

	make(4);
	CHECK_EQ(remember(1, 1, &known), 0);
	CHECK_EQ(remember(1, 2, &inode), 0);
	CHECK_EQ(remember(1, 3, &inode), 0);
	table.more_max = 0;
	CHECK_EQ(remember(1, 4, &inode), -ENFILE);
	CHECK_EQ(atomic_load(&table.refusals), 1u);
	CHECK_EQ(remember(1, 1, &inode), 0);
	CHECK(inode == known);
	inode_forget(&table, inode_nodeid(&table, known), 2);
	CHECK_EQ(remember(1, 4, &inode), 0);
	end();
}

/* For every N, the Nth taking of a row fails: nothing is lost, nothing is counted twice. */
static void each_shortage_leaves_the_table_sound(void)
{
	enum { INODES = 20 };

	for (uint32_t nth = 1; nth <= INODES; nth++) {
		struct inode *inodes[INODES] = { NULL };

		make(INODES + 1);
		table.more_max = 0;
		atomic_store(&table.pool.fail_in, nth);
		for (uint32_t i = 0; i < INODES; i++)
			CHECK_EQ(remember(1, i, &inodes[i]), i + 1 == nth ? -ENFILE : 0);
		CHECK_EQ(atomic_load(&table.used), (uint32_t)INODES);
		for (uint32_t i = 0; i < INODES; i++) {
			if (inodes[i])
				inode_forget(&table, inode_nodeid(&table, inodes[i]), 1);
		}
		CHECK_EQ(atomic_load(&table.used), 1u);
		CHECK_EQ(atomic_load(&table.pool.free), (uint32_t)INODES);
		end();
	}
}

static void chains_survive_any_order(void)
{
	enum { INODES = 1000 };
	static struct inode *inodes[INODES];

	make(INODES + 1);
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < INODES; i++)
			CHECK_EQ(remember(i % 3, i / 3, &inodes[i]), 0);
		CHECK_EQ(atomic_load(&table.used), INODES + 1u);
		/* 7 and 1000 have no common divisor: each once, in another order */
		for (uint32_t i = 0; i < INODES; i++) {
			struct inode *inode = inodes[i * 7 % INODES];

			inode_forget(&table, inode_nodeid(&table, inode), 1);
		}
		CHECK_EQ(atomic_load(&table.used), 1u);
	}
	end();
}

/* The arena's rows are a working set: there is a row for whatever the kernel asks for. */
static void rows_are_made_when_all_are_used(void)
{
	enum { INODES = 10000 };
	static struct inode *inodes[INODES];
	struct inode *again;
	uint32_t made = 0;

	make(64);
	for (uint32_t round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < INODES; i++)
			CHECK_EQ(remember(1, i, &inodes[i]), 0);
		CHECK_EQ(atomic_load(&table.used), INODES + 1u);
		for (uint32_t i = 0; i < INODES; i++) {
			uint64_t nodeid = inode_nodeid(&table, inodes[i]);

			CHECK_EQ(inode_row(&table, inode_at(&table, inode_row(&table, inodes[i]))),
				 inode_row(&table, inodes[i]));
			CHECK(inode_get(&table, nodeid) == inodes[i]);
			CHECK_EQ(inode_unpin(0), 0);
			CHECK_EQ(remember(1, i, &again), 0);
			CHECK(again == inodes[i]);
			inode_forget(&table, nodeid, 2);
			CHECK(inode_get(&table, nodeid) == NULL);
		}
		CHECK_EQ(atomic_load(&table.used), 1u);
		/* the second round finds those of the first */
		if (round == 0)
			made = atomic_load(&table.common->more_made);
		CHECK(made >= INODES - 64 && made == atomic_load(&table.common->more_made));
	}
	CHECK_EQ(atomic_load(&table.refusals), 0u);
	end();
}

static void filesystems_are_told_apart(void)
{
	uint64_t root_dev, a, b;

	make(4);
	root_dev = inode_get(&table, ROOT)->dev;
	CHECK_EQ(inode_shown_ino(&table, root_dev, 77), 77u);
	a = inode_shown_ino(&table, makedev(200, 1), 77);
	b = inode_shown_ino(&table, makedev(200, 2), 77);
	CHECK(a != 77 && b != 77 && a != b);
	CHECK_EQ(a & 0xffffffffffffull, 77u);
	CHECK_EQ(inode_shown_ino(&table, makedev(200, 1), 77), a);
	/* more than there are numbers for: still the same each time, and never the root's */
	for (unsigned minor = 3; minor < 2 * INODE_DEVICES; minor++) {
		uint64_t shown = inode_shown_ino(&table, makedev(200, minor), 77);

		CHECK(shown != 77 && shown != a);
		CHECK_EQ(inode_shown_ino(&table, makedev(200, minor), 77), shown);
	}
	end();
}

static void idle_rows_are_collected_in_turn(void)
{
	struct inode *inodes[12];
	uint64_t nodeids[16];
	uint32_t hand = 0;

	make(16);
	for (uint32_t i = 0; i < ARRAY_SIZE(inodes); i++)
		CHECK_EQ(remember(1, i, &inodes[i]), 0);
	inode_hold_open(&table, inodes[3]);
	CHECK_EQ(remember(1, 5, &inodes[5]), 0);
	/* all but the root, the open one and, for once, the one that was asked for again */
	CHECK_EQ(inode_collect_idle(&table, &hand, nodeids, 4), 4u);
	CHECK_EQ(nodeids[0], inode_nodeid(&table, inodes[0]));
	CHECK_EQ(nodeids[3], inode_nodeid(&table, inodes[4]));
	CHECK_EQ(inode_collect_idle(&table, &hand, nodeids, 6), 6u);
	CHECK_EQ(nodeids[0], inode_nodeid(&table, inodes[6]));
	CHECK_EQ(nodeids[5], inode_nodeid(&table, inodes[11]));
	CHECK_EQ(inode_collect_idle(&table, &hand, nodeids, 16), 11u);
	inode_put_open(&table, inodes[3]);
	end();
}

static void pressure_is_told_once(void)
{
	struct inode *inode;
	uint64_t times;

	make(8);
	for (uint32_t i = 0; i < 5; i++)
		CHECK_EQ(remember(1, i, &inode), 0);
	CHECK(!inode_is_pressed(&table));
	CHECK(read(table.pressure_fd, &times, sizeof(times)) < 0 && errno == EAGAIN);
	CHECK_EQ(remember(1, 5, &inode), 0);
	CHECK_EQ(remember(1, 6, &inode), 0);
	CHECK(inode_is_pressed(&table));
	CHECK(read(table.pressure_fd, &times, sizeof(times)) == 8 && times == 1);
	CHECK(read(table.pressure_fd, &times, sizeof(times)) < 0 && errno == EAGAIN);
	/* and again after the relief, if it was none */
	inode_relieve(&table);
	CHECK_EQ(remember(1, 5, &inode), 0);
	CHECK(read(table.pressure_fd, &times, sizeof(times)) == 8 && times == 1);
	end();
}

int main(void)
{
	RUN(root_is_one_and_stays);
	RUN(nodeids_that_are_none);
	RUN(rows_are_found_counted_and_freed);
	RUN(opens_hold_a_forgotten_row);
	RUN(a_full_table_refuses_what_is_new);
	RUN(each_shortage_leaves_the_table_sound);
	RUN(chains_survive_any_order);
	RUN(rows_are_made_when_all_are_used);
	RUN(filesystems_are_told_apart);
	RUN(idle_rows_are_collected_in_turn);
	RUN(pressure_is_told_once);
	return test_result();
}
