/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules about a process that serves storage. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caisson/reclaim.h"
#include "stack/judge.h"

#define OOM_NEVER (-1000)

/* What mlockall() leaves out: the vDSO and its like. */
#define UNLOCKABLE_KIB 64

struct tasks {
	const struct system *system;
	struct reader *reader;
	pid_t pid, unmarked_tid; /* the latter: one of them */
	uint32_t count, unmarked;
	unsigned unmarked_flags; /* of unmarked_tid */
	char state;		 /* of the process: R, S, D, T … */
};

static int look_at_task(void *arg, const char *name)
{
	struct tasks *tasks = arg;
	unsigned flags;
	char text[512], *at, state;

	if (reader_read(tasks->reader, PATH("proc/%d/task/%s/stat", tasks->pid, name), 0, text,
			sizeof(text)) < 0)
		return 0;
	at = strrchr(text, ')');
	if (!at || sscanf(at, ") %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
		return 0;
	tasks->count++;
	if (atoi(name) == tasks->pid)
		tasks->state = state;
	if (!caisson_flags_are_marked(flags)) {
		tasks->unmarked++;
		tasks->unmarked_tid = atoi(name);
		tasks->unmarked_flags = flags;
	}
	return 0;
}

static void judge_marks(struct judge *judge, uint32_t node, enum severity severity)
{
	const struct node *process = &judge->stack->graph.nodes[node];
	struct tasks tasks = {
		.system = judge->stack->system,
		.reader = judge->stack->reader,
		.pid = (pid_t)process->number,
	};

	(void)system_names(tasks.system, PATH("proc/%d/task", tasks.pid), look_at_task, &tasks);
	if (!tasks.count) {
		judge_say(judge, RULE_NOT_SEEN, SEVERITY_WARN, node,
			  "/proc/%d/task: its tasks can't be read", tasks.pid);
		return;
	}
	if (tasks.unmarked)
		judge_say(judge, tasks.unmarked == tasks.count ? RULE_UNMARKED : RULE_PARTLY_MARKED,
			  severity, node,
			  "%u of %u tasks; /proc/%d/task/%d/stat: flags %#x lack %#x",
			  tasks.unmarked, tasks.count, tasks.pid, tasks.unmarked_tid,
			  tasks.unmarked_flags, CAISSON_FLUSHER_MASK & ~tasks.unmarked_flags);
	if (tasks.state == 'T' || tasks.state == 't')
		judge_say(judge, RULE_STOPPED, SEVERITY_FAIL, node, "/proc/%d/stat: state %c",
			  tasks.pid, tasks.state);
}

static bool value_of(const struct system *system, pid_t pid, const char *key, int64_t *ret_value)
{
	struct system_lines lines;
	size_t len = strlen(key);
	bool is_found = false;
	char *line;

	if (system_lines_open(system, PATH("proc/%d/status", pid), &lines) < 0)
		return false;
	while (!is_found && (line = system_lines_next(&lines))) {
		is_found = strncmp(line, key, len) == 0 && line[len] == ':';
		if (is_found)
			*ret_value = strtoll(line + len + 1, NULL, 10);
	}
	system_lines_close(&lines);
	return is_found;
}

static void judge_memory(struct judge *judge, uint32_t node, enum severity severity)
{
	const struct system *system = judge->stack->system;
	pid_t pid = (pid_t)judge->stack->graph.nodes[node].number;
	int64_t locked_kib, present_kib, adjust;

	if (value_of(system, pid, "VmLck", &locked_kib) &&
	    value_of(system, pid, "VmRSS", &present_kib) &&
	    locked_kib + UNLOCKABLE_KIB < present_kib)
		judge_say(judge, RULE_UNLOCKED, severity, node,
			  "/proc/%d/status: VmLck %lld kB of VmRSS %lld kB", pid,
			  (long long)locked_kib, (long long)present_kib);
	if (system_number(system, PATH("proc/%d/oom_score_adj", pid), &adjust) == 0 &&
	    adjust != OOM_NEVER)
		judge_say(judge, RULE_OOM_KILLABLE, severity, node, "/proc/%d/oom_score_adj: %lld",
			  pid, (long long)adjust);
}

/* The rule that a process breaks that needs, by an edge of KIND, what depends on it. */
static enum rule_index rule_of(enum edge_kind kind)
{
	if (kind == EDGE_PROGRAM)
		return RULE_PROGRAM_ABOVE;
	return kind == EDGE_CWD ? RULE_CWD_ABOVE : RULE_FILE_ABOVE;
}

/* What the process needs of what depends on it, which ABOVE marks. */
static void judge_needs(struct judge *judge, uint32_t node)
{
	const struct graph *graph = &judge->stack->graph;

	graph_each_lower (graph, node, edge) {
		const struct node *lower = &graph->nodes[edge->lower];

		if (judge->above[edge->lower] && edge->kind != EDGE_SERVED)
			judge_say(judge, rule_of(edge->kind), SEVERITY_FAIL, node, "%s, on %s %s",
				  edge->text, lower->type, lower->name);
	}
	for (uint32_t i = 0; i < graph->node_count; i++) {
		if (judge->above[i] && graph->nodes[i].kind == NODE_SWAP)
			judge_say(judge, RULE_SWAP_ABOVE, SEVERITY_FAIL, node, "/proc/swaps: %s",
				  graph->nodes[i].name);
	}
}

/* Whether the process's limit lets it dump core: "Max core file size  SOFT  HARD  bytes". */
static bool may_dump(const struct system *system, pid_t pid)
{
	static const char key[] = "Max core file size";
	struct system_lines lines;
	char *line, soft[32];
	bool may = true;

	if (system_lines_open(system, PATH("proc/%d/limits", pid), &lines) < 0)
		return true;
	while ((line = system_lines_next(&lines))) {
		if (strncmp(line, key, strlen(key)) == 0)
			may = sscanf(line + strlen(key), "%31s", soft) != 1 ||
			      strcmp(soft, "0") != 0;
	}
	system_lines_close(&lines);
	return may;
}

static void judge_core(struct judge *judge, uint32_t node)
{
	pid_t pid = (pid_t)judge->stack->graph.nodes[node].number;
	char path[PATH_MAX];
	uint32_t filesystem;

	if (!may_dump(judge->stack->system, pid) ||
	    system_read(judge->stack->system, "proc/sys/kernel/core_pattern", path, sizeof(path)) <
		    0 ||
	    path[0] != '/')
		return;
	filesystem = stack_filesystem_of(judge->stack, path);
	if (filesystem != GRAPH_NONE && judge->above[filesystem])
		judge_say(judge, RULE_CORE_ABOVE, SEVERITY_WARN, node,
			  "/proc/sys/kernel/core_pattern: %s", path);
}

/*
 * How bad a fault of the process is. ABOVE marks what it serves and all that depends on it: is any
 * of that stacked on?
 */
static enum severity severity_of(const struct judge *judge)
{
	for (uint32_t i = 0; i < judge->stack->graph.node_count; i++) {
		if (judge->above[i] && judge_is_stacked(judge->stack, i))
			return SEVERITY_FAIL;
	}
	return SEVERITY_INFO;
}

void judge_process(struct judge *judge, uint32_t node)
{
	const struct graph *graph = &judge->stack->graph;
	enum severity severity, lower;
	bool is_server = false;

	memset(judge->above, 0, graph->node_count);
	graph_each_upper (graph, node, edge) {
		is_server |= edge->kind == EDGE_SERVED;
		if (edge->kind == EDGE_SERVED)
			graph_mark_upper(graph, edge->upper, judge->above);
	}
	if (!is_server)
		return;
	severity = severity_of(judge);
	lower = severity == SEVERITY_FAIL ? SEVERITY_WARN : SEVERITY_INFO;
	judge_marks(judge, node, severity);
	judge_memory(judge, node, lower);
	judge_cgroups(judge, node, lower);
	judge_needs(judge, node);
	judge_core(judge, node);
}
