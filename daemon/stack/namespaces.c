/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the mount namespaces of all processes, and reads the mounts of each once. */
#include "stack/namespaces.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/macro.h"

uint64_t namespace_of(const struct stack *stack, pid_t pid)
{
	unsigned long long own = 0, other = 0;
	char link[64];

	if (system_link(stack->system, PATH("proc/%d/ns/mnt", pid), link, sizeof(link)) < 0 ||
	    sscanf(link, "mnt:[%llu]", &other) != 1)
		return 0;
	if (system_link(stack->system, "proc/self/ns/mnt", link, sizeof(link)) >= 0)
		(void)sscanf(link, "mnt:[%llu]", &own);
	return other == own ? 0 : other;
}

static bool is_known(const struct stack *stack, uint64_t ns)
{
	for (uint32_t i = 0; i < stack->namespace_count; i++) {
		if (stack->namespaces[i].number == ns)
			return true;
	}
	return ns == 0;
}

static int read_namespace(void *arg, const char *name)
{
	struct stack *stack = arg;
	pid_t pid = atoi(name);
	uint64_t ns = pid > 0 ? namespace_of(stack, pid) : 0;

	if (is_known(stack, ns))
		return 0;
	if (stack->namespace_count == ARRAY_SIZE(stack->namespaces)) {
		stack_unseen(stack, "mount namespaces: more than %zu",
			     ARRAY_SIZE(stack->namespaces));
		return 1;
	}
	if (stack_read_mounts(stack, pid, ns) == 0)
		stack->namespaces[stack->namespace_count++] = (struct mount_namespace){ ns, pid };
	return 0;
}

int stack_read_namespaces(struct stack *stack)
{
	int r = system_names(stack->system, "proc", read_namespace, stack);

	return r < 0 ? r : 0;
}
