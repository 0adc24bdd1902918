/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `caisson audit` prints the audits of one or more processes, as a table or as JSON, and finds the
 * exit code. It allocates and uses stdio.
 */
#ifndef CAISSON_AUDIT_PRINT_H
#define CAISSON_AUDIT_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/exit-code.h"
#include "caisson/reclaim.h"

/* The audit of one process, with all its tasks. */
struct audit_report {
	struct caisson_audit_summary summary;
	struct caisson_task *tasks; /* summary.tasks of them, by TID; owned */
};

/*
 * Audits process PID. Returns 0, -ENOMEM, or the result of caisson_audit(). After 0,
 * audit_report_free() is due.
 */
int audit_report_read(pid_t pid, struct audit_report *ret_report);
void audit_report_free(struct audit_report *report);

/*
 * EXIT_FINE: every task is marked and the memory is locked. EXIT_UNSAFE: a task isn't marked, or
 * memory isn't locked. EXIT_CANNOT_SERVE: not everything could be read, so neither is known.
 */
enum exit_code audit_report_exit(const struct audit_report *report);

/* Print COUNT reports. Return 0, or -EIO if OUT can't be written. */
int audit_print_table(FILE *out, const struct audit_report *reports, size_t count);
int audit_print_json(FILE *out, const struct audit_report *reports, size_t count);

/*
 * Audits COUNT processes, and prints their audits on OUT and errors on ERR, one line a process.
 * Returns EXIT_UNSAFE if any process is unsafe; else EXIT_CANNOT_SERVE if any couldn't be read or
 * printed, or if there are none; else EXIT_FINE. JSON always is a whole document. Processes that
 * can't be read are missing from it and make its "safe" false.
 */
enum exit_code audit_command(FILE *out, FILE *err, const pid_t *pids, size_t count, bool json);

#endif
