/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks between owners of one mount, and between them and somebody else who uses the backing
 * directory: what is granted, who waits and is answered when, and that nothing is left behind.
 * A random run is compared, byte by byte, with a model and with the kernel.
 */
#include "op-lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "call.h"
#include "cleanup.h"
#include "fs.h"
#include "lock-wait.h"
#include "macro.h"
#include "test.h"

enum { TICKETS = 64, OWNERS = 16, WAITERS = 16 };

#define EOF_END ((uint64_t)INT64_MAX)

/* What the requests' owner, worker.c, does with a ticket. */
static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	enum { RUN, PARKED, ANSWERED } state[TICKETS];
	int error[TICKETS];
	unsigned order[TICKETS]; /* of the answers */
	unsigned answers;
} tickets = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

void call_park(uint32_t ticket)
{
	pthread_mutex_lock(&tickets.mutex);
	CHECK(ticket < TICKETS && tickets.state[ticket] == RUN);
	tickets.state[ticket] = PARKED;
	pthread_mutex_unlock(&tickets.mutex);
}

void call_answer(uint32_t ticket, int error)
{
	pthread_mutex_lock(&tickets.mutex);
	CHECK(ticket < TICKETS && tickets.state[ticket] == PARKED); /* once, and only if parked */
	tickets.state[ticket] = ANSWERED;
	tickets.error[ticket] = error;
	tickets.order[ticket] = tickets.answers++;
	pthread_cond_broadcast(&tickets.changed);
	pthread_mutex_unlock(&tickets.mutex);
}

/* The answer to TICKET; waits for it if it is parked. */
static int wait_answer(uint32_t ticket)
{
	int error;

	pthread_mutex_lock(&tickets.mutex);
	while (tickets.state[ticket] == PARKED)
		pthread_cond_wait(&tickets.changed, &tickets.mutex);
	CHECK(tickets.state[ticket] == ANSWERED);
	tickets.state[ticket] = RUN;
	error = tickets.error[ticket];
	pthread_mutex_unlock(&tickets.mutex);
	return error;
}

static bool is_parked(uint32_t ticket)
{
	bool parked;

	pthread_mutex_lock(&tickets.mutex);
	parked = tickets.state[ticket] == PARKED;
	pthread_mutex_unlock(&tickets.mutex);
	return parked;
}

/* The answer to TICKET, which must be there. */
static int answer_now(uint32_t ticket)
{
	CHECK(!is_parked(ticket));
	return wait_answer(ticket);
}

static struct {
	char path[64];
	struct arena arena;
	struct fs fs;
	unsigned fds; /* open when the world was made */
} world;

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	CHECK(closedir(dir) == 0);
	return count;
}

static void world_make(uint32_t owners, uint32_t waiters)
{
	const char *tmp = getenv("TMPDIR");

	world.fds = count_fds();
	memset(&world.fs, 0, sizeof(world.fs));
	CHECK(snprintf(world.path, sizeof(world.path), "%s/caisson-lock-XXXXXX",
		       tmp ? tmp : "/tmp") < (int)sizeof(world.path));
	CHECK(mkdtemp(world.path) != NULL);
	arena_init(&world.arena);
	CHECK_EQ(inode_table_plan(&world.arena, 16), 0);
	CHECK_EQ(file_table_plan(&world.arena, 64), 0);
	CHECK_EQ(lock_plan(&world.arena, owners, waiters), 0);
	CHECK_EQ(arena_create(&world.arena), 0);
	CHECK_EQ(inode_table_init(&world.fs.inodes, &world.arena), 0);
	CHECK_EQ(file_table_init(&world.fs.files, &world.arena), 0);
	CHECK_EQ(lock_init(&world.fs, &world.arena), 0);
	CHECK_EQ(store_open(&world.fs.store, world.path), 0);
	CHECK_EQ(store_open_proc(&world.fs.store), 0);
	CHECK_EQ(inode_table_set_root(&world.fs.inodes, world.fs.store.root_fd), 0);
}

/* Everything is released: no row, no waiter, no descriptor is left. */
static void world_end(void)
{
	struct lock_table *table = world.fs.locks;
	char command[128];

	CHECK(lock_owners_none(&table->owners));
	CHECK_EQ(atomic_load(&table->owners.pool.free), table->owners.count);
	CHECK_EQ(atomic_load(&table->owners.range_pool.free), table->owners.range_pool.count);
	CHECK_EQ(atomic_load(&table->waiter_pool.free), table->waiter_pool.count);
	lock_destroy(&world.fs);
	store_close(&world.fs.store);
	file_table_destroy(&world.fs.files);
	inode_table_destroy(&world.fs.inodes);
	arena_destroy(&world.arena);
	CHECK_EQ(count_fds(), world.fds);
	CHECK(snprintf(command, sizeof(command), "rm -rf '%s'", world.path) > 0);
	CHECK(system(command) == 0);
}

static const char *backing(const char *name)
{
	static _Thread_local char path[128];

	CHECK(snprintf(path, sizeof(path), "%s/%s", world.path, name) < (int)sizeof(path));
	return path;
}

/* Opens NAME, made if need be, as OPEN does: its fh. */
static uint64_t open_fh(const char *name, int flags)
{
	struct file fill = { .fd = -1, .buffered_fd = -1, .flags = (uint32_t)flags };
	struct inode *inode;
	struct statx stx;
	uint64_t fh;
	int fd;

	fd = open(backing(name), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	CHECK(fd >= 0);
	CHECK(close(fd) == 0);
	CHECK_EQ(store_open_child(world.fs.store.root_fd, name, &fd), 0);
	CHECK_EQ(store_statx(fd, STATX_BASIC_STATS, &stx), 0);
	CHECK_EQ(inode_remember(&world.fs.inodes, &fd, &stx, &inode), 0);
	CHECK_EQ(store_reopen(&world.fs.store, inode->fd, flags, &fill.fd), 0);
	CHECK_EQ(file_open(&world.fs, inode, &fill, &fh), 0);
	return fh;
}

static struct file *file_of(uint64_t fh)
{
	struct file *file = file_get(&world.fs.files, fh);

	CHECK(file);
	return file;
}

/* RELEASE and what follows it. */
static void close_fh(uint64_t fh)
{
	struct file *file = file_of(fh);
	struct inode *inode = inode_at(&world.fs.inodes, file->inode);
	uint64_t nodeid = inode_nodeid(&world.fs.inodes, inode);

	lock_release_flock(&world.fs, file);
	file_close(&world.fs, file);
	inode_forget(&world.fs.inodes, nodeid, 1);
}

/* FLUSH: OWNER closes a descriptor of FH. */
static void flush(uint64_t fh, uint64_t owner)
{
	lock_release_owner(&world.fs, file_of(fh)->inode, owner);
}

struct lock_ask {
	uint64_t fh, owner;
	uint32_t type;
	uint64_t start, end;
	uint32_t pid;
	uint32_t ticket;
	uint64_t unique;
	bool flock;
};

static int ask(int (*handler)(struct call *), struct lock_ask what, struct fuse_lk_out *ret_out)
{
	struct fuse_in_header in = { .unique = what.unique };
	struct fuse_lk_in arg = {
		.fh = what.fh,
		.owner = what.owner,
		.lk = {
			.start = what.flock ? 0 : what.start,
			.end = what.flock ? EOF_END : what.end,
			.type = what.type,
			.pid = what.pid,
		},
		.lk_flags = what.flock ? FUSE_LK_FLOCK : 0,
	};
	struct call call = {
		.fs = &world.fs,
		.in = &in,
		.arg = &arg,
		.ticket = what.ticket,
		.out = ret_out,
		.out_cap = ret_out ? sizeof(*ret_out) : 0,
	};
	int r = inode_unpin(handler(&call));

	CHECK_EQ(call.out_len, r == 0 && ret_out ? sizeof(*ret_out) : 0u);
	return r;
}

static int set(uint64_t fh, uint64_t owner, uint32_t type, uint64_t start, uint64_t end)
{
	return ask(op_setlk,
		   (struct lock_ask){ .fh = fh,
				      .owner = owner,
				      .type = type,
				      .start = start,
				      .end = end,
				      .pid = 4711 },
		   NULL);
}

/* SETLKW; the ticket is also the unique. */
static int set_wait(uint64_t fh, uint64_t owner, uint32_t type, uint64_t start, uint64_t end,
		    uint32_t ticket)
{
	return ask(op_setlkw,
		   (struct lock_ask){ .fh = fh,
				      .owner = owner,
				      .type = type,
				      .start = start,
				      .end = end,
				      .ticket = ticket,
				      .unique = 2 * (uint64_t)ticket + 2 },
		   NULL);
}

static int set_flock(uint64_t fh, uint32_t type)
{
	return ask(op_setlk,
		   (struct lock_ask){ .fh = fh, .owner = fh, .type = type, .flock = true }, NULL);
}

static int set_flock_wait(uint64_t fh, uint32_t type, uint32_t ticket)
{
	return ask(op_setlkw,
		   (struct lock_ask){ .fh = fh,
				      .owner = fh,
				      .type = type,
				      .flock = true,
				      .ticket = ticket,
				      .unique = 2 * (uint64_t)ticket + 2 },
		   NULL);
}

static struct fuse_file_lock get(uint64_t fh, uint64_t owner, uint32_t type, uint64_t start,
				 uint64_t end)
{
	struct fuse_lk_out out;

	CHECK_EQ(ask(op_getlk,
		     (struct lock_ask){
			     .fh = fh, .owner = owner, .type = type, .start = start, .end = end },
		     &out),
		 0);
	return out.lk;
}

static void interrupt(uint64_t unique)
{
	struct fuse_interrupt_in arg = { .unique = unique };
	struct call call = { .fs = &world.fs, .arg = &arg };

	CHECK_EQ(op_interrupt(&call), 0);
	CHECK_EQ(call.out_len, 0u);
}

/* Somebody else's descriptor of the backing file NAME. */
static int outsider(const char *name)
{
	int fd = open(backing(name), O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static int outside_lock(int fd, short type, off_t start, off_t len)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* What an outsider finds in the way of a write lock on [START, START + LEN). */
static short outside_sees(int fd, off_t start, off_t len)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	CHECK(fcntl(fd, F_OFD_GETLK, &lock) == 0);
	return lock.l_type;
}

static void owners_exclude_each_other(void)
{
	uint64_t f, g;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	g = open_fh("f", O_RDWR); /* hard links and openings share one nodeid */
	fd = outsider("f");
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(set(f, 2, F_WRLCK, 9, 9), -EAGAIN);
	CHECK_EQ(set(g, 2, F_RDLCK, 0, EOF_END), -EAGAIN);
	CHECK_EQ(set(g, 2, F_RDLCK, 10, 19), 0);
	CHECK_EQ(set(f, 1, F_RDLCK, 5, 14), 0); /* its own, over its own; shared with 2's */
	CHECK_EQ(outside_sees(fd, 0, 5), F_WRLCK);
	CHECK_EQ(outside_sees(fd, 5, 15), F_RDLCK);
	CHECK_EQ(outside_sees(fd, 20, 0), F_UNLCK);
	CHECK_EQ(set(f, 1, F_UNLCK, 0, EOF_END), 0);
	CHECK_EQ(outside_sees(fd, 0, 10), F_UNLCK);
	CHECK_EQ(set(f, 3, F_UNLCK, 0, EOF_END), 0); /* has none: nothing to do */
	flush(g, 2);
	CHECK_EQ(outside_sees(fd, 0, 0), F_UNLCK);
	CHECK_EQ(ask(op_setlk, (struct lock_ask){ .fh = 12345, .type = F_RDLCK, .end = 1 }, NULL),
		 -EBADF);
	CHECK(close(fd) == 0);
	close_fh(f);
	close_fh(g);
	world_end();
}

static void outsiders_are_seen(void)
{
	struct fuse_file_lock lock;
	int fd, ready[2], go[2], status;
	uint64_t f;
	pid_t child;
	char c;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	fd = outsider("f");
	CHECK_EQ(outside_lock(fd, F_WRLCK, 100, 0), 0);
	CHECK_EQ(set(f, 1, F_RDLCK, 0, 100), -EAGAIN);
	CHECK_EQ(set(f, 1, F_RDLCK, 0, 99), 0);
	lock = get(f, 1, F_RDLCK, 50, 200);
	CHECK_EQ(lock.type, (uint32_t)F_WRLCK);
	CHECK_EQ(lock.start, 100u);
	CHECK_EQ(lock.end, EOF_END);
	CHECK_EQ(lock.pid, 0u); /* an open file's: no process */
	CHECK_EQ(outside_lock(fd, F_UNLCK, 0, 0), 0);

	/* a process's lock is reported with its pid */
	CHECK(pipe(ready) == 0 && pipe(go) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		struct flock mine = {
			.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 7, .l_len = 3
		};

		CHECK(close(go[1]) == 0);
		fd = outsider("f");
		CHECK(fcntl(fd, F_SETLK, &mine) == 0);
		CHECK(write(ready[1], "r", 1) == 1);
		CHECK(read(go[0], &c, 1) == 0);
		_exit(0);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	lock = get(f, 2, F_WRLCK, 200, 300);
	CHECK_EQ(lock.type, (uint32_t)F_UNLCK);
	CHECK_EQ(set(f, 1, F_UNLCK, 0, EOF_END), 0);
	lock = get(f, 2, F_WRLCK, 0, EOF_END);
	CHECK_EQ(lock.type, (uint32_t)F_RDLCK);
	CHECK_EQ(lock.start, 7u);
	CHECK_EQ(lock.end, 9u);
	CHECK_EQ(lock.pid, (uint32_t)child);
	CHECK(close(go[1]) == 0 && close(go[0]) == 0 && close(ready[0]) == 0 &&
	      close(ready[1]) == 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(close(fd) == 0);
	close_fh(f);
	world_end();
}

static void getlk_names_the_owner(void)
{
	struct fuse_file_lock lock;
	struct fuse_lk_out out;
	uint64_t f;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	CHECK_EQ(set(f, 1, F_RDLCK, 10, 19), 0);
	lock = get(f, 2, F_WRLCK, 0, EOF_END);
	CHECK_EQ(lock.type, (uint32_t)F_RDLCK);
	CHECK_EQ(lock.start, 10u);
	CHECK_EQ(lock.end, 19u);
	CHECK_EQ(lock.pid, 4711u);
	CHECK_EQ(get(f, 2, F_RDLCK, 0, EOF_END).type, (uint32_t)F_UNLCK);
	CHECK_EQ(get(f, 1, F_WRLCK, 0, EOF_END).type, (uint32_t)F_UNLCK);
	CHECK_EQ(ask(op_getlk, (struct lock_ask){ .fh = f, .type = F_UNLCK, .end = 1 }, &out),
		 -EINVAL);
	flush(f, 1);
	close_fh(f);
	world_end();
}

static void waiters_come_in_order(void)
{
	uint64_t f;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 99), 0);
	CHECK_EQ(set_wait(f, 2, F_RDLCK, 0, 9, 2), CALL_PARKED);
	CHECK_EQ(set_wait(f, 3, F_RDLCK, 5, 5, 3), CALL_PARKED);
	CHECK_EQ(set_wait(f, 4, F_WRLCK, 5, 5, 4), CALL_PARKED);
	CHECK_EQ(set_wait(f, 5, F_WRLCK, 5, 5, 5), CALL_PARKED);
	CHECK_EQ(set_wait(f, 6, F_WRLCK, 50, 59, 6), CALL_PARKED);
	lock_tick(&world.fs); /* nothing has changed */
	CHECK(is_parked(2) && is_parked(3) && is_parked(4) && is_parked(5) && is_parked(6));

	CHECK_EQ(set(f, 1, F_UNLCK, 50, 59), 0);
	CHECK_EQ(answer_now(6), 0);
	CHECK(is_parked(2));
	/* a write lock turned into a read lock lets readers in */
	CHECK_EQ(set(f, 1, F_RDLCK, 0, 49), 0);
	CHECK_EQ(answer_now(2), 0);
	CHECK_EQ(answer_now(3), 0);
	CHECK(is_parked(4) && is_parked(5));
	flush(f, 1);
	flush(f, 2);
	CHECK(is_parked(4));
	flush(f, 3);
	CHECK_EQ(answer_now(4), 0);
	CHECK(is_parked(5));
	flush(f, 4);
	CHECK_EQ(answer_now(5), 0);
	flush(f, 5);
	flush(f, 6);
	close_fh(f);
	world_end();
}

/* A waiter that gets a read lock for the write lock that it has lets others in before it. */
static void a_grant_lets_others_in(void)
{
	uint64_t f;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(set(f, 2, F_WRLCK, 10, 19), 0);
	CHECK_EQ(set_wait(f, 3, F_RDLCK, 0, 9, 3), CALL_PARKED);
	CHECK_EQ(set_wait(f, 1, F_RDLCK, 0, 19, 1), CALL_PARKED);
	flush(f, 2);
	CHECK_EQ(answer_now(1), 0);
	CHECK_EQ(answer_now(3), 0);
	flush(f, 1);
	flush(f, 3);
	close_fh(f);
	world_end();
}

static void the_tick_finds_what_outsiders_free(void)
{
	uint64_t f;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	fd = outsider("f");
	CHECK_EQ(outside_lock(fd, F_WRLCK, 0, 0), 0);
	CHECK(flock(fd, LOCK_EX) == 0);
	CHECK_EQ(set_wait(f, 1, F_WRLCK, 0, 0, 1), CALL_PARKED);
	CHECK_EQ(set_flock_wait(f, F_RDLCK, 2), CALL_PARKED);
	lock_tick(&world.fs);
	CHECK(is_parked(1) && is_parked(2));
	CHECK_EQ(outside_lock(fd, F_UNLCK, 0, 0), 0);
	CHECK(is_parked(1));
	lock_tick(&world.fs);
	CHECK_EQ(answer_now(1), 0);
	CHECK(is_parked(2));
	CHECK(close(fd) == 0);
	lock_tick(&world.fs);
	CHECK_EQ(answer_now(2), 0);
	flush(f, 1);
	close_fh(f);
	world_end();
}

static void interrupts_end_the_wait(void)
{
	uint64_t f;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	fd = outsider("f");
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 0, 9, 2), CALL_PARKED);
	CHECK_EQ(set_wait(f, 3, F_WRLCK, 0, 9, 3), CALL_PARKED);
	CHECK_EQ(set_flock(f, F_UNLCK), 0);
	interrupt(77777); /* some other request's */
	CHECK(is_parked(2) && is_parked(3));
	interrupt(2 * 2 + 2);
	CHECK_EQ(answer_now(2), -EINTR);
	interrupt(2 * 2 + 2); /* too late for anything */
	/* one that the kernel has sent anew is the same request */
	interrupt((2 * 3 + 2) | CAISSON_UNIQUE_RESEND);
	CHECK_EQ(answer_now(3), -EINTR);
	flush(f, 1);
	/* whoever was interrupted has nothing */
	CHECK_EQ(outside_sees(fd, 0, 0), F_UNLCK);
	CHECK_EQ(lock_owners_none(&world.fs.locks->owners), true);

	/* an interrupt that overtakes its request */
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	interrupt(2 * 9 + 2);
	for (uint64_t other = 0; other < LOCK_INTERRUPTS - 1; other++)
		interrupt(100000 + 2 * other);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 0, 9, 9), -EINTR);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 0, 9, 10), CALL_PARKED);
	interrupt(2 * 10 + 2);
	CHECK_EQ(answer_now(10), -EINTR);
	flush(f, 1);
	CHECK(close(fd) == 0);
	close_fh(f);
	world_end();
}

static void closing_ends_posix_locks(void)
{
	uint64_t f, g;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	g = open_fh("f", O_RDWR);
	fd = outsider("f");
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(set(f, 1, F_WRLCK, 20, 29), 0);
	CHECK_EQ(set(f, 2, F_WRLCK, 40, 49), 0);
	CHECK_EQ(set_wait(g, 1, F_WRLCK, 40, 49, 1), CALL_PARKED);
	/* closing any descriptor of the file ends all of the owner's locks, and no waiting */
	flush(f, 1);
	CHECK_EQ(outside_sees(fd, 0, 30), F_UNLCK);
	CHECK(is_parked(1));
	close_fh(f); /* … and the same when the open file goes: the other's locks went through it */
	CHECK_EQ(answer_now(1), 0);
	CHECK_EQ(outside_sees(fd, 40, 10), F_WRLCK);

	/* the client's own open-file-description lock: nobody sends a FLUSH for this owner */
	CHECK_EQ(set(g, 0xf11e, F_WRLCK, 60, 69), 0);
	CHECK_EQ(outside_sees(fd, 60, 10), F_WRLCK);
	close_fh(g);
	CHECK_EQ(outside_sees(fd, 0, 0), F_UNLCK);
	CHECK(close(fd) == 0);
	world_end();
}

static void flocks(void)
{
	uint64_t f, g, h;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	g = open_fh("f", O_RDONLY);
	h = open_fh("f", O_RDONLY);
	fd = outsider("f");
	CHECK_EQ(set_flock(f, F_RDLCK), 0);
	CHECK_EQ(set_flock(g, F_RDLCK), 0);
	CHECK(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	CHECK_EQ(set_flock_wait(h, F_WRLCK, 1), CALL_PARKED);
	/* a conversion that fails loses the lock that was there, as flock(2) says */
	CHECK_EQ(set_flock(f, F_WRLCK), -EAGAIN);
	CHECK(is_parked(1));
	CHECK_EQ(set_flock(g, F_WRLCK), 0);
	CHECK(is_parked(1));
	CHECK_EQ(set_flock(g, F_UNLCK), 0);
	CHECK_EQ(answer_now(1), 0);
	CHECK_EQ(set_flock_wait(f, F_WRLCK, 2), CALL_PARKED);
	CHECK_EQ(set_flock(h, F_UNLCK), 0);
	CHECK_EQ(answer_now(2), 0);
	/* f has written: its descriptor has a duplicate that outlives it as long as g is open */
	CHECK_EQ(set_flock_wait(g, F_RDLCK, 3), CALL_PARKED);
	CHECK(atomic_load(&inode_at(&world.fs.inodes, file_of(f)->inode)->sync_fd) >= 0);
	close_fh(f);
	CHECK_EQ(answer_now(3), 0);
	/* POSIX locks and flocks don't see each other */
	CHECK_EQ(set(g, 1, F_RDLCK, 0, EOF_END), 0);
	CHECK_EQ(set_flock(h, F_RDLCK), 0);
	CHECK_EQ(set_flock(g, F_UNLCK), 0);
	CHECK_EQ(set_flock(h, F_UNLCK), 0);
	CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
	CHECK_EQ(set_flock(h, F_RDLCK), -EAGAIN);
	CHECK(close(fd) == 0);
	flush(g, 1);
	close_fh(g);
	close_fh(h);
	world_end();
}

static void deadlocks_are_found(void)
{
	uint64_t f, g;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	g = open_fh("g", O_RDWR);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 0), 0);
	CHECK_EQ(set(g, 2, F_WRLCK, 1, 1), 0);
	CHECK_EQ(set(f, 3, F_WRLCK, 2, 2), 0);
	CHECK_EQ(set_wait(g, 1, F_RDLCK, 0, 9, 1), CALL_PARKED);
	CHECK_EQ(set_wait(f, 2, F_RDLCK, 2, 2, 2), CALL_PARKED);
	CHECK_EQ(set(f, 3, F_WRLCK, 0, 0), -EAGAIN); /* not waiting, no deadlock */
	CHECK_EQ(set_wait(f, 3, F_WRLCK, 0, 0, 3), -EDEADLK);
	CHECK_EQ(set_wait(g, 3, F_WRLCK, 1, 1, 3), -EDEADLK);
	/* and one that a grant brings about: 4 gets what 3 had, while 1 waits for it through 2 */
	CHECK_EQ(set_wait(f, 4, F_WRLCK, 2, 2, 4), CALL_PARKED);
	interrupt(2 * 2 + 2);
	CHECK_EQ(answer_now(2), -EINTR);
	CHECK_EQ(set_wait(f, 2, F_RDLCK, 2, 2, 2), CALL_PARKED);
	CHECK_EQ(set_wait(f, 4, F_WRLCK, 0, 0, 5), CALL_PARKED); /* another thread of 4's */
	flush(f, 3); /* 4 has byte 2 now, and waits for 1, who waits for 2, who waits for 4 */
	CHECK_EQ(answer_now(4), 0);
	CHECK_EQ(answer_now(2), -EDEADLK);
	CHECK(is_parked(1) && is_parked(5));
	flush(g, 2);
	CHECK_EQ(answer_now(1), 0);
	flush(f, 1);
	flush(g, 1);
	CHECK_EQ(answer_now(5), 0);
	flush(f, 4);
	close_fh(f);
	close_fh(g);
	world_end();
}

static void full_tables_refuse(void)
{
	uint64_t f;
	int fd;

	world_make(3, 2);
	f = open_fh("f", O_RDWR);
	fd = outsider("f");
	for (uint64_t owner = 1; owner <= 3; owner++)
		CHECK_EQ(set(f, owner, F_RDLCK, owner, owner), 0);
	CHECK_EQ(set(f, 4, F_RDLCK, 4, 4), -ENOLCK);
	CHECK_EQ(outside_sees(fd, 4, 1), F_UNLCK);
	CHECK_EQ(set_wait(f, 1, F_WRLCK, 3, 3, 1), CALL_PARKED);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 3, 3, 2), CALL_PARKED);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 3, 3, 3), -ENOLCK);
	flush(f, 3);
	CHECK_EQ(answer_now(1), 0);
	CHECK(is_parked(2));
	flush(f, 1);
	CHECK_EQ(answer_now(2), 0);

	/* each range that can be short, in turn: nothing changes */
	flush(f, 2);
	CHECK_EQ(set(f, 1, F_WRLCK, 10, 29), 0);
	for (uint32_t nth = 1; nth <= 2; nth++) {
		atomic_store(&world.fs.locks->owners.range_pool.fail_in, nth);
		CHECK_EQ(set(f, 1, F_RDLCK, 15, 19), -ENOLCK);
		CHECK_EQ(outside_sees(fd, 15, 5), F_WRLCK);
		CHECK_EQ(get(f, 2, F_RDLCK, 17, 17).type, (uint32_t)F_WRLCK);
	}
	CHECK_EQ(set(f, 1, F_RDLCK, 15, 19), 0);
	atomic_store(&world.fs.locks->owners.range_pool.fail_in, 1);
	CHECK_EQ(set(f, 1, F_UNLCK, 11, 12), -ENOLCK); /* the kernel, too, can't split then */
	CHECK_EQ(outside_sees(fd, 11, 2), F_WRLCK);
	atomic_store(&world.fs.locks->owners.range_pool.fail_in, 1);
	CHECK_EQ(set(f, 1, F_UNLCK, 0, EOF_END), 0); /* needs none */
	atomic_store(&world.fs.locks->owners.range_pool.fail_in, 0);
	CHECK(close(fd) == 0);
	close_fh(f);
	world_end();
}

static void abort_answers_all(void)
{
	uint64_t f;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), 0);
	CHECK_EQ(set_flock(f, F_WRLCK), 0);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 0, 9, 2), CALL_PARKED);
	CHECK_EQ(set_wait(f, 3, F_WRLCK, 0, 9, 3), CALL_PARKED);
	lock_abort_all(&world.fs);
	CHECK_EQ(answer_now(2), -ECONNABORTED);
	CHECK_EQ(answer_now(3), -ECONNABORTED);
	CHECK_EQ(set_wait(f, 2, F_WRLCK, 0, 9, 2), -ECONNABORTED);
	flush(f, 1);
	close_fh(f);
	world_end();
}

/* A file that the daemon's own user can only read: read locks go by a descriptor for reading. */
static void what_can_only_be_read(void)
{
	uint64_t f;
	int fd;

	if (geteuid() != 0) {
		SKIP("root, to be another user");
		return;
	}
	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDONLY);
	fd = outsider("f");
	CHECK(chmod(backing("f"), 0444) == 0);
	(void)syscall(SYS_setfsuid, 61001);
	CHECK_EQ(set(f, 1, F_RDLCK, 0, 9), 0);
	CHECK_EQ(outside_sees(fd, 0, 10), F_RDLCK);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), -ENOLCK);
	CHECK_EQ(outside_sees(fd, 0, 10), F_RDLCK);
	flush(f, 1);
	CHECK_EQ(set(f, 1, F_WRLCK, 0, 9), -EACCES);
	(void)syscall(SYS_setfsuid, 0);
	CHECK(close(fd) == 0);
	close_fh(f);
	world_end();
}

/* The model: what each owner holds of the first bytes, as F_UNLCK, F_RDLCK, F_WRLCK. */
enum { MODEL_BYTES = 24, MODEL_OWNERS = 5, MODEL_STEPS = 6000 };
static uint8_t model[MODEL_OWNERS][MODEL_BYTES];

static bool model_conflict(unsigned owner, uint8_t type, unsigned start, unsigned end)
{
	for (unsigned o = 0; o < MODEL_OWNERS; o++) {
		for (unsigned byte = start; o != owner && byte <= end; byte++) {
			if (model[o][byte] == F_WRLCK ||
			    (model[o][byte] == F_RDLCK && type == F_WRLCK))
				return true;
		}
	}
	return false;
}

/* The records, the backing file's kernel and the model tell the same of every byte. */
static void model_compare(uint64_t f, int fd)
{
	for (unsigned byte = 0; byte < MODEL_BYTES; byte++) {
		struct fuse_file_lock lock = get(f, 999, F_WRLCK, byte, byte);
		uint8_t expected = F_UNLCK;

		for (unsigned o = 0; o < MODEL_OWNERS; o++) {
			if (model[o][byte] != F_UNLCK)
				expected = model[o][byte];
		}
		CHECK_EQ(lock.type, (uint32_t)expected);
		CHECK_EQ(outside_sees(fd, byte, 1), (short)expected);
		if (expected == F_UNLCK)
			continue;
		/* the range reported is one that its owner holds, and as long as can be */
		CHECK(lock.start <= byte && lock.end >= byte);
		CHECK_EQ(model[lock.pid][byte], expected);
		CHECK(lock.start == 0 || model[lock.pid][lock.start - 1] != expected);
		CHECK(lock.end >= MODEL_BYTES - 1 || model[lock.pid][lock.end + 1] != expected);
	}
}

static void records_agree_with_model_and_kernel(void)
{
	static const uint8_t types[] = { F_RDLCK, F_WRLCK, F_UNLCK, F_UNLCK };
	unsigned seed = 20261121, granted = 0, refused = 0;
	uint64_t f;
	int fd;

	world_make(OWNERS, WAITERS);
	f = open_fh("f", O_RDWR);
	fd = outsider("f");
	memset(model, F_UNLCK, sizeof(model));
	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		unsigned owner = (unsigned)rand_r(&seed) % MODEL_OWNERS;
		uint8_t type = types[(unsigned)rand_r(&seed) % ARRAY_SIZE(types)];
		unsigned start = (unsigned)rand_r(&seed) % MODEL_BYTES;
		unsigned end = start + (unsigned)rand_r(&seed) % (MODEL_BYTES - start);
		bool conflict = type != F_UNLCK && model_conflict(owner, type, start, end);
		bool to_eof = end == MODEL_BYTES - 1;
		int r = ask(op_setlk,
			    (struct lock_ask){ .fh = f,
					       .owner = 100 + owner,
					       .type = type,
					       .start = start,
					       .pid = owner,
					       .end = to_eof ? EOF_END : end },
			    NULL);

		CHECK_EQ(r, conflict ? -EAGAIN : 0);
		if (!conflict)
			memset(&model[owner][start], type, end - start + 1);
		granted += !conflict;
		refused += conflict;
		model_compare(f, fd);
	}
	CHECK(granted > 1000 && refused > 500);
	for (unsigned owner = 0; owner < MODEL_OWNERS; owner++)
		flush(f, 100 + owner);
	CHECK(close(fd) == 0);
	close_fh(f);
	world_end();
}

/*
 * Threads that wait for one another's locks, without a tick: a wake-up that gets lost hangs the
 * test. Each pass is one of three ways to lock and to unlock; now and then a wait is interrupted,
 * from another thread, before, while or after the request is parked.
 */
enum { THREADS = 6, PASSES = 400 };
static struct {
	uint64_t fh[THREADS];
	_Atomic int inside[2];		  /* POSIX, flock */
	_Atomic uint64_t unique[THREADS]; /* of the request under way */
	_Atomic unsigned interrupted;
} crowd;

static uint64_t crowd_unique(void)
{
	static _Atomic uint64_t last = 1000;

	return atomic_fetch_add(&last, 2) + 2;
}

/* One request until it is answered; asks again when interrupted, as the kernel does. */
static void crowd_lock(uint32_t number, bool by_flock)
{
	struct lock_ask what = {
		.fh = crowd.fh[number],
		.owner = 1 + number,
		.type = F_WRLCK,
		.end = EOF_END,
		.ticket = number,
		.flock = by_flock,
	};
	int r;

	do {
		what.unique = crowd_unique();
		atomic_store(&crowd.unique[number], what.unique);
		r = ask(op_setlkw, what, NULL);
		if (r == CALL_PARKED)
			r = wait_answer(number);
		if (r == -EINTR)
			atomic_fetch_add(&crowd.interrupted, 1);
	} while (r == -EINTR);
	CHECK_EQ(r, 0);
}

static void crowd_unlock(uint32_t number, bool by_flock, bool by_close)
{
	if (by_close && by_flock)
		lock_release_flock(&world.fs, file_of(crowd.fh[number]));
	else if (by_close)
		flush(crowd.fh[number], 1 + number);
	else if (by_flock)
		CHECK_EQ(set_flock(crowd.fh[number], F_UNLCK), 0);
	else
		CHECK_EQ(set(crowd.fh[number], 1 + number, F_UNLCK, 0, EOF_END), 0);
}

static void *crowd_main(void *arg)
{
	uint32_t number = (uint32_t)(uintptr_t)arg;

	for (unsigned pass = 0; pass < PASSES; pass++) {
		bool by_flock = (pass + number) % 3 == 0;

		crowd_lock(number, by_flock);
		CHECK_EQ(atomic_fetch_add(&crowd.inside[by_flock], 1), 0);
		if (pass % 16 == number)
			interrupt(atomic_load(&crowd.unique[(number + 1) % THREADS]));
		CHECK_EQ(atomic_fetch_sub(&crowd.inside[by_flock], 1), 1);
		crowd_unlock(number, by_flock, pass % 2);
	}
	return NULL;
}

static void threads_take_turns(void)
{
	pthread_t threads[THREADS];

	world_make(OWNERS, WAITERS);
	for (uint32_t i = 0; i < THREADS; i++)
		crowd.fh[i] = open_fh("f", O_RDWR);
	for (uint32_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, crowd_main, (void *)(uintptr_t)i) == 0);
	for (uint32_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	printf("      %u waits interrupted\n", atomic_load(&crowd.interrupted));
	for (uint32_t i = 0; i < THREADS; i++)
		close_fh(crowd.fh[i]);
	world_end();
}

int main(void)
{
	RUN(owners_exclude_each_other);
	RUN(outsiders_are_seen);
	RUN(getlk_names_the_owner);
	RUN(waiters_come_in_order);
	RUN(a_grant_lets_others_in);
	RUN(the_tick_finds_what_outsiders_free);
	RUN(interrupts_end_the_wait);
	RUN(closing_ends_posix_locks);
	RUN(flocks);
	RUN(deadlocks_are_found);
	RUN(full_tables_refuse);
	RUN(abort_answers_all);
	RUN(what_can_only_be_read);
	RUN(records_agree_with_model_and_kernel);
	RUN(threads_take_turns);
	return test_result();
}
