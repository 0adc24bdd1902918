/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Readers for the files of /proc that libcaisson needs. They use only system calls and buffers on
 * the stack, because they run after the seal (S4). They are private to the library; the version
 * script and the visibility keep them out of its interface.
 *
 * Files of the kernel are checked like any input. A malformed file gives -EBADMSG.
 */
#ifndef CAISSON_PROC_H
#define CAISSON_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "caisson/reclaim.h"

#pragma GCC visibility push(hidden)

/* Room for "PID/FILE" or "thread-self/FILE". */
#define PROC_PATH_SIZE 48

/* Facts of a process, from its status file. */
struct proc_status {
	pid_t tgid;
	uid_t euid;
	uint64_t cap_effective;
	bool has_memory; /* false for exiting tasks and kernel threads, whose sizes are 0 */
	uint64_t vm_size_bytes, vm_lck_bytes, vm_rss_bytes;
};

/* Writes "ID/FILE" to PATH, or "SELF/FILE" if ID is 0. */
void caisson_proc_path(char path[PROC_PATH_SIZE], pid_t id, const char *self, const char *file);

/* Parses TEXT as a decimal number. Returns 0, -EINVAL if it is anything else, or -ERANGE. */
int caisson_proc_parse_tid(const char *text, pid_t *ret_tid);

/*
 * Parses the first LEN bytes of a stat line, which may be cut after field 12. The name lies between
 * the first "(" and the last ")" and may contain parentheses, spaces and newlines. Returns 0 or
 * -EBADMSG.
 */
int caisson_proc_parse_stat(const char *line, size_t len, struct caisson_task *ret_task);

/*
 * These read the file PATH in the directory DIRFD. They return 0; -ENOENT or -ESRCH if the task is
 * gone; -EBADMSG if the file is malformed; or another -errno of open() and read().
 */
int caisson_proc_stat(int dirfd, const char *path, struct caisson_task *ret_task);
int caisson_proc_status(int dirfd, const char *path, struct proc_status *ret_status);
int caisson_proc_number(int dirfd, const char *path, int32_t *ret_number);

/*
 * Does the work of caisson_audit() in the directory PROC_FD, which a test can choose. The caller
 * keeps PROC_FD.
 */
int caisson_audit_at(int proc_fd, pid_t pid, caisson_audit_fn *fn, void *arg,
		     struct caisson_audit_summary *ret_summary);

#pragma GCC visibility pop

#endif
