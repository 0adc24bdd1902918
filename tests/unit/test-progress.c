/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each request whose process is killed anywhere in its handler, and that is handled again by
 * another process, has the answer and the effect that it would have had.
 */
#include "store/progress.h"

#include <sys/xattr.h>

#include "handlers/dispatch.h"
#include "handlers/op-xattr.h"
#include "killed.h"
#include "op-fixture.h"
#include "store/cached-open.h"
#include "store/inode-rows.h"

#ifdef __SANITIZE_ADDRESS__
#define IS_SLOW true
#else
#define IS_SLOW false
#endif
#define STOPS	    (IS_SLOW ? 3 : 10) /* of a request, at which its process is killed */
#define STOPS_LONG  300		       /* the same with CAISSON_LONG=1 */
#define NODEIDS	    512
#define COUNT_STEPS 8 /* instructions that are sure to have counted it */
#define FILES	    5 /* in a directory that is listed */

/* In the arena. */
struct kept {
	struct progress progress;
	uint64_t nodeids[NODEIDS];
};

/* A request, and what there is before it. */
static struct {
	struct fuse_in_header in;
	union {
		struct fuse_mkdir_in mkdir;
		struct fuse_mknod_in mknod;
		struct fuse_link_in link;
		struct fuse_create_in create;
		struct fuse_open_in open;
		struct fuse_rename2_in rename;
		struct fuse_setxattr_in setxattr;
		struct fuse_release_in release;
		struct fuse_flush_in flush;
		struct fuse_forget_in forget;
		struct fuse_batch_forget_in batch;
		struct fuse_read_in read;
	} arg;
	struct fuse_forget_one ones[FILES];
	const char *name[2], *data;
	uint32_t data_len;
	uint64_t nodeid, fh;
	ino_t number;
} it;
static struct call call;

static struct kept *kept(void)
{
	_Static_assert(sizeof(struct kept) <= 2 * PAGE_BYTES, "world_make() has planned that");
	return arena_table(&world.arena, ARENA_REQUESTS);
}

static void make_call(void)
{
	call = call_with_room(&it.in);
	call.arg = &it.arg;
	call.name[0] = it.name[0];
	call.name[1] = it.name[1];
	call.data = it.data;
	call.data_len = it.data_len;
	call.progress = &kept()->progress;
	call.nodeids = kept()->nodeids;
	call.nodeids_count = NODEIDS;
}

static int handle(void)
{
	make_call();
	return dispatch_handle(dispatch_entry(it.in.opcode), &call);
}

static void act(void)
{
	(void)handle();
}

/* What a process does that takes over. */
static int handle_again(void)
{
	make_call();
	dispatch_take_back(&call);
	return handle();
}

static void act_again(void)
{
	(void)handle_again();
}

static void make_file_behind(const char *name)
{
	int fd = open(backing(name), O_CREAT | O_EXCL | O_WRONLY, 0644);

	CHECK(fd >= 0 && close(fd) == 0);
}

static ino_t number_of(const char *name)
{
	struct stat st;

	return lstat(backing(name), &st) < 0 ? 0 : st.st_ino;
}

/* -- What makes a name -- */

static void mkdir_begin(void)
{
	it.in.opcode = FUSE_MKDIR;
	it.arg.mkdir = (struct fuse_mkdir_in){ .mode = 0700 };
	it.name[0] = "new";
}

static void made_end(void)
{
	CHECK_EQ(entry_out()->attr.ino, number_of("new"));
	forget(entry_out()->nodeid, 1);
}

static void mkdir_end(void)
{
	CHECK(S_ISDIR(entry_out()->attr.mode));
	made_end();
}

static void exists_begin(void)
{
	mkdir_begin();
	make_file_behind("new");
}

static void mknod_begin(void)
{
	it.in.opcode = FUSE_MKNOD;
	it.arg.mknod = (struct fuse_mknod_in){ .mode = S_IFIFO | 0600 };
	it.name[0] = "new";
}

static void symlink_begin(void)
{
	it.in.opcode = FUSE_SYMLINK;
	it.name[0] = "new";
	it.name[1] = "target";
}

static void link_begin(void)
{
	make_file_behind("old");
	it.nodeid = look(ROOT, "old");
	it.in.opcode = FUSE_LINK;
	it.arg.link = (struct fuse_link_in){ .oldnodeid = it.nodeid };
	it.name[0] = "new";
}

static void link_end(void)
{
	CHECK_EQ(entry_out()->nodeid, it.nodeid);
	CHECK_EQ(entry_out()->attr.nlink, 2u);
	made_end();
	forget(it.nodeid, 1);
}

static void create_begin(void)
{
	it.in.opcode = FUSE_CREATE;
	it.in.uid = some_user.uid;
	it.in.gid = some_user.gid;
	it.in.pid = 0;
	/* who creates a file may write to it, whatever its mode says */
	it.arg.create = (struct fuse_create_in){
		.flags = O_CREAT | O_EXCL | O_RDWR,
		.mode = S_IFREG | 0400,
	};
	it.name[0] = "new";
}

static void create_end(void)
{
	const struct file *file = file_get(&world.fs.files, created_fh());

	CHECK(file != NULL && (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_RDWR);
	CHECK_EQ(entry_out()->attr.uid, some_user.uid);
	CHECK_EQ(entry_out()->attr.ino, it.name[0] ? number_of("new") : entry_out()->attr.ino);
	it.nodeid = entry_out()->nodeid;
	release(created_fh());
	forget(it.nodeid, 1);
}

static void tmpfile_begin(void)
{
	create_begin();
	it.in.opcode = FUSE_TMPFILE;
	it.name[0] = NULL;
}

/* -- What removes or moves one -- */

static void unlink_begin(void)
{
	make_file_behind("old");
	it.nodeid = look(ROOT, "old");
	it.in.opcode = FUSE_UNLINK;
	it.name[0] = "old";
}

static void unlink_end(void)
{
	CHECK_EQ(number_of("old"), 0);
	if (it.nodeid)
		forget(it.nodeid, 1);
}

static void missing_begin(void)
{
	it.in.opcode = FUSE_UNLINK;
	it.name[0] = "old";
}

static void rmdir_begin(void)
{
	CHECK(mkdir(backing("old"), 0700) == 0);
	it.in.opcode = FUSE_RMDIR;
	it.name[0] = "old";
}

static void rename_begin(void)
{
	make_file_behind("old");
	make_file_behind("new");
	it.number = number_of("old");
	it.in.opcode = FUSE_RENAME2;
	it.arg.rename = (struct fuse_rename2_in){ .newdir = ROOT };
	it.name[0] = "old";
	it.name[1] = "new";
}

static void rename_end(void)
{
	CHECK_EQ(number_of("old"), 0);
	CHECK_EQ(number_of("new"), it.number);
}

static void exchange_begin(void)
{
	rename_begin();
	it.arg.rename.flags = RENAME_EXCHANGE;
}

static void exchange_end(void)
{
	CHECK_EQ(number_of("new"), it.number);
	CHECK(number_of("old") != 0);
}

static void same_file_begin(void)
{
	make_file_behind("old");
	CHECK(link(backing("old"), backing("new")) == 0);
	it.in.opcode = FUSE_RENAME2;
	it.arg.rename = (struct fuse_rename2_in){ .newdir = ROOT };
	it.name[0] = "old";
	it.name[1] = "new";
}

static void same_file_end(void)
{
	CHECK(number_of("old") != 0 && number_of("old") == number_of("new"));
}

/* -- Extended attributes -- */

static void setxattr_begin(void)
{
	make_file_behind("old");
	it.nodeid = it.in.nodeid = look(ROOT, "old");
	it.in.opcode = FUSE_SETXATTR;
	it.arg.setxattr = (struct fuse_setxattr_in){ .size = 5, .flags = XATTR_CREATE };
	it.name[0] = "user.caisson";
	it.data = "value";
	it.data_len = 5;
}

static void setxattr_end(void)
{
	char value[8];

	CHECK_EQ(getxattr(backing("old"), "user.caisson", value, sizeof(value)), 5);
	forget(it.nodeid, 1);
}

static void setxattr_exists_begin(void)
{
	setxattr_begin();
	CHECK(setxattr(backing("old"), "user.caisson", "other", 5, 0) == 0);
}

static void removexattr_begin(void)
{
	setxattr_exists_begin();
	it.in.opcode = FUSE_REMOVEXATTR;
}

static void removexattr_end(void)
{
	CHECK(getxattr(backing("old"), "user.caisson", NULL, 0) < 0 && errno == ENODATA);
	forget(it.nodeid, 1);
}

/* -- Lookups and open files -- */

static void lookup_begin(void)
{
	make_file_behind("new");
	it.in.opcode = FUSE_LOOKUP;
	it.name[0] = "new";
}

static void lookup_again_begin(void)
{
	lookup_begin();
	it.nodeid = look(ROOT, "new");
}

static void lookup_again_end(void)
{
	CHECK_EQ(entry_out()->nodeid, it.nodeid);
	forget(it.nodeid, 2);
}

static void forget_begin(void)
{
	make_file_behind("old");
	it.nodeid = it.in.nodeid = look(ROOT, "old");
	CHECK_EQ(look(ROOT, "old"), it.nodeid);
	it.in.opcode = FUSE_FORGET;
	it.arg.forget = (struct fuse_forget_in){ .nlookup = 1 };
}

static void forget_end(void)
{
	CHECK(inode_get(&world.fs.inodes, it.nodeid) != NULL);
	(void)inode_unpin(0);
	forget(it.nodeid, 1);
}

static void batch_begin(void)
{
	static const char *const names[] = { "0", "1", "2", "3", "4" };

	for (int i = 0; i < FILES; i++) {
		make_file_behind(names[i]);
		it.ones[i] = (struct fuse_forget_one){ look(ROOT, names[i]), 1 };
	}
	/* one was looked up three times, and is forgotten twice */
	it.ones[FILES - 2].nodeid = it.ones[0].nodeid;
	CHECK_EQ(look(ROOT, names[0]), it.ones[0].nodeid);
	CHECK_EQ(look(ROOT, names[0]), it.ones[0].nodeid);
	forget(look(ROOT, names[FILES - 2]), 2);
	it.nodeid = it.ones[0].nodeid;
	it.in.opcode = FUSE_BATCH_FORGET;
	it.arg.batch = (struct fuse_batch_forget_in){ .count = FILES };
	it.data = (const char *)it.ones;
	it.data_len = sizeof(it.ones);
}

static void open_begin(void)
{
	make_file_behind("old");
	it.nodeid = it.in.nodeid = look(ROOT, "old");
	it.in.opcode = FUSE_OPEN;
	it.arg.open = (struct fuse_open_in){ .flags = O_RDWR };
}

static void open_end(void)
{
	release(opened_fh());
	forget(it.nodeid, 1);
}

static void release_begin(void)
{
	open_begin();
	CHECK_EQ(open_file(root_user, it.nodeid, O_RDWR), 0);
	it.fh = opened_fh();
	it.in.opcode = FUSE_RELEASE;
	it.arg.release = (struct fuse_release_in){ .fh = it.fh };
}

static void release_end(void)
{
	forget(it.nodeid, 1);
}

static void release_nothing_begin(void)
{
	it.in.opcode = FUSE_RELEASE;
	it.arg.release = (struct fuse_release_in){ .fh = 1 };
}

static void flush_begin(void)
{
	release_begin();
	inode_record_error(inode_get(&world.fs.inodes, it.nodeid), -EIO);
	(void)inode_unpin(0);
	it.in.opcode = FUSE_FLUSH;
	it.arg.flush = (struct fuse_flush_in){ .fh = it.fh };
}

static void flush_end(void)
{
	CHECK_EQ(ask(op_flush, (struct ask){ .nodeid = it.nodeid, .arg = &it.arg }), 0);
	release(it.fh);
	forget(it.nodeid, 1);
}

static void list_begin(void)
{
	static const char *const names[] = { "0", "1", "2", "3", "4" };
	struct fuse_open_in arg = { 0 };

	for (int i = 0; i < FILES; i++)
		make_file_behind(names[i]);
	CHECK_EQ(ask(op_opendir, (struct ask){ .nodeid = ROOT, .arg = &arg }), 0);
	it.fh = opened_fh();
	it.in.opcode = FUSE_READDIRPLUS;
	it.arg.read = (struct fuse_read_in){ .fh = it.fh, .size = CALL_OUT_LEN };
}

static void list_end(void)
{
	struct fuse_release_in arg = { .fh = it.fh };
	static uint8_t listed[CALL_OUT_LEN] __attribute__((aligned(8)));
	uint32_t count = 0, len = call.out_len;

	memcpy(listed, world.out, len);
	for (uint32_t at = 0; at < len;) {
		const struct fuse_direntplus *plus = (const void *)(listed + at);

		if (plus->entry_out.nodeid) {
			forget(plus->entry_out.nodeid, 1);
			count++;
		}
		at += (uint32_t)FUSE_DIRENTPLUS_SIZE(plus);
	}
	CHECK_EQ(count, FILES);
	CHECK_EQ(ask(op_releasedir, (struct ask){ .nodeid = ROOT, .arg = &arg }), 0);
}

static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*begin)(void);
	int result;
	void (*end)(void);
} requests[] = {
	{ "MKDIR", mkdir_begin, 0, mkdir_end },
	{ "MKDIR of what exists", exists_begin, -EEXIST, nothing },
	{ "MKNOD", mknod_begin, 0, made_end },
	{ "SYMLINK", symlink_begin, 0, made_end },
	{ "LINK", link_begin, 0, link_end },
	{ "CREATE", create_begin, 0, create_end },
	{ "TMPFILE", tmpfile_begin, 0, create_end },
	{ "UNLINK", unlink_begin, 0, unlink_end },
	{ "UNLINK of nothing", missing_begin, -ENOENT, nothing },
	{ "RMDIR", rmdir_begin, 0, unlink_end },
	{ "RENAME", rename_begin, 0, rename_end },
	{ "RENAME, exchanging", exchange_begin, 0, exchange_end },
	{ "RENAME of one file", same_file_begin, 0, same_file_end },
	{ "SETXATTR", setxattr_begin, 0, setxattr_end },
	{ "SETXATTR of what exists", setxattr_exists_begin, -EEXIST, setxattr_end },
	{ "REMOVEXATTR", removexattr_begin, 0, removexattr_end },
	{ "LOOKUP", lookup_begin, 0, made_end },
	{ "LOOKUP again", lookup_again_begin, 0, lookup_again_end },
	{ "FORGET", forget_begin, 0, forget_end },
	{ "BATCH_FORGET", batch_begin, 0, forget_end },
	{ "OPEN", open_begin, 0, open_end },
	{ "RELEASE", release_begin, 0, release_end },
	{ "RELEASE of nothing", release_nothing_begin, -EBADF, nothing },
	{ "FLUSH", flush_begin, -EIO, flush_end },
	{ "READDIRPLUS", list_begin, 0, list_end },
};

static bool has_counted; /* the process that was killed had, or was just doing so */

static void take_over(void)
{
	struct fs *fs = &world.fs;

	pool_destroy(&fs->files.pool);
	inode_rows_close(&fs->inodes);
	CHECK_EQ(inode_table_prepare(&fs->inodes, &world.arena), 0);
	CHECK_EQ(inode_table_attach(&fs->inodes), 0);
	fs->inodes.session_fd = -1;
	CHECK_EQ(file_table_prepare(&fs->files, &world.arena, &fs->inodes), 0);
	file_table_attach(&fs->files);
	cached_open_attach(&fs->files);
	inode_table_free_unheld(&fs->inodes);
}

/*
 * Kills the process of request I after STOP instructions, and one that handles it again after
 * SECOND, unless SECOND is 0. Then handles it to its end. Returns how many instructions the first
 * process executed.
 */
static uint64_t try(size_t i, uint64_t stop, uint64_t second)
{
	uint64_t steps;
	int r;

	world_make(64);
	memset(&it, 0, sizeof(it));
	it.in.nodeid = ROOT;
	it.in.pid = (uint32_t)getpid();
	requests[i].begin();
	steps = kill_after(act, stop);
	has_counted = world.fs.inodes.common->step.is_under_way || kept()->progress.counted;
	take_over();
	if (second) {
		(void)kill_after(act_again, second);
		take_over();
	}
	r = handle_again();
	if (r != requests[i].result)
		test_fail(__FILE__, __LINE__, requests[i].name,
			  ": %s after %" PRIu64 " and %" PRIu64 " instructions", strerror(-r), stop,
			  second);
	requests[i].end();
	world_end();
	return steps;
}

/* Whether it is one of the requests that are killed while they count lookups or FORGETs. */
static bool counts(void (*begin)(void))
{
	return begin == lookup_begin || begin == forget_begin || begin == batch_begin ||
	       begin == list_begin;
}

/* Kills the process of request I around the moment at which it counts a lookup or FORGET. */
static void try_counting(size_t i, uint64_t all)
{
	uint64_t before = 0, after = all;

	while (after - before > 1) {
		uint64_t stop = before + (after - before) / 2;

		(void)try(i, stop, 0);
		*(has_counted ? &after : &before) = stop;
	}
	for (uint64_t stop = after; stop < after + COUNT_STEPS; stop++)
		(void)try(i, stop, 0);
}

static void a_request_is_handled_once(void)
{
	uint64_t stops = getenv("CAISSON_LONG") ? STOPS_LONG : STOPS;

	if (!can_kill_after() || !can_act())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		uint64_t all;

		test_state.name = requests[i].name;
		all = try(i, UINT64_MAX, 0);
		CHECK(all > 100); /* each step was seen */
		if (!IS_SLOW && counts(requests[i].begin))
			try_counting(i, all);
		for (uint64_t n = 0; n < stops; n++)
			(void)try(i, kill_stop(all, n, stops),
				  n % 2 ? (uint64_t)random() % all : 0);
	}
}

int main(void)
{
	fixture_init();
	srandom((unsigned)getpid());
	RUN(a_request_is_handled_once);
	return test_result();
}
