/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The readers of /proc that libcaisson needs. They use buffers on the stack and system calls only,
 * because they run after the seal (S4). They are private to the library: the version script and
 * the visibility keep them out of its interface.
 *
 * What the kernel writes is parsed as input: a file that isn't as expected gives -EBADMSG.
 */
#ifndef CAISSON_PROC_H
#define CAISSON_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "caisson/reclaim.h"

#pragma GCC visibility push(hidden)

/* Room for any PID, or "thread-self", and the names of the files that are read there. */
#define PROC_PATH_SIZE 48

/* One process's facts from its status file. */
struct proc_status {
	pid_t tgid;
	uid_t euid;
	uint64_t cap_effective;
	bool has_memory; /* false for what is exiting, and for kernel threads: the rest is 0 then */
	uint64_t vm_size_bytes, vm_lck_bytes, vm_rss_bytes;
};

/* Writes "ID/FILE" to PATH; an ID of 0 stands for SELF, "self" or "thread-self". */
void caisson_proc_path(char path[PROC_PATH_SIZE], pid_t id, const char *self, const char *file);

/* Reads a decimal number that makes up all of TEXT. Returns 0, -EINVAL or -ERANGE. */
int caisson_proc_parse_tid(const char *text, pid_t *ret_tid);

/*
 * Parses the first LEN bytes of a stat line, which needn't be all of it. The name is between the
 * first "(" and the last ")", and may hold both, spaces and newlines. Returns 0 or -EBADMSG.
 */
int caisson_proc_parse_stat(const char *line, size_t len, struct caisson_task *ret_task);

/*
 * These read one file, PATH beneath the directory DIRFD. -ENOENT and -ESRCH: the task has gone.
 * Nothing else but what open() and read() return, and -EBADMSG.
 */
int caisson_proc_stat(int dirfd, const char *path, struct caisson_task *ret_task);
int caisson_proc_status(int dirfd, const char *path, struct proc_status *ret_status);
int caisson_proc_number(int dirfd, const char *path, int32_t *ret_number);

/*
 * caisson_audit() on another directory than /proc, for the tests. PROC_FD stays the caller's.
 * Declared here because the public header can't.
 */
int caisson_audit_at(int proc_fd, pid_t pid, caisson_audit_fn *fn, void *arg,
		     struct caisson_audit_summary *ret_summary);

#pragma GCC visibility pop

#endif
