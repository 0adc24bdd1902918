/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules about the version of the kernel: known bugs in the pieces that a stack consists of. */
#include <stdio.h>
#include <string.h>

#include "base/macro.h"
#include "stack/judge.h"

/* A version as a number: 6.1.116 is VERSION(6, 1, 116). */
#define VERSION(major, minor, patch) ((major) << 20 | (minor) << 10 | (patch))
#define PART_MAX		     1023u

static bool is_server(const struct node *node)
{
	return node->kind == NODE_PROCESS;
}

static bool is_server_with_rings(const struct node *node)
{
	return is_server(node) && node->has_rings;
}

static bool is_xfs(const struct node *node)
{
	return node->kind == NODE_FILESYSTEM && strcmp(node->type, "xfs") == 0;
}

static const struct bug {
	uint32_t from, fixed; /* versions: the first with the bug, the first without */
	bool (*meets)(const struct node *node);
	enum severity severity;
	const char *text;
} bugs[] = {
	{ 0, VERSION(5, 6, 0), is_server, SEVERITY_FAIL,
	  "before 5.6 no process can be an I/O flusher: PR_SET_IO_FLUSHER is missing" },
	{ 0, VERSION(5, 9, 0), is_xfs, SEVERITY_WARN,
	  "before 5.9 reclaim of XFS inodes waits for their I/O" },
	/* CVE-2024-53052: "io_uring/rw: fix missing NOWAIT check for O_DIRECT start write" */
	{ VERSION(5, 16, 0), VERSION(6, 1, 116), is_server_with_rings, SEVERITY_WARN,
	  "before 6.1.116 a direct write by io_uring to a frozen filesystem can deadlock" },
	{ VERSION(6, 2, 0), VERSION(6, 6, 60), is_server_with_rings, SEVERITY_WARN,
	  "before 6.6.60 a direct write by io_uring to a frozen filesystem can deadlock" },
	{ VERSION(6, 7, 0), VERSION(6, 11, 7), is_server_with_rings, SEVERITY_WARN,
	  "before 6.11.7 a direct write by io_uring to a frozen filesystem can deadlock" },
};

struct version {
	unsigned major, minor, patch;
};

static bool parse_version(const char *text, struct version *version)
{
	*version = (struct version){ 0 };
	return sscanf(text, "%u.%u.%u", &version->major, &version->minor, &version->patch) >= 2;
}

/*
 * /proc/version begins with the release. Debian's, such as 6.1.0-57, is that of an interface. The
 * version is that of the package, behind "Debian " and perhaps an epoch, after the "#" of the
 * build: before it stands the compiler, which is Debian's, too.
 */
uint32_t judge_kernel_version(const struct system *system)
{
	struct version version, package;
	const char *at;
	char line[512];

	if (system_read(system, "proc/version", line, sizeof(line)) < 0 ||
	    !parse_version(line + strcspn(line, "0123456789"), &version))
		return 0;
	at = strchr(line, '#');
	at = at ? strstr(at, "Debian ") : NULL;
	if (at) {
		at += strlen("Debian ");
		at += at[strspn(at, "0123456789")] == ':' ? strcspn(at, ":") + 1 : 0;
		if (parse_version(at, &package) && package.major == version.major &&
		    package.minor == version.minor)
			version = package;
	}
	return VERSION(version.major, version.minor, MIN(version.patch, PART_MAX));
}

void judge_kernel(struct judge *judge, uint32_t node)
{
	uint32_t version = judge->kernel;

	for (size_t i = 0; version && i < ARRAY_SIZE(bugs); i++) {
		const struct bug *bug = &bugs[i];

		if (version >= bug->from && version < bug->fixed &&
		    bug->meets(&judge->stack->graph.nodes[node]))
			judge_say(judge, RULE_KERNEL_BUG, bug->severity, node, "%u.%u.%u: %s",
				  version >> 20, version >> 10 & PART_MAX, version & PART_MAX,
				  bug->text);
	}
}
