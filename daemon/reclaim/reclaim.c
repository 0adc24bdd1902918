/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IO_FLUSHER scopes, and memory that doesn't fault.
 *
 * Every state that this file sets is read back from the kernel. Another storage daemon called
 * prctl(PR_SET_IO_FLUSHER, 0), which clears the mark, for years. Nobody noticed, because the call
 * returns 0 in both cases.
 */
#include "caisson/reclaim.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/caps.h"
#include "reclaim/proc-maps.h"
#include "reclaim/proc.h"
#include "reclaim/reclaim-kernel.h"

/* Old headers lack these. The numbers are part of the kernel's stable interface. */
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
_Static_assert(PR_SET_IO_FLUSHER == 57 && PR_GET_IO_FLUSHER == 58, "the kernel's numbers");
_Static_assert(MADV_POPULATE_WRITE == 23, "the kernel's number");

/* Stack that stays free for the thread and its signal handlers, beyond the prefaulted part. */
#define STACK_RESERVE_BYTES (16u << 10)

/* -- The IO_FLUSHER state -- */

static int read_flags(const char *path, uint32_t *ret_flags)
{
	struct caisson_task task;
	int r = caisson_proc_stat(AT_FDCWD, path, &task);

	if (!r)
		*ret_flags = task.flags & CAISSON_FLUSHER_MASK;
	return r;
}

/* The prctl needs the capability but no procfs; field 9 needs procfs but no capability. */
static int kernel_get(uint32_t *ret_flags)
{
	int on = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0);

	if (on < 0 && errno == EPERM)
		return read_flags("/proc/thread-self/stat", ret_flags);
	if (on < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	*ret_flags = on ? CAISSON_FLUSHER_MASK : 0;
	return 0;
}

static int kernel_set(unsigned long on)
{
	if (prctl(PR_SET_IO_FLUSHER, on, 0, 0, 0) == 0)
		return 0;
	return errno == EINVAL ? -EOPNOTSUPP : -errno;
}

static const struct flusher_kernel kernel = { .get = kernel_get, .set = kernel_set };
const struct flusher_kernel *caisson_flusher_kernel = &kernel;

/*
 * The scopes of the calling thread. The TLS model is initial-exec, because other models allocate at
 * the first use in a thread if the library was loaded by dlopen().
 */
static __thread struct {
	uint64_t last;	    /* highest serial that this thread has used */
	uint64_t innermost; /* serial of the scope to leave next, 0 if there is none */
} scopes __attribute__((tls_model("initial-exec")));

/* Sets or clears the mark and reads it back. After an error the mark is unchanged. */
static int change_state(bool on)
{
	uint32_t flags;
	int r = caisson_flusher_kernel->set(on);

	if (r < 0)
		return r;
	r = caisson_flusher_kernel->get(&flags);
	if (!r && caisson_flags_are_marked(flags) != on)
		r = -EIO;
	if (r < 0)
		(void)caisson_flusher_kernel->set(!on); /* best effort; r is reported anyway */
	return r;
}

static int flusher_enter(struct caisson_scope *ret_cookie)
{
	uint32_t saved;
	int r = caisson_flusher_kernel->get(&saved);

	if (r < 0)
		return r;
	if (!caisson_flags_are_marked(saved)) {
		r = change_state(true);
		if (r < 0)
			return r;
	}
	ret_cookie->serial = ++scopes.last;
	ret_cookie->outer = scopes.innermost;
	ret_cookie->tid = gettid();
	ret_cookie->saved = saved;
	scopes.innermost = ret_cookie->serial;
	return 0;
}

int caisson_flusher_enter(struct caisson_scope *ret_cookie)
{
	int saved = errno;
	int r = flusher_enter(ret_cookie);

	errno = saved;
	return r;
}

static int flusher_leave(const struct caisson_scope *cookie)
{
	bool wanted = caisson_flags_are_marked(cookie->saved);
	uint32_t flags;
	bool lost;
	int r;

	if (cookie->tid != gettid() || cookie->serial == 0 || cookie->serial != scopes.innermost)
		return -EINVAL;
	r = caisson_flusher_kernel->get(&flags);
	if (r < 0)
		return r;
	lost = !caisson_flags_are_marked(flags);
	if (lost == wanted) {
		r = change_state(wanted);
		if (r < 0)
			return r;
	}
	scopes.innermost = cookie->outer;
	return lost ? -ESTALE : 0;
}

int caisson_flusher_leave(const struct caisson_scope *cookie)
{
	int saved = errno;
	int r = flusher_leave(cookie);

	errno = saved;
	return r;
}

static int flusher_state(pid_t tid, uint32_t *ret_flags)
{
	char path[sizeof("/proc/") + PROC_PATH_SIZE] = "/proc/";
	int r;

	if (tid < 0)
		return -EINVAL;
	if (tid == 0)
		return caisson_flusher_kernel->get(ret_flags);
	caisson_proc_path(path + sizeof("/proc/") - 1, tid, "", "stat");
	r = read_flags(path, ret_flags);
	return r == -ENOENT ? -ESRCH : r;
}

int caisson_flusher_state(pid_t tid, uint32_t *ret_flags)
{
	int saved = errno;
	int r = flusher_state(tid, ret_flags);

	errno = saved;
	return r;
}

/* -- Memory -- */

static int memory_lock(unsigned int flags)
{
	struct proc_maps maps;
	int r;

	if (flags)
		return -EINVAL;
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		return -errno;
	r = caisson_proc_maps(AT_FDCWD, "/proc/thread-self/smaps", &maps);
	if (r < 0)
		return r;
	return maps.unlocked_count ? -EIO : 0;
}

int caisson_memory_lock(unsigned int flags)
{
	int saved = errno;
	int r = memory_lock(flags);

	errno = saved;
	return r;
}

static int memory_limit(uint64_t *ret_bytes)
{
	struct rlimit limit;
	struct caps caps;
	int r = caps_get(0, &caps);

	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	if ((caps.effective & CAPS_BIT(CAP_IPC_LOCK)) || limit.rlim_cur == RLIM_INFINITY)
		*ret_bytes = UINT64_MAX;
	else
		*ret_bytes = limit.rlim_cur;
	return 0;
}

int caisson_memory_limit(uint64_t *ret_bytes)
{
	int saved = errno;
	int r = memory_limit(ret_bytes);

	errno = saved;
	return r;
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * Writes to each page without changing its contents. A byte is exchanged for itself. If the
 * exchange fails, another thread has just written there, which serves the purpose as well. An
 * atomic OR with 0 would not do, because clang turns it into a load.
 */
static void touch_pages(volatile uint8_t *start, size_t len, size_t page)
{
	for (size_t at = 0; at < len; at += page) {
		uint8_t value = __atomic_load_n(start + at, __ATOMIC_RELAXED);

		(void)__atomic_compare_exchange_n(start + at, &value, value, false,
						  __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
}

static int memory_prefault(void *addr, size_t len)
{
	size_t page = page_bytes();
	size_t before = (uintptr_t)addr % page; /* bytes of the first page before ADDR */
	uint8_t *start = (uint8_t *)addr - before;
	uintptr_t end;

	if (len == 0)
		return 0;
	if (__builtin_add_overflow((uintptr_t)addr, len, &end) ||
	    __builtin_add_overflow(end, page - 1, &end))
		return -EINVAL;
	len = (end - (uintptr_t)start) / page * page;
	if (madvise(start, len, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* EINVAL: unknown advice or unsuitable range? An empty range succeeds if it is known. */
	if (madvise(start, 0, MADV_POPULATE_WRITE) == 0)
		return -EINVAL;
	touch_pages(start, len, page);
	return 0;
}

int caisson_memory_prefault(void *addr, size_t len)
{
	int saved = errno;
	int r = memory_prefault(addr, len);

	errno = saved;
	return r;
}

/*
 * Touches the stack from the top down, as stacks grow. Only alloca() reaches the room below the
 * frame; the caller has checked that there is enough. The function must not be inlined, because
 * the room is released when it returns.
 */
static __attribute__((noinline)) void touch_stack(size_t bytes, size_t page)
{
	/* cppcheck-suppress allocaCalled ; argued above */
	volatile uint8_t *low = alloca(bytes);

	/* steps of a page from the top, and the lowest byte, touch each page, aligned or not */
	for (size_t left = bytes; left > 0; left -= left < page ? left : page)
		low[left - 1] = 0;
	low[0] = 0;
}

/* Gets the size of the calling thread's stack below this frame, without the guard. */
static int stack_room(size_t *ret_bytes)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	pthread_attr_t attr;
	size_t size = 0, guard = 0;
	void *low = NULL;
	int r;

	r = -pthread_getattr_np(pthread_self(), &attr);
	if (r < 0)
		return r;
	r = -pthread_attr_getstack(&attr, &low, &size);
	if (!r)
		r = -pthread_attr_getguardsize(&attr, &guard);
	(void)pthread_attr_destroy(&attr); /* can't fail */
	if (r < 0)
		return r;
	*ret_bytes = here > (uintptr_t)low + guard ? here - (uintptr_t)low - guard : 0;
	return 0;
}

static int stack_prefault(size_t bytes)
{
	size_t room;
	int r = stack_room(&room);

	if (r < 0)
		return r;
	if (room < STACK_RESERVE_BYTES || bytes > room - STACK_RESERVE_BYTES)
		return -ENOMEM;
	if (bytes > 0)
		touch_stack(bytes, page_bytes());
	return 0;
}

int caisson_stack_prefault(size_t bytes)
{
	int saved = errno;
	int r = stack_prefault(bytes);

	errno = saved;
	return r;
}
