/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Judges a stack: rules that say where it can deadlock, stall or lose data, each with what was
 * read of the kernel and a remedy. caisson(8) documents every rule.
 *
 * A server is judged by what is stacked on what it serves. If nothing is, most rules only inform.
 */
#ifndef CAISSON_JUDGE_H
#define CAISSON_JUDGE_H

#include "stack/stack.h"

enum severity { SEVERITY_INFO, SEVERITY_WARN, SEVERITY_FAIL };

struct rule {
	const char *id;
	const char *title;  /* what is wrong; follows the name of the node */
	const char *remedy; /* what to do */
};

struct verdict {
	const struct rule *rule;
	enum severity severity;
	uint32_t node;
	char evidence[1024]; /* the files and values that were read */
};

#define JUDGE_VERDICTS_MAX 1024

struct judge {
	struct stack *stack;
	uint8_t *above;	 /* room for a byte for each node */
	uint32_t kernel; /* its version (judge-kernel.c) */
	struct verdict verdicts[JUDGE_VERDICTS_MAX];
	uint32_t count, left_off;
	enum severity worst; /* of all verdicts, also of those that were left off */
};

/* All rules, in the order of their documentation; NULL after the last one. */
const struct rule *judge_rule(uint32_t index);

/*
 * Judges the nodes that ASKED marks. The verdicts with the highest severity come first. Returns 0
 * or -ENOMEM. Allocates.
 */
int judge_stack(struct judge *judge, struct stack *stack, const uint8_t *asked);

/* "info", "warn" or "fail" */
const char *severity_name(enum severity severity);

/* --- for the files of judge*.c --- */

enum rule_index {
	RULE_UNMARKED,
	RULE_PARTLY_MARKED,
	RULE_UNLOCKED,
	RULE_OOM_KILLABLE,
	RULE_STOPPED,
	RULE_MEMORY_LIMIT,
	RULE_IO_LIMIT,
	RULE_FROZEN,
	RULE_SUSPEND,
	RULE_PROGRAM_ABOVE,
	RULE_CWD_ABOVE,
	RULE_FILE_ABOVE,
	RULE_CORE_ABOVE,
	RULE_SWAP_ABOVE,
	RULE_CYCLE,
	RULE_SERVED_HERE,
	RULE_LOOP_BUFFERED,
	RULE_SMALL_SECTORS,
	RULE_LOOP_DELETED,
	RULE_SPARSE_IMAGE,
	RULE_NO_BARRIERS,
	RULE_NO_FLUSHES,
	RULE_REQUEST_TIMEOUT,
	RULE_KERNEL_BUG,
	RULE_NOT_SEEN,
	RULES,
};

void judge_say(struct judge *judge, enum rule_index rule, enum severity severity, uint32_t node,
	       const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Whether a filesystem, a device or swap lies on NODE. */
bool judge_is_stacked(const struct stack *stack, uint32_t node);

/* The kernel's version as a number, or 0; and what NODE meets of its bugs. */
uint32_t judge_kernel_version(const struct system *system);
void judge_kernel(struct judge *judge, uint32_t node);

/* Judges the process NODE. */
void judge_process(struct judge *judge, uint32_t node);
/* Judges it by the control groups that it is in. */
void judge_cgroups(struct judge *judge, uint32_t node, enum severity severity);

#endif
