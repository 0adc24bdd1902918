/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcaisson keeps a storage daemon out of memory reclaim and proves that it is. It is for daemons
 * that serve block devices or filesystems on the machine that they run on. See caisson_reclaim(3)
 * for the argument, and caisson(7) for the rules S1, S3 and S9.
 *
 * Every function returns 0, or a negative errno value without touching its outputs. No function
 * changes errno, takes a lock, keeps a file open or starts a thread. Any thread may call any
 * function unless its comment says otherwise. The functions read the procfs that is mounted at
 * /proc, and use the PIDs of its PID namespace.
 */
#ifndef CAISSON_RECLAIM_H
#define CAISSON_RECLAIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Bits of a task's flags: field 9 of /proc/PID/task/TID/stat (include/linux/sched.h). They aren't
 * part of the kernel's stable interface. These values hold in Linux 5.8 to 7.3.
 */
#define CAISSON_PF_IO_WORKER	  0x00000010u /* worker of io_uring: io-wq or sqpoll */
#define CAISSON_PF_USER_WORKER	  0x00004000u /* kernel code in a thread of the process (6.4) */
#define CAISSON_PF_MEMALLOC_NOIO  0x00080000u /* memory allocations never wait for I/O */
#define CAISSON_PF_LOCAL_THROTTLE 0x00100000u /* exempt from the global dirty limit */
#define CAISSON_PF_KTHREAD	  0x00200000u /* kernel thread */
#define CAISSON_FLUSHER_MASK	  (CAISSON_PF_MEMALLOC_NOIO | CAISSON_PF_LOCAL_THROTTLE)

/* Returns 1 if FLAGS have both bits of the IO_FLUSHER state, and 0 otherwise. */
static inline int caisson_flags_are_marked(uint32_t flags)
{
	return (flags & CAISSON_FLUSHER_MASK) == CAISSON_FLUSHER_MASK;
}

/*
 * -- The IO_FLUSHER state (S1, S9) --
 *
 * The state belongs to one task. Every thread, process and io_uring worker that the task creates
 * inherits it. It survives execve() and the loss of the capability that was needed to enter it.
 * A daemon should therefore enter it as the first act of main() and keep it. Scopes are for a
 * library in a process that isn't its own.
 */

/*
 * A cookie that caisson_flusher_enter() fills and caisson_flusher_leave() takes. Its fields are
 * private to the library. It may be copied, but not to another thread.
 */
struct caisson_scope {
	uint64_t serial; /* number of this scope in its thread, from 1 */
	uint64_t outer;	 /* serial of the enclosing scope, 0 if there is none */
	pid_t tid;	 /* the task that entered */
	uint32_t saved;	 /* CAISSON_FLUSHER_MASK bits of the task before it entered */
};

/*
 * Puts the calling task into the IO_FLUSHER state, reads the state back from the kernel, and saves
 * the former state in RET_COOKIE. A task that is in the state already stays in it. That needs no
 * capability, and the matching caisson_flusher_leave() changes nothing.
 *
 * -EPERM: the task isn't in the state and lacks CAP_SYS_RESOURCE in the initial user namespace.
 * -EOPNOTSUPP: the kernel has no PR_SET_IO_FLUSHER (it came with Linux 5.6).
 * -EIO: the kernel reported success, but the state that was read back differs.
 * Other errors come from /proc/thread-self/stat. It is read if the capability is missing, because
 * the kernel then refuses PR_GET_IO_FLUSHER (kernel/sys.c).
 * After an error the task's state is unchanged.
 */
int caisson_flusher_enter(struct caisson_scope *ret_cookie);

/*
 * Restores the state that COOKIE saved, and reads it back. A thread leaves its scopes in the
 * reverse order in which it entered them. The child of a fork() can't leave its parent's scopes.
 *
 * -EINVAL: COOKIE isn't the innermost scope of this task. It belongs to another thread, encloses
 *  another scope, or was left before.
 * -EPERM: the state must be cleared, but CAP_SYS_RESOURCE was lost meanwhile. The state stays.
 * -EIO: the kernel reported success, but the state that was read back differs.
 * -ESTALE: someone else cleared the state inside the scope, so part of it ran without protection.
 *  The scope was left and the saved state was restored all the same.
 * After the first three errors the scope still exists.
 */
int caisson_flusher_leave(const struct caisson_scope *cookie);

/*
 * Gets the CAISSON_FLUSHER_MASK bits of task TID, which may belong to any process; 0 is the calling
 * task. Needs no capability.
 *
 * -ESRCH: there is no such task. -EBADMSG: its stat line is malformed.
 */
int caisson_flusher_state(pid_t tid, uint32_t *ret_flags);

/*
 * -- Memory (S3) --
 */

/*
 * Locks and populates all current and future mappings of the process with
 * mlockall(MCL_CURRENT | MCL_FUTURE). Then it checks that every mapping is locked, by the criterion
 * of caisson_audit(). FLAGS must be 0. The lock isn't inherited by fork() and ends with execve().
 *
 * -EPERM: RLIMIT_MEMLOCK is 0 and CAP_IPC_LOCK is missing.
 * -ENOMEM: the mappings exceed RLIMIT_MEMLOCK and CAP_IPC_LOCK is missing. Nothing was locked.
 *  caisson_memory_limit() returns the limit.
 * -EIO: the kernel reported success, but a mapping isn't locked. The others stay locked.
 * -EINVAL: FLAGS isn't 0.
 *
 * Without the capability, later mappings beyond the limit fail. mmap() and pthread_create() return
 * EAGAIN, and a stack that grows raises SIGSEGV. Compare your needs with the limit first.
 */
int caisson_memory_lock(unsigned int flags);

/*
 * Gets the number of bytes that this process may lock in all, including those that are locked now:
 * RLIMIT_MEMLOCK, or UINT64_MAX if that is unlimited or CAP_IPC_LOCK is effective. In a user
 * namespace other than the initial one the capability has no effect here. This function can't see
 * that and still returns UINT64_MAX; caisson_memory_lock() then fails at RLIMIT_MEMLOCK.
 */
int caisson_memory_limit(uint64_t *ret_bytes);

/*
 * Makes the pages of LEN bytes at ADDR present and writable. As long as they are locked, no later
 * access faults. The contents don't change, even if other threads write meanwhile. The mapping must
 * be readable and writable. Pages of a mapped file become dirty.
 *
 * -ENOMEM: part of the range isn't mapped, or memory is short.
 * -EINVAL: the range wraps, isn't writable, or belongs to a device.
 * -EFAULT: the range reaches beyond the end of the mapped file.
 * Before Linux 5.14, which introduced MADV_POPULATE_WRITE, this touches each page. A range that
 * isn't mapped writable then raises SIGSEGV or SIGBUS.
 */
int caisson_memory_prefault(void *addr, size_t len);

/*
 * Makes BYTES of the calling thread's stack below the caller present and writable. Call it before
 * the process stops allocating, because the C library may allocate to find the stack's bounds.
 *
 * -ENOMEM: the stack has less room than BYTES and a reserve of 16 KiB. Nothing was touched.
 */
int caisson_stack_prefault(size_t bytes);

/*
 * -- Task audit (S1, S3) --
 */

enum caisson_task_kind {
	CAISSON_TASK_THREAD,	  /* thread that the program created */
	CAISSON_TASK_IO_WORKER,	  /* io-wq worker of io_uring, iou-wrk-OWNER */
	CAISSON_TASK_SQPOLL,	  /* submission poller of io_uring, iou-sqp-OWNER */
	CAISSON_TASK_USER_WORKER, /* other worker that the kernel created, such as vhost's */
};

/* Room for a task's name: at most 15 bytes of any value but NUL, and a NUL. */
#define CAISSON_COMM_SIZE 16

/* One task, as its stat line describes it. */
struct caisson_task {
	pid_t tid;
	char comm[CAISSON_COMM_SIZE]; /* NUL-terminated; not necessarily UTF-8 or printable */
	char state;		      /* R, S, D, T, t, I … (field 3), but never Z or X */
	enum caisson_task_kind kind;
	uint32_t flags;	 /* field 9 */
	uint64_t minflt; /* page faults without I/O since the task was created */
	uint64_t majflt; /* page faults with I/O since the task was created */
};

enum caisson_memory_state {
	CAISSON_MEMORY_UNLOCKED, /* some mapping could be paged out */
	CAISSON_MEMORY_LOCKED,	 /* no mapping can be paged out */
	CAISSON_MEMORY_UNKNOWN,	 /* part is locked; smaps can't be read (memory_error) */
};

struct caisson_audit_summary {
	pid_t pid;		/* of the process (its thread group) */
	uid_t uid;		/* effective user ID */
	uint64_t cap_effective; /* effective capabilities of one task of the process */
	int32_t oom_score_adj;	/* -1000 … 1000 */

	uint32_t tasks;	     /* tasks that were alive when their stat line was read */
	uint32_t marked;     /* tasks with both bits of CAISSON_FLUSHER_MASK */
	uint32_t io_workers; /* tasks of kind CAISSON_TASK_IO_WORKER or CAISSON_TASK_SQPOLL */
	uint32_t vanished;   /* listed tasks that were dead when they were read; not in `tasks` */
	uint32_t passes;     /* how often the tasks were listed */
	uint32_t settled;    /* 1 if the last pass found no new task, so that none was missed */

	enum caisson_memory_state memory;
	int32_t memory_error;	   /* 0, or -errno from reading smaps */
	uint64_t vm_size_bytes;	   /* VmSize: size of all mappings */
	uint64_t vm_lck_bytes;	   /* VmLck: size of the locked mappings */
	uint64_t vm_rss_bytes;	   /* VmRSS: memory that is present, locked or not */
	uint64_t unlocked_bytes;   /* size of the mappings that could be locked but aren't */
	uint64_t unlocked_maps;	   /* number of the mappings that could be locked but aren't */
	uint64_t unlocked_address; /* start of the first such mapping, 0 if there is none */
	uint64_t special_bytes; /* size of the mappings that the kernel neither locks nor pages */
	uint64_t absent_bytes;	/* locked and accessible memory that isn't present */
};

/*
 * caisson_audit() calls this once for each task, in its own thread. TASK is valid during the call.
 * Return 0 to continue. Any other value ends the audit and becomes the result of caisson_audit();
 * use a negative errno value.
 */
typedef int caisson_audit_fn(const struct caisson_task *task, void *arg);

/* The largest number of tasks that can be audited. */
#define CAISSON_AUDIT_TASKS_MAX 4096

/*
 * Calls FN, unless it is NULL, for every task of process PID and fills in RET_SUMMARY. PID may be
 * any TID of the process; 0 is the calling process. Zombies don't count. Tasks may be created
 * during the audit. Therefore it lists the tasks until a list holds no new one, at most 16 times.
 *
 * The memory is CAISSON_MEMORY_LOCKED if each mapping in /proc/PID/smaps is locked ("lo" and not
 * "lf" in VmFlags) or is of a kind that the kernel never locks because it never pages it out:
 * device memory, io_uring rings, the vDSO, huge pages (mlock_fixup() in mm/mlock.c). VmLck alone
 * proves nothing, because it doesn't count the mappings that aren't locked. No file in /proc tells
 * whether *future* mappings will be locked (MCL_FUTURE).
 *
 * The audit allocates no heap memory, takes no lock, and uses less than CAISSON_AUDIT_STACK bytes
 * of stack. So a process that allocates nothing any more can audit itself every second, after
 * caisson_stack_prefault(CAISSON_AUDIT_STACK). However, the kernel allocates when a file in /proc
 * is opened. And smaps holds the lock of the address space while it looks at every page, about
 * 10 ms for each GiB of 4 KiB pages. A thread that serves requests should not audit.
 *
 * -ESRCH: there is no such process, or all its tasks are zombies.
 * -EINVAL: PID is a kernel thread.
 * -E2BIG: the process has more than CAISSON_AUDIT_TASKS_MAX tasks.
 * -EOPNOTSUPP: no procfs is mounted at /proc.
 * -EBADMSG: a file in /proc is malformed.
 * -EACCES, -EPERM: /proc hides the process (hidepid).
 * To read smaps of another process needs the right to trace it (ptrace(2)). Without it everything
 * else is still judged, and `memory` is UNKNOWN, or UNLOCKED if VmLck is 0.
 */
int caisson_audit(pid_t pid, caisson_audit_fn *fn, void *arg,
		  struct caisson_audit_summary *ret_summary);

#define CAISSON_AUDIT_STACK 65536u

/* Returns 1 if every task is marked and no task was missed, and 0 otherwise. */
static inline int caisson_audit_is_marked(const struct caisson_audit_summary *summary)
{
	return summary->settled && summary->tasks > 0 && summary->marked == summary->tasks;
}

/* Returns 1 if the memory is locked, and 0 if it isn't or if that is unknown. */
static inline int caisson_audit_is_locked(const struct caisson_audit_summary *summary)
{
	return summary->memory == CAISSON_MEMORY_LOCKED;
}

#ifdef __cplusplus
}
#endif

#endif
