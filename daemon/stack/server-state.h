/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the tasks of a server can run, and whether one of them waits for work. */
#ifndef CAISSON_SERVER_STATE_H
#define CAISSON_SERVER_STATE_H

#include "stack/stack.h"

struct server_state {
	uint32_t tasks, stopped, running; /* 0 tasks: it has ended */
	bool is_frozen;			  /* a task says that its control group is */
};

struct server_state server_state_of(const struct stack *stack, pid_t pid);

/* Whether all its tasks are stopped or frozen. */
bool server_is_halted(const struct server_state *state);

/* Whether a task of it waits for work: it can do what another one waits for. */
bool server_has_idle_task(const struct stack *stack, pid_t pid);

#endif
