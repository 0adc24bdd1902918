/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flusher scopes, on a model of the kernel and on the real one, and memory: locked, limited,
 * prefaulted, each judged by what the kernel shows. What changes the process for good is done in
 * a child.
 */
#include "caisson/reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/macro.h"
#include "reclaim/proc-maps.h"
#include "reclaim/proc.h"
#include "reclaim/reclaim-kernel.h"
#include "shadow.h"
#include "test.h"

/* errno has no business in the library: each call leaves this one alone. */
enum { ERRNO_MARK = 12345 };

#define CHECK_CALL(call, expected)                                                                 \
	do {                                                                                       \
		errno = ERRNO_MARK;                                                                \
		CHECK_EQ(call, expected);                                                          \
		CHECK_EQ(errno, ERRNO_MARK);                                                       \
	} while (0)

/* -- A model of the kernel -- */

static struct {
	uint32_t flags;
	bool capable;
	bool lies; /* says that it has set the mark, and hasn't */
	int get_error;
	int later_error; /* of reading, once the state has been set */
	unsigned int sets;
} model;

static int model_get(uint32_t *ret_flags)
{
	if (model.get_error)
		return model.get_error;
	*ret_flags = model.flags;
	return 0;
}

static int model_set(unsigned long on)
{
	model.sets++;
	if (!model.capable)
		return -EPERM;
	if (!model.lies)
		model.flags = on ? CAISSON_FLUSHER_MASK : 0;
	if (model.later_error)
		model.get_error = model.later_error;
	return 0;
}

static const struct flusher_kernel model_kernel = { .get = model_get, .set = model_set };

static void model_reset(bool capable)
{
	memset(&model, 0, sizeof(model));
	model.capable = capable;
	caisson_flusher_kernel = &model_kernel;
}

static void scopes_restore_what_was(void)
{
	struct caisson_scope scope;

	model_reset(true);
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
	CHECK_EQ(model.flags, 0u);

	model.flags = CAISSON_FLUSHER_MASK;
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	CHECK_EQ(model.sets, 2u);
}

static void scopes_nest(void)
{
	struct caisson_scope scopes[8];

	model_reset(true);
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++)
		CHECK_CALL(caisson_flusher_enter(&scopes[i]), 0);
	for (size_t i = ARRAY_SIZE(scopes); i-- > 0;) {
		CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
		CHECK_CALL(caisson_flusher_leave(&scopes[i]), 0);
	}
	CHECK_EQ(model.flags, 0u);
}

/* One bit alone isn't the state: it is completed, and cleared again, as the prctl does. */
static void half_a_mark_is_none(void)
{
	struct caisson_scope scope;

	model_reset(true);
	model.flags = CAISSON_PF_MEMALLOC_NOIO;
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
	CHECK_EQ(model.flags, 0u);
}

static void without_capability(void)
{
	struct caisson_scope scope = { .serial = 77 }, outer, inner;

	model_reset(false);
	CHECK_CALL(caisson_flusher_enter(&scope), -EPERM);
	CHECK_EQ(scope.serial, 77u);
	CHECK_EQ(model.flags, 0u);

	/* marked while it had the capability, or by who started it: nested scopes do nothing */
	model.capable = true;
	CHECK_CALL(caisson_flusher_enter(&outer), 0);
	model.capable = false;
	model.sets = 0;
	CHECK_CALL(caisson_flusher_enter(&inner), 0);
	CHECK_CALL(caisson_flusher_leave(&inner), 0);
	CHECK_EQ(model.sets, 0u);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);

	/* the outermost one can't clear the mark any more, and stays */
	CHECK_CALL(caisson_flusher_leave(&outer), -EPERM);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	model.capable = true;
	CHECK_CALL(caisson_flusher_leave(&outer), 0);
	CHECK_EQ(model.flags, 0u);
}

static void lies_are_found(void)
{
	struct caisson_scope scope;

	model_reset(true);
	model.lies = true;
	CHECK_CALL(caisson_flusher_enter(&scope), -EIO);
	model.lies = false;
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	model.lies = true;
	CHECK_CALL(caisson_flusher_leave(&scope), -EIO);
	model.lies = false;
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
	CHECK_EQ(model.flags, 0u);
}

static void read_errors_are_passed_on(void)
{
	struct caisson_scope scope;

	model_reset(true);
	model.get_error = -EOPNOTSUPP;
	CHECK_CALL(caisson_flusher_enter(&scope), -EOPNOTSUPP);
	CHECK_EQ(model.sets, 0u);
	model.get_error = 0;
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	model.get_error = -EMFILE;
	CHECK_CALL(caisson_flusher_leave(&scope), -EMFILE);
	model.get_error = 0;
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
}

/* What can't be read back isn't left set. */
static void unread_changes_are_undone(void)
{
	struct caisson_scope scope = { 0 };

	model_reset(true);
	model.later_error = -EMFILE;
	CHECK_CALL(caisson_flusher_enter(&scope), -EMFILE);
	CHECK_EQ(model.flags, 0u);
	CHECK_EQ(scope.serial, 0u);
	model.later_error = model.get_error = 0;
	CHECK_CALL(caisson_flusher_enter(&scope), 0);
	model.later_error = -EMFILE;
	CHECK_CALL(caisson_flusher_leave(&scope), -EMFILE);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	model.later_error = model.get_error = 0;
	CHECK_CALL(caisson_flusher_leave(&scope), 0);
	CHECK_EQ(model.flags, 0u);
}

static void lost_marks_are_reported(void)
{
	struct caisson_scope outer, inner;

	model_reset(true);
	CHECK_CALL(caisson_flusher_enter(&outer), 0);
	CHECK_CALL(caisson_flusher_enter(&inner), 0);
	model.flags = 0; /* a third party's prctl(PR_SET_IO_FLUSHER, 0) */
	CHECK_CALL(caisson_flusher_leave(&inner), -ESTALE);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);
	model.flags = 0;
	model.sets = 0;
	CHECK_CALL(caisson_flusher_leave(&outer), -ESTALE);
	CHECK_EQ(model.sets, 0u);
	CHECK_CALL(caisson_flusher_leave(&outer), -EINVAL);
}

static void *leave_elsewhere(void *arg)
{
	CHECK_CALL(caisson_flusher_leave(arg), -EINVAL);
	return NULL;
}

static void wrong_leaves_are_refused(void)
{
	struct caisson_scope outer, inner, copy, never = { 0 };
	pthread_t thread;
	pid_t child;
	int status;

	model_reset(true);
	CHECK_CALL(caisson_flusher_leave(&never), -EINVAL);
	CHECK_CALL(caisson_flusher_enter(&outer), 0);
	CHECK_CALL(caisson_flusher_leave(&never), -EINVAL);
	CHECK_CALL(caisson_flusher_enter(&inner), 0);
	CHECK_CALL(caisson_flusher_leave(&outer), -EINVAL);
	CHECK_EQ(pthread_create(&thread, NULL, leave_elsewhere, &inner), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		leave_elsewhere(&inner);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(model.flags, CAISSON_FLUSHER_MASK);

	copy = inner;
	CHECK_CALL(caisson_flusher_leave(&copy), 0);
	CHECK_CALL(caisson_flusher_leave(&inner), -EINVAL);
	/* the same depth as inner had, but not the same scope */
	CHECK_CALL(caisson_flusher_enter(&inner), 0);
	CHECK_CALL(caisson_flusher_leave(&copy), -EINVAL);
	CHECK_CALL(caisson_flusher_leave(&inner), 0);
	CHECK_CALL(caisson_flusher_leave(&outer), 0);
	CHECK_EQ(model.flags, 0u);
}

/* -- The real kernel -- */

static const struct flusher_kernel *real_kernel;

static uint32_t flags_of(pid_t tid)
{
	struct caisson_task task;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	CHECK_EQ(caisson_proc_stat(AT_FDCWD, path, &task), 0);
	return task.flags & CAISSON_FLUSHER_MASK;
}

static void drop_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	CHECK_EQ(syscall(SYS_capget, &header, data), 0);
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	data[CAP_TO_INDEX(capability)].permitted &= ~CAP_TO_MASK(capability);
	CHECK_EQ(syscall(SYS_capset, &header, data), 0);
}

static void unmarked_and_incapable(void)
{
	struct caisson_scope scope;

	caisson_flusher_kernel = real_kernel;
	drop_capability(CAP_SYS_RESOURCE);
	CHECK_CALL(caisson_flusher_enter(&scope), -EPERM);
	CHECK_EQ(flags_of(getpid()), 0u);
}

static void real_enter_needs_capability(void)
{
	if (flags_of(getpid()))
		SKIP("this process was started in the IO_FLUSHER state");
	else
		test_in_child(unmarked_and_incapable);
}

static void real_state_of_anyone(void)
{
	uint32_t mine = 1, same = 2, other = 3;
	pid_t child = fork();

	caisson_flusher_kernel = real_kernel;
	CHECK(child >= 0);
	if (child == 0)
		_exit(0);
	CHECK_CALL(caisson_flusher_state(0, &mine), 0);
	CHECK_CALL(caisson_flusher_state(getpid(), &same), 0);
	CHECK_EQ(mine, same);
	CHECK_EQ(mine, flags_of(getpid()));
	CHECK_CALL(caisson_flusher_state(1, &other), 0);
	CHECK_EQ(waitpid(child, NULL, 0), child);
	CHECK_CALL(caisson_flusher_state(child, &other), -ESRCH);
	CHECK_CALL(caisson_flusher_state(-1, &other), -EINVAL);
}

static bool can_mark(void)
{
	return prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) >= 0;
}

static void *inherit(void *arg)
{
	(void)arg;
	CHECK_EQ(flags_of(gettid()), CAISSON_FLUSHER_MASK);
	return NULL;
}

/* All that a daemon goes through: marks itself, drops the capability, calls libraries that mark. */
static void marked_life(void)
{
	struct caisson_scope outer, inner;
	uint32_t flags;
	pthread_t thread;

	caisson_flusher_kernel = real_kernel;
	CHECK_CALL(caisson_flusher_enter(&outer), 0);
	CHECK_EQ(flags_of(getpid()), CAISSON_FLUSHER_MASK);
	CHECK_CALL(caisson_flusher_leave(&outer), 0);
	CHECK_EQ(flags_of(getpid()), 0u);

	CHECK_CALL(caisson_flusher_enter(&outer), 0);
	CHECK_EQ(pthread_create(&thread, NULL, inherit, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	drop_capability(CAP_SYS_RESOURCE);
	CHECK_CALL(caisson_flusher_enter(&inner), 0);
	CHECK_CALL(caisson_flusher_state(0, &flags), 0);
	CHECK_EQ(flags, CAISSON_FLUSHER_MASK);
	CHECK_CALL(caisson_flusher_leave(&inner), 0);
	CHECK_CALL(caisson_flusher_leave(&outer), -EPERM);
	CHECK_EQ(flags_of(getpid()), CAISSON_FLUSHER_MASK);
}

static void real_mark_through_a_life(void)
{
	if (!can_mark())
		SKIP("no CAP_SYS_RESOURCE; it runs in the virtual machine");
	else if (flags_of(getpid()))
		SKIP("this process was started in the IO_FLUSHER state");
	else
		test_in_child(marked_life);
}

/* -- Memory -- */

static uint64_t faults(void)
{
	struct rusage usage;

	CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static void check_no_faults_since(uint64_t before)
{
	if (!HAS_SHADOW)
		CHECK_EQ(faults(), before);
}

static uint64_t locked_bytes(void)
{
	struct proc_status status;

	CHECK_EQ(caisson_proc_status(AT_FDCWD, "/proc/self/status", &status), 0);
	return status.vm_lck_bytes;
}

static void lock_and_look(void)
{
	struct proc_maps maps;
	void *later;

	CHECK_CALL(caisson_memory_lock(1), -EINVAL);
	CHECK_EQ(locked_bytes(), 0u);
	CHECK_CALL(caisson_memory_lock(0), 0);
	later = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(later != MAP_FAILED);
	CHECK_EQ(caisson_proc_maps(AT_FDCWD, "/proc/self/smaps", &maps), 0);
	CHECK_EQ(maps.unlocked_count, 0u);
	CHECK_EQ(maps.absent_bytes, 0u);
	CHECK(locked_bytes() >= 1 << 20);
}

static void locks_all_and_what_comes(void)
{
	uint64_t limit;

	CHECK_CALL(caisson_memory_limit(&limit), 0);
	if (limit != UINT64_MAX)
		SKIP("no CAP_IPC_LOCK, and RLIMIT_MEMLOCK is %llu bytes",
		     (unsigned long long)limit);
	else
		test_in_child(lock_and_look);
}

static void lock_with_limit(rlim_t bytes, int expected)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };
	uint64_t allowed;

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	CHECK_CALL(caisson_memory_limit(&allowed), 0);
	CHECK_EQ(allowed, bytes);
	CHECK_CALL(caisson_memory_lock(0), expected);
	CHECK_EQ(locked_bytes(), 0u);
}

static void lock_with_little(void)
{
	drop_capability(CAP_IPC_LOCK);
	lock_with_limit(65536, -ENOMEM);
	lock_with_limit(0, -EPERM);
}

static void says_what_limit_is_in_the_way(void)
{
	test_in_child(lock_with_little);
}

/* What the read-back is for: a sanitizer's mlockall() does nothing and returns 0. */
static void finds_a_lock_that_does_nothing(void)
{
	CHECK_CALL(caisson_memory_lock(0), -EIO);
}

static void prefaults_without_changing(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = 64 * page;
	uint8_t *memory =
		mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before;

	CHECK(memory != MAP_FAILED);
	memory[5 * page + 1] = 0xa5;
	CHECK_CALL(caisson_memory_prefault(memory + 1, len - 2), 0);
	CHECK_EQ(memory[5 * page + 1], 0xa5);
	CHECK_EQ(memory[0], 0);
	before = faults();
	for (size_t at = 0; at < len; at += page)
		memory[at] = 1;
	check_no_faults_since(before);
	CHECK_EQ(munmap(memory, len), 0);
}

static void prefaults_shared_memory_for_writing(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t len = 16 * page;
	int fd = memfd_create("test-reclaim", MFD_CLOEXEC);
	uint8_t *memory;
	uint64_t before;

	CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0);
	memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_CALL(caisson_memory_prefault(memory, len), 0);
	before = faults();
	for (size_t at = 0; at < len; at += page)
		memory[at] = 1;
	check_no_faults_since(before);
	CHECK_EQ(munmap(memory, len), 0);
	CHECK_EQ(close(fd), 0);
}

/* Before Linux 5.14: madvise() refuses the advice. */
static void forget_the_advice(void)
{
	enum { POPULATE_WRITE = 23 };
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, POPULATE_WRITE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
	errno = 0;
	CHECK(madvise(NULL, 0, POPULATE_WRITE) < 0 && errno == EINVAL);
}

static void prefault_by_touching(void)
{
	forget_the_advice();
	prefaults_without_changing();
	prefaults_shared_memory_for_writing();
}

static void prefaults_on_old_kernels(void)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		SKIP("no seccomp, to make the kernel look old with");
	else
		test_in_child(prefault_by_touching);
}

static void prefault_refuses_what_it_cannot(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, 4 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("test-reclaim", MFD_CLOEXEC);
	uint8_t *beyond;

	CHECK(memory != MAP_FAILED);
	CHECK_CALL(caisson_memory_prefault(memory, 0), 0);
	CHECK_CALL(caisson_memory_prefault(memory, SIZE_MAX), -EINVAL);
	CHECK_CALL(caisson_memory_prefault((void *)(UINTPTR_MAX - page), page), -EINVAL);
	CHECK_CALL(caisson_memory_prefault(memory, 4 * page), -EINVAL);
	CHECK_EQ(munmap(memory + page, page), 0);
	CHECK_EQ(mprotect(memory, page, PROT_READ | PROT_WRITE), 0);
	CHECK_CALL(caisson_memory_prefault(memory, 2 * page), -ENOMEM);
	CHECK(fd >= 0);
	beyond = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(beyond != MAP_FAILED);
	CHECK_CALL(caisson_memory_prefault(beyond, page), -EFAULT);
	CHECK_EQ(munmap(beyond, page), 0);
	CHECK_EQ(munmap(memory, page), 0);
	CHECK_EQ(munmap(memory + 2 * page, 2 * page), 0);
	CHECK_EQ(close(fd), 0);
}

enum { STACK_USE = 96 << 10 };

/* Writes to LEN bytes below the caller. 0: only the code is made present. */
static __attribute__((noinline)) void use_stack(size_t len)
{
	volatile uint8_t frame[STACK_USE - 4096];

	for (size_t at = 0; at < len; at += 512)
		frame[sizeof(frame) - 1 - at] = 1;
}

static void *touch_own_stack(void *arg)
{
	uint64_t before;

	(void)arg;
	use_stack(0);
	CHECK_CALL(caisson_stack_prefault(STACK_USE), 0);
	before = faults();
	use_stack(STACK_USE - 4096);
	check_no_faults_since(before);
	CHECK_CALL(caisson_stack_prefault(0), 0);
	CHECK_CALL(caisson_stack_prefault(256 << 10), -ENOMEM);
	CHECK_CALL(caisson_stack_prefault(SIZE_MAX), -ENOMEM);
	return NULL;
}

static void prefaults_a_threads_stack(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attr, 256 << 10), 0);
	CHECK_EQ(pthread_create(&thread, &attr, touch_own_stack, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(pthread_attr_destroy(&attr), 0);
}

static void prefaults_the_main_stack(void)
{
	uint64_t before;

	use_stack(0);
	CHECK_CALL(caisson_stack_prefault(STACK_USE), 0);
	before = faults();
	use_stack(STACK_USE - 4096);
	check_no_faults_since(before);
	CHECK_CALL(caisson_stack_prefault(SIZE_MAX), -ENOMEM);
}

int main(void)
{
	real_kernel = caisson_flusher_kernel;
	RUN(scopes_restore_what_was);
	RUN(scopes_nest);
	RUN(half_a_mark_is_none);
	RUN(without_capability);
	RUN(lies_are_found);
	RUN(read_errors_are_passed_on);
	RUN(unread_changes_are_undone);
	RUN(lost_marks_are_reported);
	RUN(wrong_leaves_are_refused);
	RUN(real_enter_needs_capability);
	RUN(real_state_of_anyone);
	RUN(real_mark_through_a_life);
	if (HAS_SHADOW) {
		RUN(finds_a_lock_that_does_nothing);
	} else {
		RUN(locks_all_and_what_comes);
		RUN(says_what_limit_is_in_the_way);
	}
	RUN(prefaults_without_changing);
	RUN(prefaults_shared_memory_for_writing);
	RUN(prefaults_on_old_kernels);
	RUN(prefault_refuses_what_it_cannot);
	RUN(prefaults_a_threads_stack);
	RUN(prefaults_the_main_stack);
	return test_result();
}
