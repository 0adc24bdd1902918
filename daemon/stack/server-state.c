/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stack/server-state.h"

#include <string.h>

#include "base/macro.h"

struct look {
	const struct stack *stack;
	pid_t pid;
	struct server_state state;
};

static int look_at_state(void *arg, const char *tid)
{
	struct look *look = arg;
	struct server_state *state = &look->state;
	char text[256], wchan[64] = "", *at;

	if (system_read(look->stack->system, PATH("proc/%d/task/%s/status", look->pid, tid), text,
			sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\nState:\t");
	if (!at)
		return 0;
	at += strlen("\nState:\t");
	if (*at == 'Z' || *at == 'X')
		return 0;
	state->tasks++;
	state->stopped += *at == 'T' || *at == 't';
	state->running += *at == 'R';
	if (state->is_frozen || *at == 'R')
		return 0;
	(void)reader_read(look->stack->reader, PATH("proc/%d/task/%s/wchan", look->pid, tid), 0,
			  wchan, sizeof(wchan));
	state->is_frozen = strcmp(wchan, "do_freezer_trap") == 0 ||
			   strcmp(wchan, "__refrigerator") == 0;
	return 0;
}

struct server_state server_state_of(const struct stack *stack, pid_t pid)
{
	struct look look = { .stack = stack, .pid = pid };

	(void)system_names(stack->system, PATH("proc/%d/task", pid), look_at_state, &look);
	return look.state;
}

bool server_is_halted(const struct server_state *state)
{
	return state->tasks && (state->is_frozen || state->stopped == state->tasks);
}

/* A search for a task that waits for work. */
struct idle {
	const struct stack *stack;
	pid_t pid;
	bool is_found;
};

static int look_for_idle(void *arg, const char *tid)
{
	static const char *const names[] = { "fuse_dev_do_read", "io_cqring_wait" };
	struct idle *idle = arg;
	char wchan[64] = "";

	(void)reader_read(idle->stack->reader, PATH("proc/%d/task/%s/wchan", idle->pid, tid), 0,
			  wchan, sizeof(wchan));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		idle->is_found |= strncmp(wchan, names[i], strlen(names[i])) == 0;
	return idle->is_found;
}

bool server_has_idle_task(const struct stack *stack, pid_t pid)
{
	struct idle idle = { .stack = stack, .pid = pid };

	(void)system_names(stack->system, PATH("proc/%d/task", pid), look_for_idle, &idle);
	return idle.is_found;
}
