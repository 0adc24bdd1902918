/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/exit-code.h"
#include "base/log.h"
#include "caisson/reclaim.h"
#include "host/backing-lock.h"
#include "host/options.h"
#include "serve/engine.h"
#include "serve/plan.h"
#include "store/store.h"

#define STORE_RETRY_MS 20
#define STORE_RETRIES  150

static int check_device(void)
{
	autoclose int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	/* fusermount3 opens it for a user's mount, but the queues open it themselves */
	log_fail("/dev/fuse: open: %s%s", strerror(errno),
		 errno == ENOENT || errno == ENODEV ? " (modprobe fuse)" : "");
	return EXIT_CANNOT_SERVE;
}

static int check_io_uring(void)
{
	int r = engine_probe();

	if (r == 0)
		return 0;
	log_fail("io_uring: make a ring: %s%s", strerror(-r),
		 r == -EPERM ? " (by kernel.io_uring_disabled or a seccomp filter)" : "");
	return EXIT_CANNOT_SERVE;
}

static unsigned long long kib(uint64_t bytes)
{
	return bytes / 1024;
}

/* Finds here, with one line, that the limit is too low, before some thread runs into it. */
static int check_memlock(uint64_t arena)
{
	uint64_t limit;
	int r = caisson_memory_limit(&limit);

	if (r) {
		log_fail("RLIMIT_MEMLOCK: read: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	if (limit >= arena + PLAN_OTHER_MEMORY)
		return 0;
	log_fail("memory: lock: RLIMIT_MEMLOCK allows %llu of %llu KiB (raise it, give "
		 "CAP_IPC_LOCK, or mount with mlock=off, which is not safe to stack on)",
		 kib(limit), kib(arena + PLAN_OTHER_MEMORY));
	return EXIT_UNSAFE;
}

static int check_memory(const struct options *options)
{
	uint64_t arena;
	int r = plan_memory(&options->serve, &arena);

	if (r) {
		log_fail("memory: plan: %s", strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	if (arena > options->serve.memory) {
		log_fail("memory=%lluK: plan buffers and tables: they take %llu KiB (less with "
			 "lower queues=, queue_depth=, max_write=, inodes=, files=)",
			 kib(options->serve.memory), kib(arena));
		return EXIT_CANNOT_SERVE;
	}
	return options->require_mlock ? check_memlock(arena) : 0;
}

static int check_mark(const struct options *options, int marked)
{
	if (!options->require_io_flusher || marked == 0)
		return 0;
	log_fail("IO_FLUSHER state: set: %s (needs CAP_SYS_RESOURCE in the initial user namespace; "
		 "io_flusher=off serves without, and is not safe to stack on)",
		 strerror(-marked));
	return EXIT_UNSAFE;
}

int preflight_check(const struct options *options, int marked)
{
	int code = check_mark(options, marked);

	if (!code)
		code = check_device();
	if (!code)
		code = check_io_uring();
	if (!code)
		code = check_memory(options);
	return code;
}

static int refuse_lock(const char *backing, const struct backing_lock *lock, int error)
{
	if (error == -EBUSY)
		log_fail("%s: open as a backing directory: another caissond serves it", backing);
	else if (!lock->path[0])
		log_fail("%s: lock against a second caissond: no place for the lock: set "
			 "XDG_RUNTIME_DIR to a directory of this user's own",
			 backing);
	else
		log_fail("%s: make, to lock %s against a second caissond: %s%s", lock->path,
			 backing, strerror(-error),
			 error == -EPERM ? " (others may write to it, or own it)" : "");
	return EXIT_CANNOT_SERVE;
}

/*
 * Locks BACKING. umount(8) returns before the daemon that it ends has let go of its BACKING, and
 * the next mount may follow at once. So it tries again for a moment.
 */
static int lock_store(const struct store *store, struct backing_lock *lock)
{
	const struct timespec pause = { .tv_nsec = STORE_RETRY_MS * 1000000L };
	int r = backing_lock_take(lock, store->root_fd);

	for (int i = 0; r == -EBUSY && i < STORE_RETRIES; i++) {
		(void)nanosleep(&pause, NULL); /* a signal makes it shorter */
		r = backing_lock_take(lock, store->root_fd);
	}
	return r;
}

int preflight_open_store(const char *backing, struct store *ret_store,
			 struct backing_lock *ret_lock)
{
	int r = store_open(ret_store, backing);

	if (r < 0) {
		log_fail("%s: open as a backing directory: %s", backing, strerror(-r));
		return EXIT_CANNOT_SERVE;
	}
	r = lock_store(ret_store, ret_lock);
	if (r < 0)
		return refuse_lock(backing, ret_lock, r);
	if (!store_show_lock(ret_store))
		log_warn("%s: lock: somebody else has locked it: serving all the same (it may be a "
			 "caissond of another user or container)",
			 backing);
	return 0;
}
