/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inode table's descriptors: which are dropped, how they come back, and who is who meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macro.h"
#include "store/inode-fd.h"
#include "store/inode.h"
#include "store/store.h"
#include "test.h"

enum { INODES = 512, LIMIT = 64 };

static char path[64];
static int root_fd;
static struct arena arena;
static struct inode_table table;

static bool make(void)
{
	const char *tmp = getenv("TMPDIR");

	CHECK(snprintf(path, sizeof(path), "%s/caisson-test-XXXXXX", tmp ? tmp : "/tmp") <
	      (int)sizeof(path));
	CHECK(mkdtemp(path) != NULL);
	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(root_fd >= 0);
	arena_init(&arena);
	CHECK_EQ(inode_table_plan(&arena, INODES), 0);
	CHECK_EQ(arena_create(&arena), 0);
	CHECK_EQ(inode_table_init(&table, &arena), 0);
	table.fd_limit = LIMIT;
	CHECK_EQ(inode_table_set_root(&table, root_fd), 0);
	return table.common->mounts[0].reopens && !table.common->may_not_reopen;
}

static void end(void)
{
	char command[128];

	(void)inode_unpin(0);
	inode_table_destroy(&table);
	arena_destroy(&arena);
	CHECK(close(root_fd) == 0);
	CHECK(snprintf(command, sizeof(command), "rm -rf '%s'", path) > 0);
	CHECK(system(command) == 0);
}

/* The capability, or a filesystem with handles: says SKIP where there isn't. */
static bool can_make(void)
{
	if (make())
		return true;
	end();
	SKIP("opening by file handle");
	return false;
}

static const char *name_of(unsigned number)
{
	static char name[16];

	CHECK(snprintf(name, sizeof(name), "f%u", number) > 0);
	return name;
}

static void make_file(const char *name)
{
	int fd = openat(root_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && close(fd) == 0);
}

static struct inode *look_up(const char *name)
{
	struct inode *inode = NULL;
	struct statx stx;
	int fd = -1;

	CHECK_EQ(store_open_child(root_fd, name, &fd), 0);
	CHECK_EQ(store_statx(fd, INODE_STATX_MASK, &stx), 0);
	CHECK_EQ(inode_remember(&table, &fd, &stx, &inode), 0);
	return inode;
}

/* COUNT files named from FIRST on, made and looked up. */
static void fill(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		make_file(name_of(i));
		(void)look_up(name_of(i));
	}
}

static nlink_t links(const struct inode *inode)
{
	struct stat st;

	CHECK(fstat(inode->fd, &st) == 0);
	return st.st_nlink;
}

static void descriptors_are_dropped_and_come_back(void)
{
	struct inode *inode, *again;
	uint64_t nodeid;
	struct stat st;

	if (!can_make())
		return;
	make_file("a");
	inode = look_up("a");
	nodeid = inode_nodeid(&table, inode);
	CHECK(fstat(inode->fd, &st) == 0);
	fill(0, 4 * LIMIT);
	CHECK_EQ(atomic_load(&table.used), 4u * LIMIT + 2);
	CHECK(atomic_load(&table.fds) <= LIMIT);
	CHECK(inode->fd < 0);

	CHECK(inode_get_at_hand(&table, nodeid) == NULL);
	again = inode_get(&table, nodeid);
	CHECK(again == inode && inode->fd >= 0);
	CHECK_EQ(inode->ino, st.st_ino);
	CHECK_EQ(links(inode), 1u);
	CHECK(inode_get_at_hand(&table, nodeid) == inode);
	CHECK_EQ(inode_unpin(0), 0);
	/* the same row, whether it has a descriptor or not */
	CHECK(look_up("a") == inode);
	fill(1000, 2 * LIMIT);
	CHECK(inode->fd < 0);
	CHECK(look_up("a") == inode && inode->fd >= 0);
	end();
}

static void what_is_in_use_keeps_its_descriptor(void)
{
	struct inode *opened, *pinned;
	int fd;

	if (!can_make())
		return;
	make_file("opened");
	make_file("pinned");
	opened = look_up("opened");
	pinned = look_up("pinned");
	fd = opened->fd;
	inode_hold_open(&table, opened);
	CHECK(inode_get(&table, inode_nodeid(&table, pinned)) == pinned);
	fill(0, 4 * LIMIT);
	CHECK_EQ(opened->fd, fd);
	CHECK(pinned->fd >= 0);
	CHECK_EQ(inode_unpin(0), 0);
	inode_put_open(&table, opened);
	fill(1000, 4 * LIMIT);
	CHECK(opened->fd < 0 && pinned->fd < 0);
	end();
}

/* As rename(2) and unlink(2) of a client that has the file as O_PATH. */
static void files_without_their_name_are_found(void)
{
	struct inode *moved, *removed;

	if (!can_make())
		return;
	make_file("moved");
	make_file("removed");
	moved = look_up("moved");
	removed = look_up("removed");
	fill(0, 2 * LIMIT);
	CHECK(moved->fd < 0 && removed->fd < 0);
	CHECK(renameat(root_fd, "moved", root_fd, "elsewhere") == 0);
	inode_pin_name(&table, root_fd, "removed");
	inode_pin_name(&table, root_fd, "nobody");
	CHECK(unlinkat(root_fd, "removed", 0) == 0);
	CHECK_EQ(inode_unpin(0), 0);
	fill(1000, 4 * LIMIT);
	CHECK(moved->fd < 0 && removed->fd >= 0);
	CHECK(inode_get(&table, inode_nodeid(&table, moved)) == moved);
	CHECK_EQ(links(moved), 1u);
	CHECK(inode_get(&table, inode_nodeid(&table, removed)) == removed);
	CHECK_EQ(links(removed), 0u);
	end();
}

/* Its number may be given to the next one: not its row. */
static void a_file_that_has_gone_is_not_its_successor(void)
{
	struct inode *old, *new;
	uint64_t nodeid;

	if (!can_make())
		return;
	make_file("a");
	old = look_up("a");
	nodeid = inode_nodeid(&table, old);
	fill(0, 2 * LIMIT);
	CHECK(old->fd < 0);
	CHECK(unlinkat(root_fd, "a", 0) == 0); /* behind our back */
	make_file("a");
	new = look_up("a");
	CHECK(new != old);
	CHECK(inode_get(&table, nodeid) == NULL);
	CHECK_EQ(inode_unpin(-ESTALE), -ESTALE);
	CHECK(inode_get(&table, inode_nodeid(&table, new)) == new);
	CHECK_EQ(inode_unpin(0), 0);
	CHECK(look_up("a") == new);
	end();
}

/* As a network filesystem's: NAME is found with the inode number of another file. */
static struct inode *look_up_renumbered(const char *name, const struct inode *as)
{
	struct inode *inode = NULL;
	struct statx stx;
	int fd = -1;

	CHECK_EQ(store_open_child(root_fd, name, &fd), 0);
	CHECK_EQ(store_statx(fd, INODE_STATX_MASK, &stx), 0);
	stx.stx_ino = as->ino;
	CHECK_EQ(inode_remember(&table, &fd, &stx, &inode), 0);
	return inode;
}

/*
 * Such a filesystem gives a number to another file although we have a descriptor. The handle tells,
 * and the old row goes on being what it was.
 */
static void numbers_that_are_given_away_name_nobody(void)
{
	struct inode *old, *new;

	if (!can_make())
		return;
	table.common->mounts[0].is_lasting = table.common->mounts[0].reopens = false;
	make_file("a");
	make_file("b");
	old = look_up("a");
	CHECK(look_up("a") == old);
	new = look_up_renumbered("b", old);
	CHECK(new != old &&new->ino == old->ino);
	CHECK(look_up("a") == old);
	CHECK(look_up_renumbered("b", old) == new);
	CHECK_EQ(old->nlookup, 3u);
	CHECK_EQ(new->nlookup, 2u);
	CHECK(inode_get(&table, inode_nodeid(&table, old)) == old && old->fd >= 0);
	end();
}

/* Not -ESTALE, which says that there is no such file. */
static void what_opening_fails_with_is_told(void)
{
	struct inode *inode;

	if (!can_make())
		return;
	make_file("a");
	inode = look_up("a");
	fill(0, 2 * LIMIT);
	CHECK(inode->fd < 0);
	CHECK(close(table.common->mounts[0].fd) == 0);
	table.common->mounts[0].fd = -1;
	CHECK(inode_get(&table, inode_nodeid(&table, inode)) == NULL);
	CHECK_EQ(inode_unpin(-ESTALE), -EBADF);
	CHECK_EQ(inode_unpin(-ESTALE), -ESTALE);
	end();
}

static void without_handles_nothing_is_dropped(void)
{
	uint64_t times;

	(void)make();
	table.common->mounts[0].reopens = false;
	fill(0, 4 * LIMIT);
	CHECK_EQ(atomic_load(&table.fds), 4u * LIMIT + 1);
	/* then the kernel is asked for some */
	CHECK(read(table.pressure_fd, &times, sizeof(times)) == 8);
	end();
}

/*
 * What a mount isn't asked for again is what the filesystem says, not what stands in the way just
 * now.
 */
static void passing_refusals_are_not_remembered(void)
{
	struct inode_mount *mount = &table.common->mounts[0];
	struct rlimit limit, none;
	int mount_fd;

	if (!can_make())
		return;
	mount_fd = mount->fd;
	mount->fd = -1;
	mount->is_probed = false;

	/* as for a caller, when the kernel hasn't checked its permissions */
	for (int open = 0; open < 2; open++) {
		CHECK(chmod(path, open ? 0755 : 0700) == 0);
		CHECK(setfsuid(61001) == 0);
		CHECK_EQ(inode_mount_probe(&table, 0, root_fd), open ? -EPERM : -EACCES);
		setfsuid(0);
	}
	CHECK(mount->reopens && !mount->is_probed);

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	CHECK_EQ(inode_mount_probe(&table, 0, root_fd), -EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(mount->reopens && !mount->is_probed);

	CHECK_EQ(inode_mount_probe(&table, 0, root_fd), 0);
	CHECK(mount->reopens && mount->is_probed && mount->fd >= 0);
	CHECK(close(mount_fd) == 0);
	fill(0, 2 * LIMIT);
	CHECK(atomic_load(&table.fds) <= LIMIT);
	end();
}

/* The daemon itself may not: then nothing is tried, on any mount. */
static void a_daemon_that_may_not_keeps_its_descriptors(void)
{
	if (!can_make())
		return;
	end();
	CHECK(setfsuid(61001) == 0);
	CHECK(!make());
	CHECK_EQ(inode_mount_probe(&table, 0, root_fd), -EOPNOTSUPP);
	setfsuid(0);
	CHECK(table.common->may_not_reopen);
	end();
}

int main(void)
{
	RUN(descriptors_are_dropped_and_come_back);
	RUN(what_is_in_use_keeps_its_descriptor);
	RUN(files_without_their_name_are_found);
	RUN(a_file_that_has_gone_is_not_its_successor);
	RUN(numbers_that_are_given_away_name_nobody);
	RUN(what_opening_fails_with_is_told);
	RUN(without_handles_nothing_is_dropped);
	RUN(passing_refusals_are_not_remembered);
	RUN(a_daemon_that_may_not_keeps_its_descriptors);
	return test_result();
}
