/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/macro.h"

static int start_reader(struct held *held, const struct system *system)
{
	int r;

	held->reader = calloc(1, sizeof(*held->reader));
	if (!held->reader)
		return -ENOMEM;
	r = reader_start(held->reader, system);
	if (r < 0) {
		free(held->reader);
		held->reader = NULL;
	}
	return r;
}

int held_create(struct held *held, const struct stack *stack, uint32_t max)
{
	held->count = 0;
	held->max = MIN(max, HELD_MAX);
	held->below = calloc(stack->graph.node_max, 1);
	return held->below ? start_reader(held, stack->system) : -ENOMEM;
}

static void close_files(struct held_task *task)
{
	close_fd(&task->status_fd);
	close_fd(&task->stat_fd);
	close_fd(&task->stack_fd);
}

static void drop(struct held *held, uint32_t index)
{
	close_files(&held->task[index]);
	held->task[index] = held->task[--held->count];
}

void held_destroy(struct held *held)
{
	free(held->below);
	held->below = NULL;
	/* a thread that hangs reads a file that is open */
	if (!held->reader || !reader_stop(held->reader))
		return;
	while (held->count)
		drop(held, 0);
	free(held->reader);
	held->reader = NULL;
}

/* --- what a task waits for --- */

/* Reads a file of TASK that is open. */
static ssize_t read_open(struct held *held, const struct held_task *task, const char *name, int fd,
			 char text[static READER_TEXT_SIZE])
{
	return reader_read_open(held->reader,
				PATH("proc/%d/task/%d/%s", task->pid, task->tid, name), fd, text,
				READER_TEXT_SIZE);
}

/* Reads what TASK waits for, and its flags, if it has run since. Returns 0 or -errno. */
static ssize_t read_wait(struct held *held, struct held_task *task, uint64_t runs)
{
	char text[READER_TEXT_SIZE], *end;
	ssize_t len;

	if (task->runs && task->runs == runs)
		return 0;
	task->runs = 0;
	len = read_open(held, task, "stat", task->stat_fd, text);
	if (len <= 0)
		return len < 0 ? len : -ESRCH;
	end = strrchr(text, ')');
	(void)sscanf(end ? end : "", ") %*c %*d %*d %*d %*d %*d %u", &task->flags);
	len = read_open(held, task, "stack", task->stack_fd, text);
	if (len <= 0)
		return len < 0 ? len : -ESRCH;
	task->wait = wait_classify(text);
	task->runs = runs;
	return 0;
}

uint32_t held_look(struct held *held, bool with_others, held_fn *each, void *arg)
{
	uint32_t unread = 0;

	for (uint32_t i = held->count; i-- > 0;) {
		struct held_task *task = &held->task[i];
		struct sight sight = { .pid = task->pid };
		char text[READER_TEXT_SIZE];
		ssize_t r;

		if (system_read_ends(task->status_fd, text, sizeof(text)) <= 0) {
			drop(held, i); /* it has ended */
			continue;
		}
		if (!sight_read(&sight, text) || !strchr(with_others ? "DSR" : "D", sight.state))
			continue;
		r = read_wait(held, task, sight.runs);
		unread += reader_is_late(r);
		if (r == 0)
			each(arg, task, &sight);
	}
	return unread;
}

/* --- which tasks --- */

struct update {
	struct held *held;
	const struct stack *stack;
	pid_t pid;
	uint32_t count; /* tasks of this process */
};

static struct held_task *find(struct held *held, pid_t pid, pid_t tid)
{
	for (uint32_t i = 0; i < held->count; i++) {
		if (held->task[i].pid == pid && held->task[i].tid == tid)
			return &held->task[i];
	}
	return NULL;
}

static int open_file(const struct stack *stack, const struct held_task *task, const char *name)
{
	return reader_open(stack->reader, PATH("proc/%d/task/%d/%s", task->pid, task->tid, name));
}

/*
 * Opens the files of TASK, and reads each once: the kernel allocates a buffer then, which stays.
 * Returns 0 or -errno, with files still open.
 */
static ssize_t open_files(struct held *held, const struct stack *stack, struct held_task *task)
{
	char text[READER_TEXT_SIZE];
	ssize_t len;

	task->status_fd = open_file(stack, task, "status");
	if (task->status_fd < 0)
		return task->status_fd;
	task->stat_fd = open_file(stack, task, "stat");
	if (task->stat_fd < 0)
		return task->stat_fd;
	task->stack_fd = open_file(stack, task, "stack");
	if (task->stack_fd < 0)
		return task->stack_fd;
	len = read_open(held, task, "status", task->status_fd, text);
	if (len <= 0)
		return len < 0 ? len : -ESRCH;
	return read_wait(held, task, 0);
}

/* Returns 0, or -errno if it takes too long. */
static int add(struct held *held, const struct stack *stack, pid_t pid, pid_t tid)
{
	struct held_task task = {
		.pid = pid,
		.tid = tid,
		.status_fd = -1,
		.stat_fd = -1,
		.stack_fd = -1,
		.is_seen = true,
	};
	ssize_t r;

	if (held->is_refused || held->count == held->max)
		return 0;
	r = open_files(held, stack, &task);
	held->is_refused = r == -EACCES; /* of stacks; other errors are of one process */
	if (r == 0)
		held->task[held->count++] = task;
	else
		close_files(&task);
	return reader_is_late(r) ? (int)r : 0;
}

/* Returns 0, or -errno if it takes too long. */
static int hold(struct held *held, const struct stack *stack, pid_t pid, pid_t tid)
{
	struct held_task *known = find(held, pid, tid);

	if (!known)
		return add(held, stack, pid, tid);
	known->is_seen = true;
	return 0;
}

static int look_at_task(void *arg, const char *name)
{
	struct update *update = arg;
	int r = hold(update->held, update->stack, update->pid, atoi(name));

	if (r == 0 && ++update->count >= update->held->max / 4)
		r = 1;
	return r;
}

/* Keeps what is held of process PID: its tasks can't be listed now. */
static void keep(struct held *held, pid_t pid)
{
	for (uint32_t i = 0; i < held->count; i++)
		held->task[i].is_seen |= held->task[i].pid == pid;
}

/* Whether workers of the kernel write what is swapped out. */
static bool swaps_by_workers(const struct held *held, const struct graph *graph)
{
	memset(held->below, 0, graph->node_count);
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (graph->nodes[i].kind == NODE_SWAP)
			graph_mark_lower(graph, i, held->below);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		const struct node *node = &graph->nodes[i];

		if (held->below[i] && node->kind == NODE_DEVICE &&
		    (strcmp(node->type, "loop") == 0 || strcmp(node->type, "zloop") == 0))
			return true;
	}
	return false;
}

static void hold_workers(struct held *held, const struct stack *stack, const struct sights *sights)
{
	uint32_t count = MIN(sights->workers, held->max / 4);
	int r = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (r == 0)
			r = hold(held, stack, sights->worker[i], sights->worker[i]);
		if (r < 0)
			keep(held, sights->worker[i]);
	}
}

void held_update(struct held *held, const struct stack *stack, const struct sights *sights)
{
	for (uint32_t i = 0; i < held->count; i++)
		held->task[i].is_seen = false;
	if (swaps_by_workers(held, &stack->graph))
		hold_workers(held, stack, sights);
	for (uint32_t i = 0; i < stack->graph.node_count; i++) {
		const struct node *node = &stack->graph.nodes[i];
		struct update update = { .held = held, .stack = stack, .pid = (pid_t)node->number };

		if (node->kind == NODE_PROCESS &&
		    reader_is_late(reader_names(stack->reader, PATH("proc/%d/task", update.pid),
						look_at_task, &update)))
			keep(held, update.pid);
	}
	for (uint32_t i = held->count; i-- > 0;) {
		if (!held->task[i].is_seen)
			drop(held, i);
	}
}
