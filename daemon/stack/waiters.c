/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/waiters.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/macro.h"
#include "caisson/reclaim.h"
#include "stack/namespaces.h"

/* Which argument of a system call is the path, and which the descriptor; -1: none. */
struct call {
	long number;
	int fd, path;
	const char *action;
};

static const struct call calls[] = {
	{ SYS_read, 0, -1, "reads" },
	{ SYS_pread64, 0, -1, "reads" },
	{ SYS_readv, 0, -1, "reads" },
	{ SYS_preadv, 0, -1, "reads" },
	{ SYS_preadv2, 0, -1, "reads" },
	{ SYS_write, 0, -1, "writes" },
	{ SYS_pwrite64, 0, -1, "writes" },
	{ SYS_writev, 0, -1, "writes" },
	{ SYS_pwritev, 0, -1, "writes" },
	{ SYS_pwritev2, 0, -1, "writes" },
	{ SYS_sendfile, 0, -1, "writes" },
	{ SYS_fsync, 0, -1, "syncs" },
	{ SYS_fdatasync, 0, -1, "syncs" },
	{ SYS_sync_file_range, 0, -1, "syncs" },
	{ SYS_syncfs, 0, -1, "syncs" },
	{ SYS_ftruncate, 0, -1, "truncates" },
	{ SYS_fallocate, 0, -1, "allocates in" },
	{ SYS_getdents64, 0, -1, "lists" },
	{ SYS_fstat, 0, -1, "looks at" },
	{ SYS_ioctl, 0, -1, "controls" },
	{ SYS_close, 0, -1, "closes" },
	{ SYS_openat, 0, 1, "opens in" },
	{ SYS_openat2, 0, 1, "opens in" },
	{ SYS_newfstatat, 0, 1, "looks at" },
	{ SYS_statx, 0, 1, "looks at" },
	{ SYS_faccessat, 0, 1, "looks at" },
	{ SYS_faccessat2, 0, 1, "looks at" },
	{ SYS_readlinkat, 0, 1, "looks at" },
	{ SYS_mkdirat, 0, 1, "creates in" },
	{ SYS_mknodat, 0, 1, "creates in" },
	{ SYS_symlinkat, 1, 2, "creates in" },
	{ SYS_unlinkat, 0, 1, "removes from" },
	{ SYS_renameat, 0, 1, "renames in" },
	{ SYS_renameat2, 0, 1, "renames in" },
	{ SYS_linkat, 0, 1, "renames in" },
	{ SYS_fchmodat, 0, 1, "changes" },
	{ SYS_fchownat, 0, 1, "changes" },
	{ SYS_utimensat, 0, 1, "changes" },
	{ SYS_truncate, -1, 0, "truncates" },
	{ SYS_statfs, -1, 0, "looks at" },
	{ SYS_chdir, -1, 0, "looks at" },
	{ SYS_getxattr, -1, 0, "looks at" },
	{ SYS_lgetxattr, -1, 0, "looks at" },
	{ SYS_setxattr, -1, 0, "changes" },
	{ SYS_lsetxattr, -1, 0, "changes" },
	{ SYS_execve, -1, 0, "executes from" },
#ifdef SYS_open /* newer architectures lack these */
	{ SYS_open, -1, 0, "opens in" },
	{ SYS_creat, -1, 0, "creates in" },
	{ SYS_stat, -1, 0, "looks at" },
	{ SYS_lstat, -1, 0, "looks at" },
	{ SYS_access, -1, 0, "looks at" },
	{ SYS_readlink, -1, 0, "looks at" },
	{ SYS_mkdir, -1, 0, "creates in" },
	{ SYS_mknod, -1, 0, "creates in" },
	{ SYS_symlink, -1, 1, "creates in" },
	{ SYS_unlink, -1, 0, "removes from" },
	{ SYS_rmdir, -1, 0, "removes from" },
	{ SYS_rename, -1, 0, "renames in" },
	{ SYS_link, -1, 0, "renames in" },
	{ SYS_chmod, -1, 0, "changes" },
	{ SYS_chown, -1, 0, "changes" },
	{ SYS_lchown, -1, 0, "changes" },
#endif
};

static const struct call *call_of(long number)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].number == number)
			return &calls[i];
	}
	return NULL;
}

const char *waiter_action(const struct waiter *waiter)
{
	const struct call *call = call_of(waiter->call);

	return call ? call->action : "uses";
}

bool waiter_is_of_kernel(const struct waiter *waiter)
{
	return waiter->flags & CAISSON_PF_KTHREAD;
}

/* --- where a task waits --- */

/* What lies directly below NODE, or GRAPH_NONE. */
static uint32_t below(const struct stack *stack, uint32_t node)
{
	const struct edge *edge = graph_edge(&stack->graph, stack->graph.nodes[node].first_lower);

	return edge ? edge->lower : GRAPH_NONE;
}

/* A device by its name, or a device or filesystem by its number, as flushers are named. */
static uint32_t node_named(const struct graph *graph, const char *name)
{
	unsigned major, minor;
	uint32_t node;

	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_DEVICE && strcmp(graph->nodes[i].name, name) == 0)
			return i;
	}
	if (sscanf(name, "%u:%u", &major, &minor) != 2)
		return GRAPH_NONE;
	node = graph_find(graph, NODE_DEVICE, makedev(major, minor));
	if (node == GRAPH_NONE)
		node = graph_find(graph, NODE_FILESYSTEM, makedev(major, minor));
	return node;
}

/* Such as "kworker/u4:1+loop0". */
uint32_t waiter_device(const struct stack *stack, const struct waiter *waiter)
{
	const char *work = strchr(waiter->comm, '+');

	return node_named(&stack->graph, work ? work + 1 : waiter->comm);
}

/*
 * Where a task of the kernel waits, by its name: "kworker/u4:1+flush-7:0", "xfsaild/loop0",
 * "jbd2/loop0-8". A device's own worker waits for what is below the device.
 */
static uint32_t place_of_worker(const struct stack *stack, const struct waiter *worker)
{
	uint32_t node = waiter_device(stack, worker);
	const char *at = strrchr(worker->comm, '/'), *flush = strstr(worker->comm, "flush-");
	char name[64], *end;

	if (node != GRAPH_NONE)
		return below(stack, node);
	if (flush)
		at = flush + strlen("flush-") - 1;
	(void)snprintf(name, sizeof(name), "%s", at ? at + 1 : worker->comm);
	node = node_named(&stack->graph, name);
	end = strrchr(name, '-');
	if (node != GRAPH_NONE || !end)
		return node;
	*end = '\0'; /* a journal's thread has the inode number of the journal */
	return node_named(&stack->graph, name);
}

/* The filesystem or device that descriptor FD of the process is of. */
static uint32_t place_of_fd(struct stack *stack, const struct waiter *waiter, int fd)
{
	char link[PATH_MAX], fdinfo[512];
	const struct mount *mount;
	uint32_t device;

	if (reader_link(stack->reader, PATH("proc/%d/fd/%d", waiter->pid, fd), link, sizeof(link)) <
	    0)
		return GRAPH_NONE;
	device = stack_device_named(stack, link);
	if (device != GRAPH_NONE)
		return device;
	if (reader_read(stack->reader, PATH("proc/%d/fdinfo/%d", waiter->pid, fd), 0, fdinfo,
			sizeof(fdinfo)) < 0)
		return GRAPH_NONE;
	mount = stack_mount_of_fdinfo(stack, fdinfo);
	return mount ? mount->filesystem : GRAPH_NONE;
}

/* The directory from which a relative path goes: descriptor FD, or the working directory. */
static bool base_of(const struct stack *stack, pid_t pid, int fd, char *base, size_t size)
{
	if (fd == AT_FDCWD)
		return reader_link(stack->reader, PATH("proc/%d/cwd", pid), base, size) > 0;
	return reader_link(stack->reader, PATH("proc/%d/fd/%d", pid, fd), base, size) > 0;
}

/*
 * The filesystem of the path that CALL has as an argument, by its text: a symlink on the way may
 * lead elsewhere.
 */
static uint32_t place_of_path(struct waiters *waiters, const struct waiter *waiter,
			      const struct call *call)
{
	const struct stack *stack = waiters->stack;
	int fd = call->fd < 0 ? AT_FDCWD : (int)waiter->arguments[call->fd];
	uint64_t address = waiter->arguments[call->path];
	/* no byte of another page, which could be one of a file that hangs */
	size_t room = PAGE_BYTES - address % PAGE_BYTES;
	char path[PAGE_BYTES + 1], base[PATH_MAX] = "", whole[PATH_MAX + PAGE_BYTES + 1];
	const struct mount *mount;

	if (reader_read(waiters->stack->reader, PATH("proc/%d/mem", waiter->pid), address, path,
			room + 1) <= 0 ||
	    strstr(path, "..") ||
	    (path[0] != '/' && !base_of(stack, waiter->pid, fd, base, sizeof(base))))
		return GRAPH_NONE;
	(void)snprintf(whole, sizeof(whole), "%s%s%s", base, *base ? "/" : "", path);
	mount = stack_mount_of(stack, namespace_of(stack, waiter->pid), whole);
	return mount ? mount->filesystem : GRAPH_NONE;
}

/* Where the system call of WAITER is at work, or GRAPH_NONE. */
static uint32_t place_of_call(struct waiters *waiters, const struct waiter *waiter)
{
	const struct call *call = call_of(waiter->call);

	if (!call)
		return GRAPH_NONE;
	return call->path < 0
		       ? place_of_fd(waiters->stack, waiter, (int)waiter->arguments[call->fd])
		       : place_of_path(waiters, waiter, call);
}

/* The filesystem of TYPE, if there is only one. */
static uint32_t only_one(const struct stack *stack, const char *type)
{
	uint32_t found = GRAPH_NONE;

	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];

		if (node->kind != NODE_FILESYSTEM ||
		    !(strcmp(type, "fuse") == 0 ? stack_is_fuse(node)
						: strcmp(node->type, type) == 0))
			continue;
		if (found != GRAPH_NONE)
			return GRAPH_NONE;
		found = i;
	}
	return found;
}

/* Whether NODE is a FUSE mount that may have requests under way. */
static bool is_busy_fuse(const struct waiters *waiters, uint32_t index)
{
	const struct node *node = &waiters->stack->graph.nodes[index];
	const struct place *place = flow_of(waiters->flow, node);

	return stack_is_fuse(node) && (!place || flow_under_way(place));
}

/*
 * The FUSE mount that a task waits for whose call is at work on NODE; or GRAPH_NONE. NODE may be
 * wrong, if it was told by a path.
 */
static uint32_t fuse_at(const struct waiters *waiters, uint32_t node)
{
	const struct graph *graph = &waiters->stack->graph;
	uint32_t found = GRAPH_NONE;

	if (node != GRAPH_NONE && is_busy_fuse(waiters, node))
		return node;
	if (node != GRAPH_NONE) {
		/* such as an overlay */
		graph_each_lower (graph, node, edge) {
			if (is_busy_fuse(waiters, edge->lower))
				return edge->lower;
		}
	}
	/* the only one that is busy, if there is none that isn't seen */
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (!is_busy_fuse(waiters, i))
			continue;
		if (found != GRAPH_NONE)
			return GRAPH_NONE;
		found = i;
	}
	return waiters->stack->detached ? GRAPH_NONE : found;
}

static void place(struct waiters *waiters, struct waiter *waiter)
{
	const struct stack *stack = waiters->stack;
	uint32_t node = waiter_is_of_kernel(waiter) ? place_of_worker(stack, waiter)
						    : place_of_call(waiters, waiter);

	if (waiter->wait.kind == WAIT_FUSE)
		node = fuse_at(waiters, node);
	else if (node == GRAPH_NONE && *waiter->wait.filesystem)
		node = only_one(stack, waiter->wait.filesystem);
	waiter->place = node;
	if (node != GRAPH_NONE)
		waiter->at = (struct node_name){ stack->graph.nodes[node].kind,
						 stack->graph.nodes[node].number };
}

void waiters_place(struct waiters *waiters)
{
	for (uint32_t i = 0; i < waiters->count; i++) {
		struct waiter *waiter = &waiters->waiter[i];

		if (waiter->place != GRAPH_NONE)
			waiter->place = graph_find(&waiters->stack->graph, waiter->at.kind,
						   waiter->at.number);
		else
			place(waiters, waiter);
	}
}

/* --- a look at a task --- */

static struct waiter *find(struct waiters *waiters, const struct sight *sight)
{
	for (uint32_t i = 0; i < waiters->count; i++) {
		struct waiter *waiter = &waiters->waiter[i];

		if (waiter->tid == sight->tid && waiter->pid == sight->pid)
			return waiter;
	}
	return NULL;
}

static struct waiter *find_or_add(struct waiters *waiters, const struct sight *sight)
{
	struct waiter *waiter = find(waiters, sight);

	if (waiter)
		return waiter;
	if (waiters->count == WAITERS_MAX) {
		waiters->left_off++;
		return NULL;
	}
	waiter = &waiters->waiter[waiters->count++];
	*waiter = (struct waiter){
		.pid = sight->pid,
		.tid = sight->tid,
		.call = -1,
		.since_ms = waiters->now_ms,
		.still_ms = waiters->now_ms,
		.place = GRAPH_NONE,
	};
	return waiter;
}

/* The task's file NAME, by the reader. */
static ssize_t read_of(struct waiters *waiters, const struct waiter *waiter, const char *name,
		       char *text, size_t size)
{
	ssize_t len = reader_read(waiters->stack->reader,
				  PATH("proc/%d/task/%d/%s", waiter->pid, waiter->tid, name), 0,
				  text, size);

	waiters->unread += reader_is_late(len);
	return len;
}

/* Reads what WAITER waits for, and its flags. WCHAN is its innermost function, or "". */
static struct wait read_wait(struct waiters *waiters, struct waiter *waiter, const char *wchan)
{
	char text[READER_TEXT_SIZE], *end;

	if (read_of(waiters, waiter, "stat", text, sizeof(text)) > 0) {
		end = strrchr(text, ')');
		(void)sscanf(end ? end : "", ") %*c %*d %*d %*d %*d %*d %u", &waiter->flags);
	}
	waiter->is_guess = read_of(waiters, waiter, "stack", text, sizeof(text)) <= 0;
	return wait_classify(waiter->is_guess ? wchan : text);
}

/*
 * A task that is in another call than at the last look has gone on meanwhile. A worker of io_uring
 * is always in the same one.
 */
static void compare_call(const struct waiters *waiters, struct waiter *waiter,
			 const uint64_t arguments[static 6])
{
	uint64_t hash = mix_bits((uint64_t)waiter->call);

	for (size_t i = 0; i < 6; i++)
		hash = mix_bits(hash ^ arguments[i]);
	if (waiter->call_hash && waiter->call_hash != hash)
		waiter->since_ms = waiters->now_ms;
	waiter->call_hash = hash;
}

/* Reads the system call: its number, its first arguments. */
static void read_call(struct waiters *waiters, struct waiter *waiter)
{
	uint64_t arguments[6] = { 0 };
	char text[256];
	ssize_t len;

	waiter->call = -1;
	waiter->is_called = true;
	if (waiter_is_of_kernel(waiter))
		return;
	len = read_of(waiters, waiter, "syscall", text, sizeof(text));
	waiter->is_called = !reader_is_late(len);
	if (len <= 0 ||
	    sscanf(text, "%ld %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64,
		   &waiter->call, &arguments[0], &arguments[1], &arguments[2], &arguments[3],
		   &arguments[4], &arguments[5]) < 1)
		return;
	memcpy(waiter->arguments, arguments, sizeof(waiter->arguments));
	compare_call(waiters, waiter, arguments);
}

/* Whether the task of SIGHT has run since it was last seen. */
static bool has_moved(const struct waiter *waiter, const struct sight *sight)
{
	return !waiter->seen_ms || !sight->runs || waiter->runs != sight->runs;
}

/* Whether a task that waits in one way, and then in the other, has waited for one thing. */
static bool is_the_same(enum wait_kind one, enum wait_kind other)
{
	return one == other || (wait_is_for_memory(one) && wait_is_for_memory(other));
}

/* Notes what the task waits for. */
static void set_wait(const struct waiters *waiters, struct waiter *waiter,
		     const struct sight *sight, struct wait wait)
{
	bool is_new = has_moved(waiter, sight);

	if (is_new || wait.kind != waiter->wait.kind)
		waiter->still_ms = waiters->now_ms;
	/* what a task did while it wasn't seen isn't known; a worker may work for another device */
	if (!is_the_same(wait.kind, waiter->wait.kind) || strcmp(waiter->comm, sight->comm) != 0 ||
	    (is_new && waiters->was_short && !waiter->is_held))
		waiter->since_ms = waiters->now_ms;
	if (is_new) {
		waiter->is_called = false;
		waiter->place = GRAPH_NONE;
	}
	(void)snprintf(waiter->comm, sizeof(waiter->comm), "%s", sight->comm);
	waiter->wait = wait;
	waiter->runs = sight->runs;
	waiter->seen_ms = waiters->now_ms;
}

/* Notes that the task waits. WCHAN is its innermost function, or "". */
static void note(struct waiters *waiters, const struct sight *sight, const char *wchan)
{
	struct waiter *waiter = find_or_add(waiters, sight);

	if (!waiter || waiter->seen_ms == waiters->now_ms) /* it is held */
		return;
	waiter->is_held = false;
	/* a task that hasn't run waits for what it did */
	if (has_moved(waiter, sight) || waiter->is_guess) {
		set_wait(waiters, waiter, sight, read_wait(waiters, waiter, wchan));
		waiter->is_called = false;
	} else {
		set_wait(waiters, waiter, sight, waiter->wait);
	}
}

static void look_at(struct waiters *waiters, const struct sight *sight)
{
	char wchan[64] = "";
	ssize_t len;

	len = reader_read(waiters->stack->reader,
			  PATH("proc/%d/task/%d/wchan", sight->pid, sight->tid), 0, wchan,
			  sizeof(wchan));
	waiters->unread += reader_is_late(len);
	waiters->is_blind |= len == -EAGAIN;
	if (sight->state == 'D' || wait_classify(wchan).kind == WAIT_FUSE)
		note(waiters, sight, wchan);
}

/* The same for a task that is held. Of those not in state D, only who waits for memory is noted. */
static void look_at_held(void *arg, const struct held_task *task, const struct sight *sight)
{
	struct waiters *waiters = arg;
	struct waiter *waiter;

	if (sight->state != 'D' && !wait_is_for_memory(task->wait.kind))
		return;
	waiter = find_or_add(waiters, sight);
	if (!waiter)
		return;
	set_wait(waiters, waiter, sight, task->wait);
	waiter->flags = task->flags;
	waiter->is_guess = false;
	waiter->is_held = true;
}

/* Finds where those wait of whom that isn't known. */
static void place_new(struct waiters *waiters)
{
	for (uint32_t i = 0; i < waiters->count; i++) {
		struct waiter *waiter = &waiters->waiter[i];

		if (waiter->seen_ms != waiters->now_ms)
			continue;
		if (!waiter->is_called)
			read_call(waiters, waiter);
		else if (waiter->place != GRAPH_NONE)
			continue;
		place(waiters, waiter);
	}
}

/*
 * A look may miss a task that wakes up for a moment: two looks don't. Tasks that can't be seen are
 * kept, until they can.
 */
static void forget_old(struct waiters *waiters, int64_t last_ms)
{
	int64_t since_ms = waiters->was_short ? waiters->now_ms : last_ms;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < waiters->count; i++) {
		const struct waiter *waiter = &waiters->waiter[i];

		if (waiter->seen_ms >= (waiter->is_held ? last_ms : since_ms) ||
		    (waiters->is_short && !waiter->is_held))
			waiters->waiter[kept++] = *waiter;
	}
	waiters->count = kept;
}

static int look_at_all(struct waiters *waiters)
{
	struct sights *sights = waiters->sights;
	int r;

	if (!sights_begin(sights, waiters->with_sleepers))
		return -ETIMEDOUT;
	while ((r = sights_next(sights)) > 0) {
		for (int i = 0; i < r; i++)
			look_at(waiters, &sights->sight[i]);
	}
	return r;
}

/*
 * Opens a file, to see whether that takes too long. It takes the reader for open files, of which no
 * other thread waits to open one.
 */
static bool can_open(const struct waiters *waiters)
{
	char text[READER_TEXT_SIZE];

	return !reader_is_late(
		reader_read(waiters->held.reader, "proc/self/status", 0, text, sizeof(text)));
}

bool waiters_may_open(const struct waiters *waiters)
{
	return !waiters->is_short && !waiters->is_blind && can_open(waiters);
}

int waiters_look(struct waiters *waiters, int64_t now_ms)
{
	int64_t last_ms = waiters->now_ms;
	int r;

	waiters->now_ms = now_ms;
	waiters->left_off = 0;
	waiters->was_short = waiters->is_short;
	waiters->is_blind = false;
	waiters->unread = held_look(&waiters->held, false, look_at_held, waiters);
	r = look_at_all(waiters);
	waiters->is_short = r == -ETIMEDOUT || !can_open(waiters);
	if (waiters->is_short) {
		waiters->unread += held_look(&waiters->held, true, look_at_held, waiters);
	} else {
		place_new(waiters);
		if (r == 0)
			held_update(&waiters->held, waiters->stack, waiters->sights);
	}
	forget_old(waiters, last_ms);
	return waiters->is_short ? 0 : r;
}

int waiters_create(struct waiters *waiters, uint32_t files_max)
{
	int r;

	waiters->sights = calloc(1, sizeof(*waiters->sights));
	if (!waiters->sights)
		return -ENOMEM;
	r = sights_start(waiters->sights, waiters->stack->system);
	if (r < 0) {
		free(waiters->sights);
		waiters->sights = NULL;
		return r;
	}
	return held_create(&waiters->held, waiters->stack, files_max / HELD_FILES);
}

void waiters_destroy(struct waiters *waiters)
{
	held_destroy(&waiters->held);
	if (waiters->sights && sights_stop(waiters->sights))
		free(waiters->sights);
	waiters->sights = NULL;
}
