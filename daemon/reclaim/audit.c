/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task audit reads the flags of all tasks of a process from /proc/PID/task. It stops nothing,
 * so tasks come and go meanwhile.
 *
 * One listing isn't enough. The kernel lists tasks in the order in which they were created. For
 * the next part of a listing it finds its place by the TID of the last task, or by counting if
 * that task has died. Counting can skip living tasks (proc_task_readdir() in fs/proc/base.c).
 * Therefore the audit repeats the listing until it finds no new task. A task that appears later
 * has inherited its flags from a task that was judged, and the next audit sees it.
 */
#include "caisson/reclaim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "reclaim/proc-maps.h"
#include "reclaim/proc.h"

#define PASSES_MAX 16

/* The hash is at most half full, so that a search for a missing TID is short. */
#define SEEN_SLOTS ((size_t)2 * CAISSON_AUDIT_TASKS_MAX)

/* The kernel's struct linux_dirent64, which libc doesn't declare. */
struct dirent64_raw {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

struct walk {
	int task_fd; /* /proc/PID/task */
	caisson_audit_fn *fn;
	void *arg;
	struct caisson_audit_summary summary;
	bool has_facts; /* the summary has the facts from status and oom_score_adj */
	bool has_maps;	/* the summary has the facts from smaps */
	uint32_t seen_count;
	pid_t seen[SEEN_SLOTS]; /* hash with open addressing; 0 is a free slot */
	_Alignas(struct dirent64_raw) char entries[8192];
};

_Static_assert(sizeof(struct walk) + 8192 < CAISSON_AUDIT_STACK, "what the header promises");

/* Returns the slot of TID, or the free slot where it belongs. */
static pid_t *seen_slot(struct walk *walk, pid_t tid)
{
	/* multiplication spreads TIDs, which are often neighbours or have regular gaps */
	uint32_t hash = (uint32_t)tid * 2654435761u;
	size_t slot = hash % SEEN_SLOTS;

	while (walk->seen[slot] != 0 && walk->seen[slot] != tid)
		slot = (slot + 1) % SEEN_SLOTS;
	return &walk->seen[slot];
}

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH;
}

/* Judges the memory lock from smaps of TID. If the task is gone, another task will be asked. */
static void judge_memory(struct walk *walk, pid_t tid)
{
	struct caisson_audit_summary *summary = &walk->summary;
	char path[PROC_PATH_SIZE];
	struct proc_maps maps;
	int r;

	caisson_proc_path(path, tid, "", "smaps");
	r = caisson_proc_maps(walk->task_fd, path, &maps);
	summary->memory_error = r;
	if (is_gone(r))
		return;
	walk->has_maps = true;
	if (r < 0)
		return;
	summary->memory = maps.unlocked_count ? CAISSON_MEMORY_UNLOCKED : CAISSON_MEMORY_LOCKED;
	summary->unlocked_bytes = maps.unlocked_bytes;
	summary->unlocked_maps = maps.unlocked_count;
	summary->unlocked_address = maps.unlocked_address;
	summary->special_bytes = maps.special_bytes;
	summary->absent_bytes = maps.absent_bytes;
}

/*
 * Reads from task TID the facts that all tasks of the process share. If TID is exiting, the next
 * task is asked: a main thread that has ended remains as a zombie without memory.
 */
static int gather_facts(struct walk *walk, pid_t tid)
{
	struct caisson_audit_summary *summary = &walk->summary;
	char path[PROC_PATH_SIZE];
	struct proc_status status;
	int32_t oom_score_adj;
	int r;

	if (!walk->has_facts) {
		caisson_proc_path(path, tid, "", "status");
		r = caisson_proc_status(walk->task_fd, path, &status);
		if (r < 0)
			return is_gone(r) ? 0 : r;
		if (!status.has_memory)
			return 0;
		caisson_proc_path(path, tid, "", "oom_score_adj");
		r = caisson_proc_number(walk->task_fd, path, &oom_score_adj);
		if (r < 0)
			return is_gone(r) ? 0 : r;
		summary->pid = status.tgid;
		summary->uid = status.euid;
		summary->cap_effective = status.cap_effective;
		summary->oom_score_adj = oom_score_adj;
		summary->vm_size_bytes = status.vm_size_bytes;
		summary->vm_lck_bytes = status.vm_lck_bytes;
		summary->vm_rss_bytes = status.vm_rss_bytes;
		/* smaps may replace this */
		summary->memory = status.vm_lck_bytes ? CAISSON_MEMORY_UNKNOWN
						      : CAISSON_MEMORY_UNLOCKED;
		walk->has_facts = true;
	}
	if (!walk->has_maps)
		judge_memory(walk, tid);
	return 0;
}

static int judge_task(struct walk *walk, pid_t tid)
{
	struct caisson_audit_summary *summary = &walk->summary;
	char path[PROC_PATH_SIZE];
	struct caisson_task task;
	int r;

	caisson_proc_path(path, tid, "", "stat");
	r = caisson_proc_stat(walk->task_fd, path, &task);
	if (r < 0 && !is_gone(r))
		return r;
	if (r == 0 && task.tid != tid)
		return -EBADMSG;
	if (r < 0 || task.state == 'Z' || task.state == 'X') {
		summary->vanished++;
		return 0;
	}
	if (task.flags & CAISSON_PF_KTHREAD)
		return -EINVAL;

	summary->tasks++;
	if (caisson_flags_are_marked(task.flags))
		summary->marked++;
	if (task.kind == CAISSON_TASK_IO_WORKER || task.kind == CAISSON_TASK_SQPOLL)
		summary->io_workers++;
	r = gather_facts(walk, tid);
	if (!r && walk->fn)
		r = walk->fn(&task, walk->arg);
	return r;
}

/* Judges TID if it is new, and only then sets RET_FRESH. */
static int meet_task(struct walk *walk, pid_t tid, bool *ret_fresh)
{
	pid_t *slot = seen_slot(walk, tid);

	if (*slot == tid)
		return 0;
	if (walk->seen_count == CAISSON_AUDIT_TASKS_MAX)
		return -E2BIG;
	*slot = tid;
	walk->seen_count++;
	*ret_fresh = true;
	return judge_task(walk, tid);
}

/* Lists all tasks once. Sets RET_FRESH to whether the list held a new task. */
static int walk_pass(struct walk *walk, bool *ret_fresh)
{
	*ret_fresh = false;
	if (lseek(walk->task_fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		long n = syscall(SYS_getdents64, walk->task_fd, walk->entries,
				 sizeof(walk->entries));

		if (n < 0)
			return errno == ENOENT ? -ESRCH : -errno;
		if (n == 0)
			return 0;
		for (long at = 0; at < n;) {
			const struct dirent64_raw *entry = (const void *)(walk->entries + at);
			pid_t tid;
			int r;

			at += entry->reclen;
			if (caisson_proc_parse_tid(entry->name, &tid) < 0)
				continue; /* . and .. */
			r = meet_task(walk, tid, ret_fresh);
			if (r)
				return r;
		}
	}
}

static int walk_all(struct walk *walk)
{
	struct caisson_audit_summary *summary = &walk->summary;
	bool fresh = true;

	while (fresh && summary->passes < PASSES_MAX) {
		int r = walk_pass(walk, &fresh);

		if (r)
			return r;
		summary->passes++;
	}
	summary->settled = !fresh;
	return walk->has_facts ? 0 : -ESRCH;
}

/* It is not inlined, so that its large frame, CAISSON_AUDIT_STACK, exists only during an audit. */
__attribute__((noinline)) int caisson_audit_at(int proc_fd, pid_t pid, caisson_audit_fn *fn,
					       void *arg, struct caisson_audit_summary *ret_summary)
{
	autoclose int task_fd = -1;
	char path[PROC_PATH_SIZE];
	struct walk walk;
	int r;

	if (pid < 0)
		return -EINVAL;
	caisson_proc_path(path, pid, "self", "task");
	task_fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (task_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	memset(&walk, 0, sizeof(walk));
	walk.task_fd = task_fd;
	walk.fn = fn;
	walk.arg = arg;
	r = walk_all(&walk);
	if (!r)
		*ret_summary = walk.summary;
	return r;
}

/* Opens /proc after checking that it is a procfs, because other files prove nothing. */
static int open_proc(int *ret_fd)
{
	autoclose int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0)
		return errno == ENOENT ? -EOPNOTSUPP : -errno;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -EOPNOTSUPP;
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int audit(pid_t pid, caisson_audit_fn *fn, void *arg,
		 struct caisson_audit_summary *ret_summary)
{
	autoclose int proc_fd = -1;
	int r = open_proc(&proc_fd);

	return r < 0 ? r : caisson_audit_at(proc_fd, pid, fn, arg, ret_summary);
}

int caisson_audit(pid_t pid, caisson_audit_fn *fn, void *arg,
		  struct caisson_audit_summary *ret_summary)
{
	int saved = errno;
	int r = audit(pid, fn, arg, ret_summary);

	errno = saved;
	return r;
}
