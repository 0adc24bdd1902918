/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drives metadata handlers directly, with calls made by hand, on a temporary directory: what the
 * tests of op-name, op-attr, op-dir and op-open share.
 */
#ifndef CAISSON_TEST_OP_FIXTURE_H
#define CAISSON_TEST_OP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/macro.h"
#include "handlers/call.h"
#include "handlers/op-dir.h"
#include "handlers/op-name.h"
#include "handlers/op-open.h"
#include "store/creds.h"
#include "store/fs.h"
#include "test.h"

#define ROOT FUSE_ROOT_ID

/* Who asks; uid and gid of nobody in particular. */
struct asker {
	uint32_t uid, gid;
};
static const struct asker root_user = { 0, 0 };
static const struct asker some_user = { 61001, 61002 };

struct world {
	char path[64];
	struct arena arena;
	struct fs fs;
	uint32_t umask;
	uint8_t out[CALL_OUT_LEN] __attribute__((aligned(8)));
	uint8_t scratch[CALL_SCRATCH_LEN] __attribute__((aligned(4096)));
	uint32_t out_len;
	bool drops; /* what the last call has left in its struct */
	struct cached_drop drop;
};
static struct world world;

/* An empty directory that anyone may write to, served with room for INODES. */
static inline void world_make(uint32_t inodes)
{
	const char *tmp = getenv("TMPDIR");

	memset(&world.fs, 0, sizeof(world.fs));
	CHECK(snprintf(world.path, sizeof(world.path), "%s/caisson-test-XXXXXX",
		       tmp ? tmp : "/tmp") < (int)sizeof(world.path));
	CHECK(mkdtemp(world.path) != NULL);
	CHECK(chmod(world.path, 0777) == 0);
	arena_init(&world.arena);
	CHECK(inode_table_plan(&world.arena, inodes) == 0);
	CHECK(file_table_plan(&world.arena, 16) == 0);
	CHECK(arena_plan(&world.arena, ARENA_REQUESTS, 2 * PAGE_BYTES, 1, PAGE_BYTES) == 0);
	CHECK(arena_create(&world.arena) == 0);
	CHECK(inode_table_init(&world.fs.inodes, &world.arena) == 0);
	CHECK(file_table_init(&world.fs.files, &world.arena, &world.fs.inodes) == 0);
	CHECK(store_open(&world.fs.store, world.path) == 0);
	CHECK(store_open_proc(&world.fs.store) == 0);
	CHECK(inode_table_set_root(&world.fs.inodes, world.fs.store.root_fd) == 0);
	world.fs.inodes.session_fd = -1; /* nobody to notify */
	world.fs.cache = CACHE_WRITEBACK;
	world.fs.dont_mask = true;
	world.umask = 022;
}

/* Only the root and no file is left; removes the directory. */
static inline void world_end(void)
{
	char command[128];

	CHECK_EQ(atomic_load(&world.fs.files.used), 0u);
	CHECK_EQ(atomic_load(&world.fs.inodes.used), 1u);
	store_close(&world.fs.store);
	file_table_destroy(&world.fs.files);
	inode_table_destroy(&world.fs.inodes);
	arena_destroy(&world.arena);
	CHECK(snprintf(command, sizeof(command), "rm -rf '%s'", world.path) > 0);
	CHECK(system(command) == 0);
}

/* In the directory: the path of NAME, for looking behind the handlers' backs. */
static inline const char *backing(const char *name)
{
	static char path[2][4096];
	static unsigned turn;
	char *at = path[turn++ % 2];

	CHECK(snprintf(at, sizeof(path[0]), "%s/%s", world.path, name) > 0);
	return at;
}

struct ask {
	struct asker by;
	uint64_t nodeid;
	const void *arg;
	const char *name, *name2;
	const void *data;
	uint32_t data_len;
	bool nonblocking;
};

/* A call about the message IN, with room for its answer. */
static inline struct call call_with_room(const struct fuse_in_header *in)
{
	return (struct call){
		.fs = &world.fs,
		.in = in,
		.supp_gid = UINT32_MAX,
		.out = world.out,
		.out_cap = sizeof(world.out),
		.scratch = world.scratch,
	};
}

static inline int ask(int (*handler)(struct call *), struct ask what)
{
	struct fuse_in_header in = {
		.nodeid = what.nodeid,
		.uid = what.by.uid,
		.gid = what.by.gid,
		/* others aren't to be seen: only their numbers are known */
		.pid = what.by.uid ? 0 : (uint32_t)getpid(),
	};
	struct call call = call_with_room(&in);
	int r;

	call.arg = what.arg;
	call.name[0] = what.name;
	call.name[1] = what.name2;
	call.data = what.data;
	call.data_len = what.data_len;
	call.nonblocking = what.nonblocking;
	memset(world.out, 0xaa, sizeof(world.out));
	r = inode_unpin(handler(&call));
	world.out_len = call.out_len;
	world.drops = call.drops;
	world.drop = call.drop;
	CHECK(r <= 0 || (r == CALL_WAITS && what.nonblocking && world.out_len == 0));
	return r;
}

static inline const struct fuse_entry_out *entry_out(void)
{
	return (const void *)world.out;
}

/* Looks NAME up: its nodeid, one lookup counted. */
static inline uint64_t look(uint64_t dir, const char *name)
{
	CHECK_EQ(ask(op_lookup, (struct ask){ .nodeid = dir, .name = name }), 0);
	CHECK_EQ(world.out_len, sizeof(struct fuse_entry_out));
	CHECK(entry_out()->nodeid != 0);
	return entry_out()->nodeid;
}

static inline void forget(uint64_t nodeid, uint64_t count)
{
	struct fuse_forget_in arg = { .nlookup = count };

	CHECK_EQ(ask(op_forget, (struct ask){ .nodeid = nodeid, .arg = &arg }), 0);
}

static inline int make_dir(struct asker by, uint64_t dir, const char *name, uint32_t mode)
{
	struct fuse_mkdir_in arg = { .mode = mode, .umask = world.umask };

	return ask(op_mkdir, (struct ask){ .by = by, .nodeid = dir, .arg = &arg, .name = name });
}

static inline int create_file(struct asker by, uint64_t dir, const char *name, int flags,
			      uint32_t mode)
{
	struct fuse_create_in arg = {
		.flags = (uint32_t)(flags | O_CREAT),
		.mode = S_IFREG | mode,
		.umask = world.umask,
	};

	return ask(op_create, (struct ask){ .by = by, .nodeid = dir, .arg = &arg, .name = name });
}

/* After create_file(). */
static inline uint64_t created_fh(void)
{
	return ((const struct fuse_open_out *)(world.out + sizeof(struct fuse_entry_out)))->fh;
}

static inline int open_file(struct asker by, uint64_t nodeid, int flags)
{
	struct fuse_open_in arg = { .flags = (uint32_t)flags };

	return ask(op_open, (struct ask){ .by = by, .nodeid = nodeid, .arg = &arg });
}

/* After open_file() or opening a directory. */
static inline uint64_t opened_fh(void)
{
	return ((const struct fuse_open_out *)world.out)->fh;
}

static inline void release(uint64_t fh)
{
	struct fuse_release_in arg = { .fh = fh };

	CHECK_EQ(ask(op_release, (struct ask){ .nodeid = ROOT, .arg = &arg }), 0);
}

/* Whether this process can act for others; says SKIP where not. */
static inline bool can_act(void)
{
	if (creds_act_for_callers())
		return true;
	SKIP("CAP_SETUID and CAP_SETGID");
	return false;
}

/* First thing in main(). */
static inline void fixture_init(void)
{
	CHECK_EQ(creds_init(), 0);
	CHECK_EQ(creds_thread_init(), 0);
}

#endif
