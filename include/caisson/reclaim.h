/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcaisson: what a storage daemon that serves block devices or filesystems on its own machine
 * needs to keep out of memory reclaim, and to prove that it does. See caisson_reclaim(3) for the
 * argument, caisson(7) for the rules S1, S3 and S9 that are named here.
 *
 * Every function returns 0, or a negative errno value and leaves its outputs alone; none changes
 * errno. Outputs come last. Any thread may call any of them unless its comment says otherwise;
 * none takes a lock, keeps a file open or starts a thread. The names of /proc that are read are
 * those of the procfs mounted at /proc, and PIDs are those of its PID namespace.
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
 * Bits of a task's flags, field 9 of /proc/PID/task/TID/stat (include/linux/sched.h). They aren't
 * part of the kernel's stable interface; these values hold in Linux 5.8 to 7.3.
 */
#define CAISSON_PF_IO_WORKER	  0x00000010u /* made by io_uring: io-wq worker or sqpoll */
#define CAISSON_PF_USER_WORKER	  0x00004000u /* kernel code in a thread of the process (6.4) */
#define CAISSON_PF_MEMALLOC_NOIO  0x00080000u /* allocations never wait for I/O */
#define CAISSON_PF_LOCAL_THROTTLE 0x00100000u /* free of the global dirty limit */
#define CAISSON_PF_KTHREAD	  0x00200000u /* a kernel thread */
#define CAISSON_FLUSHER_MASK	  (CAISSON_PF_MEMALLOC_NOIO | CAISSON_PF_LOCAL_THROTTLE)

/* Whether a task with these FLAGS is in the IO_FLUSHER state: both bits, 1 or 0. */
static inline int caisson_flags_are_marked(uint32_t flags)
{
	return (flags & CAISSON_FLUSHER_MASK) == CAISSON_FLUSHER_MASK;
}

/*
 * -- The IO_FLUSHER state (S1, S9) --
 *
 * It belongs to one task, is copied to every thread, process and io_uring worker which that task
 * makes, and outlives execve() and the capability that it took to enter it. So enter it first of
 * all in main(), and keep it; scopes are for a library that is a guest in somebody else's process.
 */

/*
 * What caisson_flusher_enter() found. Filled by it, handed back to caisson_flusher_leave(); the
 * fields are the library's. May be copied, but not to another thread.
 */
struct caisson_scope {
	uint64_t serial; /* of this scope among its thread's, from 1 */
	uint64_t outer;	 /* serial of the scope around it, 0: none */
	pid_t tid;	 /* the task that entered */
	uint32_t saved;	 /* its CAISSON_FLUSHER_MASK bits before */
};

/*
 * Puts the calling task into the IO_FLUSHER state, reads the state back from the kernel, and
 * tells in RET_COOKIE what was there before. A task that is in the state already stays in it:
 * that needs no capability, and the matching leave changes nothing.
 *
 * -EPERM: the task isn't in the state, and has no CAP_SYS_RESOURCE in the initial user namespace.
 * -EOPNOTSUPP: the kernel has no PR_SET_IO_FLUSHER (Linux 5.6 brought it).
 * -EIO: the kernel agreed, but the state read back isn't the one asked for.
 * Also what opening and reading /proc/thread-self/stat can fail with, where it is needed: without
 * the capability PR_GET_IO_FLUSHER is refused, and field 9 is what tells (kernel/sys.c).
 * After an error the task's state is what it was.
 */
int caisson_flusher_enter(struct caisson_scope *ret_cookie);

/*
 * Puts back the state that COOKIE has saved, and reads it back. Scopes of one thread are left in
 * the reverse of the order in which they were entered, by the task that entered them: the child
 * of a fork() can't leave its parent's.
 *
 * -EINVAL: not the innermost scope of this task: another thread's, an outer one, one left before.
 * -EPERM: the mark has to go, but CAP_SYS_RESOURCE has gone first. The mark stays.
 * -EIO: as for entering. After -EINVAL, -EPERM and -EIO the scope is still there.
 * -ESTALE: somebody else has cleared the mark inside the scope, so that part of it ran without.
 *  The scope has been left and the saved state is back: this one is a report.
 */
int caisson_flusher_leave(const struct caisson_scope *cookie);

/*
 * The CAISSON_FLUSHER_MASK bits of task TID, of any process, or of the calling task for 0. Needs
 * no capability. -ESRCH: no such task. -EBADMSG: its stat line doesn't parse.
 */
int caisson_flusher_state(pid_t tid, uint32_t *ret_flags);

/*
 * -- Memory (S3) --
 */

/*
 * Locks and populates all that the process has mapped and all that it will map
 * (mlockall(MCL_CURRENT | MCL_FUTURE)), and reads the lock back with the criterion of
 * caisson_audit(). FLAGS is 0. The lock isn't inherited by fork() and ends with execve().
 *
 * -EPERM: RLIMIT_MEMLOCK is 0, and there is no CAP_IPC_LOCK.
 * -ENOMEM: more is mapped than RLIMIT_MEMLOCK allows, and there is no CAP_IPC_LOCK. Nothing has
 *  been locked. caisson_memory_limit() tells how much there is room for.
 * -EIO: the kernel agreed, but a mapping isn't locked. What is locked stays locked.
 * -EINVAL: FLAGS isn't 0.
 *
 * With a limit and without the capability, later mappings that don't fit fail: mmap() and so
 * pthread_create() with EAGAIN, and growing the stack with SIGSEGV. Compare with the limit first.
 */
int caisson_memory_lock(unsigned int flags);

/*
 * Bytes that this process may lock in all: RLIMIT_MEMLOCK, or UINT64_MAX where that is unlimited
 * or CAP_IPC_LOCK is effective. What is locked already counts against it. A capability of a user
 * namespace other than the initial one isn't worth anything here, and can't be told from one that
 * is: then the limit is what caisson_memory_lock() runs into.
 */
int caisson_memory_limit(uint64_t *ret_bytes);

/*
 * Makes LEN bytes at ADDR present and writable, so that no later access to them faults as long as
 * they are locked. Whole pages are taken. The contents don't change, also while other threads
 * write to them. The mapping must be readable and writable; file mappings are dirtied.
 *
 * -ENOMEM: part of the range isn't mapped, or there is no memory. -EINVAL: the range wraps, isn't
 * writable, or is a device's. -EFAULT: beyond the end of the mapped file.
 * Before Linux 5.14, which brought MADV_POPULATE_WRITE, the pages are touched one by one, and a
 * range that isn't mapped writable raises SIGSEGV or SIGBUS instead.
 */
int caisson_memory_prefault(void *addr, size_t len);

/*
 * Makes BYTES of the calling thread's stack below the caller present and writable.
 * -ENOMEM: the stack has less room than that, plus a reserve of 16 KiB; nothing was touched.
 * Asks the C library for the stack's bounds, which may allocate: call it before the seal.
 */
int caisson_stack_prefault(size_t bytes);

/*
 * -- Task audit (S1, S3) --
 */

enum caisson_task_kind {
	CAISSON_TASK_THREAD,	  /* made by the program */
	CAISSON_TASK_IO_WORKER,	  /* io_uring's io-wq worker, iou-wrk-OWNER */
	CAISSON_TASK_SQPOLL,	  /* io_uring's submission poller, iou-sqp-OWNER */
	CAISSON_TASK_USER_WORKER, /* another worker that the kernel has made, as vhost does */
};

/* A name as the kernel keeps it: at most 15 bytes, of any value but NUL. */
#define CAISSON_COMM_SIZE 16

/* One task, as its stat line showed it. */
struct caisson_task {
	pid_t tid;
	char comm[CAISSON_COMM_SIZE]; /* NUL-terminated; not necessarily UTF-8 or printable */
	char state;		      /* R, S, D, T, t, I … as in field 3; never Z or X */
	enum caisson_task_kind kind;
	uint32_t flags;	 /* all of field 9 */
	uint64_t minflt; /* page faults without I/O since the task was made */
	uint64_t majflt; /* page faults with I/O */
};

enum caisson_memory_state {
	CAISSON_MEMORY_UNLOCKED, /* some mapping could be paged out */
	CAISSON_MEMORY_LOCKED,	 /* none can */
	CAISSON_MEMORY_UNKNOWN,	 /* part is locked, but smaps can't be read: see memory_error */
};

struct caisson_audit_summary {
	pid_t pid;		/* of the process (its thread group) */
	uid_t uid;		/* effective */
	uint64_t cap_effective; /* of the task that the process's facts were read from */
	int32_t oom_score_adj;	/* -1000 … 1000 */

	uint32_t tasks;	     /* seen, and alive when their stat line was read */
	uint32_t marked;     /* of these: with both bits of CAISSON_FLUSHER_MASK */
	uint32_t io_workers; /* of these: CAISSON_TASK_IO_WORKER and _SQPOLL */
	uint32_t vanished;   /* listed, but dead or gone by the time they were read; not judged */
	uint32_t passes;     /* over the list of tasks */
	uint32_t settled;    /* 1: the last pass found nobody new. 0: tasks come too fast to tell */

	enum caisson_memory_state memory;
	int32_t memory_error;	   /* 0, or -errno of reading smaps */
	uint64_t vm_size_bytes;	   /* VmSize: all mappings */
	uint64_t vm_lck_bytes;	   /* VmLck: the size of the locked ones */
	uint64_t vm_rss_bytes;	   /* VmRSS: what is present, of locked and others */
	uint64_t unlocked_bytes;   /* size of the mappings that could be locked and aren't */
	uint64_t unlocked_maps;	   /* their number */
	uint64_t unlocked_address; /* start of the first of them, 0: none */
	uint64_t special_bytes; /* size of the mappings that the kernel neither locks nor pages */
	uint64_t absent_bytes;	/* of the locked ones: accessible but not present now */
};

/*
 * Called for each task once, by caisson_audit(), in its thread. TASK is valid until it returns.
 * 0: go on. Anything else ends the audit, and is what caisson_audit() returns: use -errno.
 */
typedef int caisson_audit_fn(const struct caisson_task *task, void *arg);

/* More tasks than this can't be audited. */
#define CAISSON_AUDIT_TASKS_MAX 4096

/*
 * Shows FN (which may be NULL) every task of process PID, or of the calling process for 0, and
 * sums up. Any TID of a process stands for it. Zombies don't count. Tasks that are made meanwhile
 * are found by listing again until a list holds nobody new, at most 16 times.
 *
 * The memory is CAISSON_MEMORY_LOCKED if each mapping in /proc/PID/smaps is locked ("lo" and not
 * "lf" in VmFlags) or of a kind that the kernel never locks because it never pages it out (device
 * memory, io_uring rings, vDSO, huge pages: mlock_fixup() in mm/mlock.c). VmLck alone proves
 * nothing: it counts the size of what is locked and says nothing of the rest. Whether *future*
 * mappings will be locked (MCL_FUTURE) can't be read from outside.
 *
 * Guarantees: allocates nothing on the heap, takes no lock, and uses less than
 * CAISSON_AUDIT_STACK bytes of stack, so that a locked and sealed process can audit itself every
 * second, given caisson_stack_prefault(CAISSON_AUDIT_STACK). But opening files in /proc makes the
 * kernel allocate, and smaps holds the address space's lock for reading while it looks at every
 * page (some 10 ms a GiB of 4 KiB pages): no thread that requests wait for should do it.
 *
 * -ESRCH: no such process, or it has ended (all zombies). -EINVAL: a kernel thread.
 * -E2BIG: more than CAISSON_AUDIT_TASKS_MAX tasks. -EOPNOTSUPP: no procfs at /proc.
 * -EBADMSG: a file in /proc doesn't parse. -EACCES, -EPERM: /proc hides the process (hidepid).
 * Reading smaps of another process needs the right to trace it (ptrace(2)); where it can't be
 * read the rest is judged all the same, and memory is UNKNOWN, or UNLOCKED if VmLck is 0.
 */
int caisson_audit(pid_t pid, caisson_audit_fn *fn, void *arg,
		  struct caisson_audit_summary *ret_summary);

#define CAISSON_AUDIT_STACK 65536u

/* Whether SUMMARY finds every task marked and none missed: 1 or 0. */
static inline int caisson_audit_is_marked(const struct caisson_audit_summary *summary)
{
	return summary->settled && summary->tasks > 0 && summary->marked == summary->tasks;
}

/* Whether SUMMARY finds the memory locked: 1 or 0; 0 also if it can't be told. */
static inline int caisson_audit_is_locked(const struct caisson_audit_summary *summary)
{
	return summary->memory == CAISSON_MEMORY_LOCKED;
}

#ifdef __cplusplus
}
#endif

#endif
