/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the mount namespaces of all processes, and reads the mounts of each once. */
#include "stack/namespaces.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/macro.h"

/* The number in a link such as "mnt:[4026531841]", or 0. */
static uint64_t number_of(const char *link)
{
	unsigned long long number;

	return sscanf(link, "mnt:[%llu]", &number) == 1 ? number : 0;
}

/* The namespace that LINK is of; 0: ours. */
static uint64_t other_than_ours(const struct stack *stack, const char *link)
{
	uint64_t number = number_of(link);
	char own[64] = "";

	(void)system_link(stack->system, "proc/self/ns/mnt", own, sizeof(own));
	return number == number_of(own) ? 0 : number;
}

uint64_t namespace_of(const struct stack *stack, pid_t pid)
{
	char link[64];

	if (reader_link(stack->reader, PATH("proc/%d/ns/mnt", pid), link, sizeof(link)) < 0)
		return 0;
	return other_than_ours(stack, link);
}

bool stack_hangs(const struct stack *stack, pid_t pid)
{
	for (uint32_t i = 0; i < stack->late_count; i++) {
		if (stack->late[i] == pid)
			return true;
	}
	return stack->is_blind;
}

/* Without a thread to look at it, or room, it isn't known which others hang. */
static void note_late(struct stack *stack, pid_t pid, ssize_t result)
{
	if (stack->is_blind)
		return;
	if (result == -EAGAIN || stack->late_count == ARRAY_SIZE(stack->late)) {
		stack->is_blind = true;
		stack_unseen(stack, "processes that serve storage: too many others hang");
		return;
	}
	stack_unseen(stack, "process %d: it hangs", pid);
	stack->late[stack->late_count++] = pid;
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
	char link[64];
	ssize_t len;
	uint64_t ns;

	if (pid <= 0)
		return 0;
	len = reader_link(stack->reader, PATH("proc/%d/ns/mnt", pid), link, sizeof(link));
	if (reader_is_late(len))
		note_late(stack, pid, len);
	ns = len < 0 ? 0 : other_than_ours(stack, link);
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
