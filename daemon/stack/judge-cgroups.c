/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules about the control groups of a process that serves storage. A line of /proc/PID/cgroup is
 * "0::PATH" for version 2, and "ID:CONTROLLER[,CONTROLLER…]:PATH" for a hierarchy of version 1.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macro.h"
#include "stack/judge.h"

/* A memory limit of version 1 that is none: the largest multiple of a page, or nearly. */
#define NO_LIMIT_BYTES (1ll << 60)

struct group {
	struct judge *judge;
	uint32_t node;
	enum severity severity;
	char mount[256];     /* where its hierarchy is mounted, without a slash in front */
	char path[PATH_MAX]; /* the group, cut to each of its ancestors in turn; "" for the root */
};

/* Reads FILE of the group. Returns whether it has a value other than NONE. */
static bool has_value(const struct group *group, const char *file, const char *none, char *value,
		      size_t size)
{
	ssize_t len = system_read(group->judge->stack->system,
				  PATH("%s%s/%s", group->mount, group->path, file), value, size);

	return len > 0 && strcmp(value, none) != 0;
}

static void say(const struct group *group, enum rule_index rule, enum severity severity,
		const char *file, const char *value)
{
	judge_say(group->judge, rule, severity, group->node, "/%s%s/%s: %s", group->mount,
		  group->path, file, value);
}

static void judge_unified(const struct group *group)
{
	char value[512];

	if (has_value(group, "memory.max", "max", value, sizeof(value)))
		say(group, RULE_MEMORY_LIMIT, group->severity, "memory.max", value);
	if (has_value(group, "memory.high", "max", value, sizeof(value)))
		say(group, RULE_MEMORY_LIMIT, group->severity, "memory.high", value);
	if (has_value(group, "io.max", "", value, sizeof(value)))
		say(group, RULE_IO_LIMIT, group->severity, "io.max", value);
	if (has_value(group, "cgroup.freeze", "0", value, sizeof(value)))
		say(group, RULE_FROZEN, SEVERITY_FAIL, "cgroup.freeze", value);
}

static void judge_version_1(const struct group *group)
{
	static const char *const throttles[] = {
		"blkio.throttle.read_bps_device",
		"blkio.throttle.write_bps_device",
		"blkio.throttle.read_iops_device",
		"blkio.throttle.write_iops_device",
	};
	char value[512];

	if (has_value(group, "memory.limit_in_bytes", "", value, sizeof(value)) &&
	    strtoll(value, NULL, 10) < NO_LIMIT_BYTES)
		say(group, RULE_MEMORY_LIMIT, group->severity, "memory.limit_in_bytes", value);
	for (size_t i = 0; i < ARRAY_SIZE(throttles); i++) {
		if (has_value(group, throttles[i], "", value, sizeof(value)))
			say(group, RULE_IO_LIMIT, group->severity, throttles[i], value);
	}
	if (has_value(group, "freezer.state", "THAWED", value, sizeof(value)))
		say(group, RULE_FROZEN, SEVERITY_FAIL, "freezer.state", value);
}

/* The group and its ancestors, whose limits hold for it, too. */
static void judge_ancestors(struct group *group, void (*rules)(const struct group *))
{
	char *slash;

	if (strcmp(group->path, "/") == 0)
		group->path[0] = '\0';
	for (;;) {
		rules(group);
		slash = strrchr(group->path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

void judge_cgroups(struct judge *judge, uint32_t node, enum severity severity)
{
	struct group group = { .judge = judge, .node = node, .severity = severity };
	pid_t pid = (pid_t)judge->stack->graph.nodes[node].number;
	const char *unified = judge->stack->cgroup2;
	char text[READER_TEXT_SIZE], *lines = text, *controller, *rest;
	ssize_t len = reader_read(judge->stack->reader, PATH("proc/%d/cgroup", pid), 0, text,
				  sizeof(text)); /* it waits for a lock before Linux 6.8 */

	if (reader_is_late(len))
		judge_say(judge, RULE_NOT_SEEN, SEVERITY_WARN, node,
			  "/proc/%d/cgroup: can't be read in time", pid);
	if (len <= 0)
		return;
	while ((rest = strsep(&lines, "\n"))) {
		(void)strsep(&rest, ":"); /* the hierarchy's number */
		controller = rest ? strsep(&rest, ":") : NULL;
		if (!rest)
			continue;
		(void)snprintf(group.path, sizeof(group.path), "%s", rest);
		if (strncmp(rest, "/user.slice", 11) == 0 && (!*controller || *controller == 'n'))
			judge_say(judge, RULE_SUSPEND, SEVERITY_INFO, node, "/proc/%d/cgroup: %s",
				  pid, rest);
		if (*controller) {
			(void)snprintf(group.mount, sizeof(group.mount), "sys/fs/cgroup/%s",
				       controller);
			judge_ancestors(&group, judge_version_1);
		} else {
			(void)snprintf(group.mount, sizeof(group.mount), "%s",
				       *unified ? unified + 1 : "sys/fs/cgroup");
			judge_ancestors(&group, judge_unified);
		}
	}
}
