/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson audit`: the audits of one or more processes, as a table or as JSON, and the exit code.
 * For the command-line tool: it allocates and uses stdio.
 */
#ifndef CAISSON_AUDIT_PRINT_H
#define CAISSON_AUDIT_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/exit-code.h"
#include "caisson/reclaim.h"

/* One process's audit with all of its tasks. */
struct audit_report {
	struct caisson_audit_summary summary;
	struct caisson_task *tasks; /* summary.tasks of them, by TID; owned */
};

/*
 * Audits process PID. Returns 0 or what caisson_audit() returns, or -ENOMEM; RET_REPORT is then to
 * be freed.
 */
int audit_report_read(pid_t pid, struct audit_report *ret_report);
void audit_report_free(struct audit_report *report);

/*
 * EXIT_FINE: every task is marked and the memory is locked. EXIT_UNSAFE: a task isn't marked, or
 * memory isn't locked. EXIT_CANNOT_SERVE: neither, as not all of it could be read.
 */
enum exit_code audit_report_exit(const struct audit_report *report);

/* Print COUNT reports. Return 0, or -EIO if OUT can't be written. */
int audit_print_table(FILE *out, const struct audit_report *reports, size_t count);
int audit_print_json(FILE *out, const struct audit_report *reports, size_t count);

/*
 * All of `caisson audit` but finding the PIDs: audits each of COUNT processes, prints them on OUT,
 * and what went wrong on ERR, one line a process. Returns EXIT_UNSAFE if any process is, else
 * EXIT_CANNOT_SERVE if any couldn't be read or printed, or there are none, else EXIT_FINE. For
 * JSON, OUT gets a document in any case; processes that can't be read aren't in it, and make its
 * "safe" false.
 */
enum exit_code audit_command(FILE *out, FILE *err, const pid_t *pids, size_t count, bool json);

#endif
